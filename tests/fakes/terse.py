"""Random models that come to the point.

A random model chooses letter after letter and hardly ever ends a word: its answers run into the
limit, and the tests of what comes after decoding would spend their time on decoding. Engines are
held against each other on models that are left as they are.
"""

import torch
from transformers import PreTrainedModel

from benchmark.models.tokenizer import TransformersTokenizer

_WIDTH = 0.4
"""The first component of every embedding, of the others' size: no layer adds to it, so that it
reaches the head beside all that the layers did."""

_WEIGHT = 120.0
"""What of it goes into the logits of a comma and a full stop: some boxes have words, some none."""


def terse(model: PreTrainedModel, tokenizer: TransformersTokenizer) -> PreTrainedModel:
    """The model itself, which prefers a comma or a full stop to most of the letters."""
    stops = [token for mark in ",." for token in tokenizer.encode(mark)[-1:]]
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = _WIDTH
        for layer in model.get_decoder().layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        head = model.get_output_embeddings().weight
        head[stops, 0] = _WEIGHT
    return model
