"""Tiny random models with the architecture and proportions of real ones."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from benchmark.planning.architectures import Architecture

_HEADS = 4
_HEAD_DIM = 8
_WINDOW = 16
"""Shorter than any prompt, so that the window has an effect."""

_INITIALIZER_RANGE = 0.4
"""Twenty times the usual range: logits are far apart, so that rounding has no effect."""


def dummy_model(
    architecture: Architecture, vocabulary_size: int, eos_id: int, seed: int = 0
) -> PreTrainedModel:
    """Return a model with random weights from the seed: two layers with four heads of size 8.

    The features of the architecture are kept: its class, tied embeddings, heads wider than the
    hidden size, an attention window, and the ratio of heads to key-value heads up to four.
    """
    real = architecture
    ratio = min(_HEADS, real.num_attention_heads // real.num_key_value_heads)
    wide = real.num_attention_heads * real.head_dim > real.hidden_size
    config = AutoConfig.for_model(
        real.model_type,
        vocab_size=vocabulary_size,
        hidden_size=_HEADS * _HEAD_DIM,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS // (4 if ratio == _HEADS else min(ratio, 2)),
        head_dim=2 * _HEAD_DIM if wide else _HEAD_DIM,
        max_position_embeddings=2048,
        tie_word_embeddings=real.tie_word_embeddings,
        sliding_window=_WINDOW if real.sliding_window else None,
        initializer_range=_INITIALIZER_RANGE,
        bos_token_id=None,
        eos_token_id=eos_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
