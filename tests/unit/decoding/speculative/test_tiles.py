"""Products by AMX's tiles, compared with naive ones, and when tiles are used."""

import ctypes
import platform
import sys
from typing import Any

import numba
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.decoding.speculative.fused import passes
from benchmark.decoding.speculative.fused.choice import described
from benchmark.decoding.speculative.fused.compilation import compiled
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.fused.tiles import (
    add_product,
    can_use_tiles,
    configure_tiles,
    put_product,
    release_tiles,
)

Array = NDArray[Any]

needs_tiles = pytest.mark.skipif(
    not can_use_tiles(), reason="no tiles: the processor or the system has no AMX"
)

ROWS = (16, 32, 48, 80)


@compiled
def _put(sums: Array, column: int, factors: Array, pairs: Array, first: int, depth: int) -> None:
    configure_tiles()
    put_product(sums, column, factors, pairs, first, depth)
    release_tiles()


@compiled
def _add(sums: Array, factors: Array, column: int, pairs: Array, first: int, depth: int) -> None:
    configure_tiles()
    add_product(sums, factors, column, pairs, first, depth)
    release_tiles()


def _draw(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).bfloat16()


def _bits(tensor: torch.Tensor) -> Array:
    return tensor.contiguous().view(torch.uint16).numpy()


def _pairs(matrix: torch.Tensor) -> Array:
    """Return a matrix with the numbers of rows 2 p and 2 p + 1 next to one another in row p."""
    rows, columns = matrix.shape
    result = torch.empty(rows // 2, 2 * columns, dtype=matrix.dtype)
    for row in range(rows):
        for column in range(columns):
            result[row // 2, 2 * column + row % 2] = matrix[row, column]
    return _bits(result)


def _near(result: Array, factors: torch.Tensor, matrix: torch.Tensor) -> bool:
    """Return whether a result is a product, up to roundings of sums in float32."""
    exact = factors.double() @ matrix.double()
    sizes = factors.double().abs() @ matrix.double().abs()
    return bool(((torch.from_numpy(result).double() - exact).abs() <= 1e-6 * sizes).all())


@needs_tiles
@pytest.mark.parametrize("depth", [32, 64, 96])
@pytest.mark.parametrize("columns", [32, 96])
@pytest.mark.parametrize("rows", ROWS)
def test_products_in_place_of_others(rows: int, columns: int, depth: int) -> None:
    """The product takes its columns, and the others stay."""
    factors, matrix = _draw(rows, depth), _draw(depth + 6, columns)
    sums = np.full((rows, columns + 48), 7, np.float32)
    _put(sums, 16, _bits(factors), _pairs(matrix), 2, depth)
    assert _near(sums[:, 16 : 16 + columns], factors, matrix[4 : 4 + depth])
    assert (sums[:, :16] == 7).all()
    assert (sums[:, 16 + columns :] == 7).all()


@needs_tiles
@pytest.mark.parametrize("depth", [0, 32, 160])
@pytest.mark.parametrize("columns", [32, 64])
@pytest.mark.parametrize("rows", ROWS)
def test_products_that_are_added(rows: int, columns: int, depth: int) -> None:
    """Columns of the factors times rows of the matrix, from any row on, are added to the sums."""
    factors, matrix = _draw(rows, depth + 40), _draw(depth + 6, columns)
    sums = np.ones((rows, columns), np.float32)
    _add(sums, _bits(factors), 8, _pairs(matrix), 3, depth)
    ones = torch.ones(rows, 1), torch.ones(1, columns)
    own = torch.cat([factors[:, 8 : 8 + depth], ones[0].bfloat16()], 1)
    assert _near(sums, own, torch.cat([matrix[6 : 6 + depth], ones[1].bfloat16()]))


class _System:
    """A C library whose system calls have one answer."""

    def __init__(self, answer: int) -> None:
        self.answer, self.calls = answer, list[tuple[int, ...]]()

    def syscall(self, *call: int) -> int:
        """Keep the call, and answer it."""
        self.calls.append(call)
        return self.answer


@pytest.mark.parametrize("answer", [0, -1])
def test_the_system_is_asked(answer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Linux, if Numba knows the instructions: for the permission to use tiles."""
    system = _System(answer)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: system)
    monkeypatch.setattr(numba.config, "CPU_FEATURES", "+avx2,+amx-bf16,+amx-tile")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert can_use_tiles.__wrapped__() is (answer == 0)
    assert system.calls == [(158, 0x1023, 18)]
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not can_use_tiles.__wrapped__()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_use_tiles.__wrapped__()
    monkeypatch.setattr(sys, "platform", "linux")
    for features in (None, "", "+avx2", "+amx-tile,-amx-bf16"):
        monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
        assert not can_use_tiles.__wrapped__()
    assert len(system.calls) == 1


def test_results_say_for_which_processors_kernels_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention by tiles rounds differently, and is in bfloat16 only."""
    monkeypatch.setattr(passes, "can_use_tiles", lambda: True)
    assert described(FusedKernels(), torch.bfloat16) == "Numba for AMX"
    assert described(FusedKernels(), torch.float32) == "Numba"
    monkeypatch.setattr(passes, "can_use_tiles", lambda: False)
    assert described(FusedKernels(), torch.bfloat16) == "Numba"
