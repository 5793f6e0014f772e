"""Random models with short answers.

A random model chooses letter after letter and rarely ends a word, so its answers reach the limit,
and tests of later steps would spend their time on decoding. Tests that compare engines use
unchanged models.
"""

from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedModel

from benchmark.models.tokenizer import TransformersTokenizer
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

_WIDTH = 0.4
"""The first component of every embedding, of the size of the others. No layer adds to it, so it
reaches the head unchanged."""

_WEIGHT = 120.0
"""Its weight in the logits of a comma and a full stop: some boxes get words, others none."""


def prefer_short_answers(
    model: PreTrainedModel, tokenizer: TransformersTokenizer
) -> PreTrainedModel:
    """Change the model so that it prefers a comma or a full stop to most letters; return it."""
    stops = [token for mark in ",." for token in tokenizer.encode(mark)[-1:]]
    with torch.no_grad():
        model.get_input_embeddings().weight[:, 0] = _WIDTH
        for layer in model.get_decoder().layers:
            layer.self_attn.o_proj.weight[0] = 0
            layer.mlp.down_proj.weight[0] = 0
        head = model.get_output_embeddings().weight
        head[stops, 0] = _WEIGHT
    return model


def save_short_answer_model(folder: Path, seed: int = 0) -> Path:
    """Save a tiny Llama with short answers and its tokenizer; return the folder."""
    tokenizer = _tokenizer()
    model = tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id, seed)
    prefer_short_answers(model, tokenizer).save_pretrained(folder)
    tokenizer.raw.save_pretrained(folder)
    return folder


@cache
def _tokenizer() -> TransformersTokenizer:
    return tiny_tokenizer()
