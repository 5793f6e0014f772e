"""Dummy models have the architecture of the real ones; ``test_gpu_way.py`` runs them."""

import pytest
import torch

from benchmark.planning.architectures import architectures
from benchmark.planning.shape import shape
from fakes.dummy_models import dummy_model


@pytest.mark.parametrize("name", architectures().architectures)
def test_dummy_model_has_its_architecture(name: str) -> None:
    """Class, tied embeddings, window and grouped-query attention are those of the real model."""
    real = architectures().architectures[name]
    config = dummy_model(real, 50, 1).config
    assert type(config) is type(real.configuration())
    assert config.tie_word_embeddings == real.tie_word_embeddings
    shares = real.num_attention_heads > real.num_key_value_heads
    assert (config.num_attention_heads > config.num_key_value_heads) == shares
    assert bool(shape(config).windows[0]) == bool(real.sliding_window)
    assert (config.head_dim * config.num_attention_heads > config.hidden_size) == (
        real.head_dim * real.num_attention_heads > real.hidden_size
    )


def test_seed_decides_the_weights() -> None:
    """The same seed yields the same weights, and another seed others."""
    real = architectures().architectures["llama-7b"]
    one, same, other = (dummy_model(real, 50, 1, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(weight, same[name]) for name, weight in one.items())
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])
