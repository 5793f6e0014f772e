"""Exponentials by AVX-512's instructions, compared with those in float64."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.decoding.speculative.fused.compilation import compiled, target_features
from benchmark.decoding.speculative.fused.exponentials import FEATURES, gate_vectors, weigh

Array = NDArray[np.float32]
Bits = NDArray[np.uint16]

needs_instructions = pytest.mark.skipif(
    not FEATURES.issubset(target_features()), reason="the processor lacks the instructions"
)

HALF_UNIT = 2.0**-8
"""How far rounding to bfloat16 may be off, as a share of the number at most."""


@compiled
def _weigh(scores: Array, top: np.float32, scaling: np.float32, weights: Bits) -> float:
    total_weight: float = weigh(scores, top, scaling, weights)
    return total_weight


@compiled
def _gate(gates: Array | Bits, ups: Array | Bits, is_gelu: bool) -> int:  # noqa: FBT001
    done: int = gate_vectors(gates, ups, is_gelu)
    return done


def _numbers(bits: Bits) -> torch.Tensor:
    return torch.from_numpy(bits.copy()).view(torch.bfloat16).double()


@needs_instructions
@pytest.mark.parametrize("columns", [16, 64, 96, 176])
def test_weights_of_scores(columns: int) -> None:
    """They are rounded exponentials; their sum is of those that are not rounded."""
    generator = np.random.default_rng(0)
    scores = (100 * generator.standard_normal(columns)).astype(np.float32)
    scores[3], scores[-1], scores[8] = -np.inf, -np.inf, -1e30
    top, scaling = scores.max(), np.float32(0.3)
    weights, before = np.empty(columns, np.uint16), scores.copy()
    result = _weigh(scores, top, scaling, weights)
    exact = np.exp((scores.astype(np.float64) - top) * scaling)
    powers = _numbers(weights).numpy()
    # 2e-5 is what the product of the largest score and the scaling may be off; denormal numbers
    # may be 0.
    assert (abs(powers - exact) <= (HALF_UNIT + 2e-5) * exact + 2.0**-126).all()
    assert powers[[3, 8, -1]].tolist() == [0, 0, 0]
    assert result == pytest.approx(exact.sum(), rel=2e-5)
    assert np.array_equal(scores, before)
    scores[5] = np.nan
    assert np.isnan(_weigh(scores, top, scaling, weights))


@needs_instructions
def test_weights_are_rounded_to_the_nearest() -> None:
    """Of numbers from 1 to 2**-100, unless the exact one is between two bfloat16 numbers."""
    scores = np.linspace(-69, 0, 16_000, dtype=np.float32)
    weights = np.empty(16_000, np.uint16)
    _weigh(scores, np.float32(0), np.float32(1), weights)
    exact = torch.from_numpy(scores).double().exp()
    low, high = ((exact * (1 + share)).bfloat16().double() for share in (-4e-6, 4e-6))
    result = _numbers(weights)
    assert ((result == low) | (result == high)).all()
    assert (low == high).double().mean() > 0.99


@needs_instructions
@pytest.mark.parametrize("is_gelu", [False, True])
def test_gates(is_gelu: bool) -> None:  # noqa: FBT001  # a case
    """The vectors of a row are gated, as exactly as bfloat16 numbers can be; others are left."""
    generator = torch.Generator().manual_seed(0)
    gates, ups = (3 * torch.randn(2, 75, generator=generator)).bfloat16()
    bits = gates.clone().view(torch.uint16).numpy()
    assert _gate(bits, ups.view(torch.uint16).numpy(), is_gelu) == 64
    wide = gates.double()
    inner = 1.5957691216 * (wide + 0.044715 * wide**3) if is_gelu else wide
    active = wide * torch.sigmoid(inner)
    exact = active.bfloat16().double() * ups.double()
    apart = (_numbers(bits[:64]) - exact[:64]).abs()
    assert (apart <= 2 * HALF_UNIT * exact[:64].abs()).all()
    assert (apart <= HALF_UNIT * exact[:64].abs()).double().mean() > 0.95
    assert torch.equal(torch.from_numpy(bits[64:]), gates.view(torch.uint16)[64:])


def test_single_numbers_are_left_to_others() -> None:
    """In float32 no number is gated here."""
    gates, ups = np.ones(64, np.float32), np.full(64, 2, np.float32)
    assert not _gate(gates, ups, is_gelu=False)
    assert (gates == 1).all()
