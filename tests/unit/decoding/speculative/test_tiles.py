"""Products by AMX's tiles, compared with naive ones, and when tiles are used."""

import ctypes
import platform
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numba import types
from numpy.typing import NDArray

from benchmark.decoding.speculative import cache
from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.fused import operations, tiles
from benchmark.decoding.speculative.fused.choice import described
from benchmark.decoding.speculative.fused.compilation import (
    compiled,
    intrinsic,
    target_features,
)
from benchmark.decoding.speculative.fused.exponentials import FEATURES
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.fused.tiles import (
    DEPTH,
    _call,
    add_product,
    can_use_tiles,
    configure_tiles,
    put_product,
    release_tiles,
)
from benchmark.models.hardware import cpu_flags

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


@intrinsic
def _store_configuration(_context: object, place: Any) -> object:  # noqa: ANN401  # Numba's
    """Store the calling thread's configuration of tiles: 64 bytes, all 0 if it has none."""

    def generate(
        context: Any,  # noqa: ANN401  # Numba's
        builder: Any,  # noqa: ANN401
        _signature: object,
        arguments: Any,  # noqa: ANN401
    ) -> object:
        array = context.make_array(place)(context, builder, arguments[0])
        _call(builder, "sttilecfg", array.data)
        return context.get_dummy_value()

    return types.void(place), generate


@compiled
def _configurations(during: Array, after: Array) -> None:
    configure_tiles()
    _store_configuration(during)
    release_tiles()
    _store_configuration(after)


@compiled
def _configuration(place: Array) -> None:
    _store_configuration(place)


@needs_tiles
def test_tiles_are_configured_and_released() -> None:
    """Eight tiles of 16 rows of 64 bytes; attention, in this thread, leaves none of them."""
    during, after = np.ones(64, np.uint8), np.ones(64, np.uint8)
    _configurations(during, after)
    assert during[0] == 1
    assert during[16:32].view(np.uint16).tolist() == [64] * 8
    assert during[48:56].tolist() == [16] * 8
    assert not after.any()
    operations.use_threads()
    batch = Batch(0)
    batch.add(0, 0, [0] * 20)
    tokens, parameters = _draw(20, 1, 32), ScoreParameters(1.0, None, None)
    new, plan = KeyValues(tokens, tokens), operations.plan_fused(batch, 1)
    operations.attend(tokens, new, RaggedCache(1, 20), 0, plan, parameters)
    after[:] = 1
    _configuration(after)
    assert not after.any()


def test_blocks_are_whole_tiles() -> None:
    """The products take whole blocks of keys and values."""
    assert cache._BLOCK % DEPTH == 0


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
    features = FEATURES | {"+avx2", "+amx-bf16", "+amx-tile"}
    monkeypatch.setattr(tiles, "target_features", lambda: features)
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
    for missing in features - {"+avx2"}:
        monkeypatch.setattr(tiles, "target_features", lambda without=missing: features - {without})
        assert not can_use_tiles.__wrapped__()
    assert len(system.calls) == 1


def test_features_are_those_that_numba_compiles_for() -> None:
    """They are those of the processor."""
    assert ("+avx2" in target_features()) is ("avx2" in cpu_flags())


@pytest.mark.parametrize("uses", [False, True])
def test_results_say_whether_attention_is_by_tiles(
    uses: bool,  # noqa: FBT001  # a case
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In bfloat16, of heads that fill tiles, with scores that grow with the products."""
    monkeypatch.setattr(operations, "can_use_tiles", lambda: uses)
    query, parameters = (
        torch.empty(1, 1, 32, dtype=torch.bfloat16),
        ScoreParameters(0.2, None, None),
    )
    assert operations.uses_tiles(query, parameters) is uses
    assert not operations.uses_tiles(query[..., :20], parameters)
    assert not operations.uses_tiles(query.float(), parameters)
    assert not operations.uses_tiles(query, replace(parameters, scaling=-0.2))
    kernels = FusedKernels()
    assert described(kernels) == "Numba"
    monkeypatch.setattr(operations, "attend", lambda query, *_: query)
    new, plan = KeyValues(query, query), operations.plan_fused(Batch(0), 1)
    kernels.attend(query.float(), new, RaggedCache(1, 1), 0, plan, parameters)
    assert described(kernels) == "Numba"
    kernels.attend(query, new, RaggedCache(1, 1), 0, plan, parameters)
    assert described(kernels) == ("Numba, tiles of AMX" if uses else "Numba")
