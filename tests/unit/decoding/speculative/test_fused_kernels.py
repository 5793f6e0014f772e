"""The kernels that Numba compiles, compared with torch, transformers and naive versions."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb
from transformers.models.olmo2.modeling_olmo2 import Olmo2RMSNorm

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import NOT_FINITE, Batch, CacheWrite, RowSpan
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.fused import compilation, operations
from benchmark.decoding.speculative.fused.compilation import compiled
from benchmark.decoding.speculative.fused.numbers import exp, rounded, wide
from benchmark.decoding.speculative.fused.operations import AllowedTokens, plan_fused
from benchmark.decoding.speculative.fused.passes import FusedKernels
from benchmark.decoding.speculative.fused.sequences import Stored, lines_of, sequence_of
from benchmark.decoding.speculative.fused.tiles import can_use_tiles
from benchmark.decoding.speculative.fused.vectors import (
    _COLUMNS,
    _LARGE,
    _MEDIUM,
    ROW_MULTIPLE,
    _tile_rows,
    add_product,
    largest,
    prefetch_schedule,
    put_product,
    steps_of,
    sum_of_squares,
    total,
)
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass
from benchmark.errors import ModelError
from fakes.attention_kinds import ATTENTION_CASES, ATTENTION_KINDS, chosen_attention
from fakes.kernel_digest import kernel_digest
from fakes.naive_attention import naive_attention

ROOT = Path(__file__).parents[4]

DTYPES = (torch.float32, torch.bfloat16)

Array = NDArray[Any]


@pytest.fixture(autouse=True, scope="module")
def _threads() -> None:
    """Let the kernels use as many threads as torch does here: one."""
    operations.use_threads()


@compiled
def _round_all(numbers: Array, out: Array) -> None:
    for i in range(len(numbers)):
        out[i] = rounded(numbers[i], out[i])


@compiled
def _widen_all(numbers: Array, out: Array) -> None:
    for i in range(len(numbers)):
        out[i] = wide(numbers[i])


@compiled
def _exp_all(numbers: Array, out: Array) -> None:
    for i in range(len(numbers)):
        out[i] = exp(numbers[i])


@compiled
def _totals(row: Array, out: Array) -> None:
    out[0], out[1], out[2] = total(row), sum_of_squares(row), largest(row)


@compiled
def _add_product(sums: Array, factors: Array, matrix: Array, schedule: Array) -> None:
    add_product(sums, factors, 1, matrix, 2, matrix.shape[0] - 3, schedule)


@compiled
def _put_product(sums: Array, column: int, factors: Array, matrix: Array, schedule: Array) -> None:
    put_product(sums, column, factors, matrix, 2, schedule)


@compiled
def _prefetch_schedule(one: int, other: int, lines: int, steps: int) -> Array:
    result: Array = prefetch_schedule(one, other, lines, steps)
    return result


SPECIAL = (
    *(0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x00007FFF, 0x00008000, 0x00008001),
    *(0x00018000, 0x007FFFFF, 0x00800000, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001),
    *(0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000),
    *(0x7F800001, 0xFF800001, 0x7FC00000, 0xFFC00000, 0x7FFFFFFF, 0xFFFFFFFF),
)
"""Zeros, denormals, exact ties and their neighbours, the largest numbers, infinities and NaN."""


def test_rounding_is_torchs() -> None:
    """Of any float32, ties go to the even number, and NaN stays NaN; it is widened exactly."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_000, np.uint32)
    ties = (rng.integers(0, 2**16, 10_000, np.uint32) << np.uint32(16)) | np.uint32(0x8000)
    numbers = np.concatenate([np.array(SPECIAL, np.uint32), bits, ties]).view(np.float32)
    result, back = np.empty(len(numbers), np.uint16), np.empty(len(numbers), np.float32)
    _round_all(numbers, result)
    _widen_all(result, back)
    expected = torch.from_numpy(numbers).bfloat16()
    is_nan = np.isnan(numbers)
    assert np.array_equal(result[~is_nan], expected.view(torch.uint16).numpy()[~is_nan])
    assert np.isnan(back).tolist() == is_nan.tolist()
    wide_again = torch.from_numpy(result).view(torch.bfloat16).float().numpy()
    assert np.array_equal(back, wide_again, equal_nan=True)
    unchanged = np.empty_like(numbers)
    _round_all(numbers, unchanged)
    assert np.array_equal(unchanged.view(np.uint32)[~is_nan], numbers.view(np.uint32)[~is_nan])


def test_exp() -> None:
    """It is within 4e-7 of e to the number, 0 below e to -87, and NaN for any NaN."""
    numbers = np.concatenate(
        [np.linspace(-87, 88, 200_001), np.linspace(-1, 1, 50_001), [0.0, -0.0, 1e-40, -1e-40]]
    ).astype(np.float32)
    result = np.empty_like(numbers)
    _exp_all(numbers, result)
    expected = np.exp(numbers.astype(np.float64))
    assert (np.abs(result - expected) / expected).max() <= 4e-7
    low = np.array([np.nextafter(np.float32(-87), -np.float32(88)), -100, -1e30, -np.inf])
    outside = np.concatenate([low.astype(np.float32), np.array(SPECIAL, np.uint32).view("f4")])
    edges = np.empty_like(outside)
    _exp_all(outside, edges)
    assert (edges[: len(low)] == 0).all()
    assert np.isnan(edges[np.isnan(outside)]).all()


def _nearest(exact: Fraction) -> np.float32:
    """Return the float32 nearest to a number, the even one if two are as near."""
    near = np.float32(float(exact))
    around = (near, np.nextafter(near, -np.float32(1e38)), np.nextafter(near, np.float32(1e38)))

    def distance(number: np.float32) -> tuple[Fraction, int]:
        return abs(Fraction(float(number)) - exact), int(number.view(np.uint32)) & 1

    return min(around, key=distance)


def _multiply_add(one: np.float32, two: np.float32, three: np.float32) -> np.float32:
    return _nearest(Fraction(float(one)) * Fraction(float(two)) + Fraction(float(three)))


def _naive_totals(row: Array) -> tuple[np.float32, np.float32]:
    """Return the sum of a row and of its squares: of each 64th number, then of their halves."""
    whole = len(row) - len(row) % 16
    fours = whole - whole % 64
    sums, squares = np.zeros(64, np.float32), np.zeros(64, np.float32)
    for i, number in enumerate(row[:whole]):
        place = i % 64 if i < fours else i % 16
        sums[place] += number
        squares[place] = _multiply_add(number, number, squares[place])
    both = []
    for part in (sums, squares):
        first, second, third, fourth = part.reshape(4, 16)
        both.append((first + second) + (third + fourth))
    for half in (8, 4, 2, 1):
        both = [part[:half] + part[half : 2 * half] for part in both]
    result, square = both[0][0], both[1][0]
    for number in row[whole:]:
        result, square = result + number, _multiply_add(number, number, square)
    return result, square


@pytest.mark.parametrize("dtype", DTYPES)
def test_totals(dtype: torch.dtype) -> None:
    """Sums have the order that is written down, bit for bit, for any length."""
    generator = torch.Generator().manual_seed(0)
    for length in (*range(71), *range(124, 150)):
        row = (torch.randn(length, generator=generator) * 3).to(dtype)
        out = np.empty(3, np.float32)
        _totals(operations._array(row), out)
        assert tuple(out[:2]) == _naive_totals(row.float().numpy())
        assert out[2] == max(row.tolist(), default=-math.inf)
        exact = torch.stack([row.double().sum(), row.double().square().sum()])
        both = torch.from_numpy(out[:2]).double()
        torch.testing.assert_close(both, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 16, 37])
def test_the_largest_number_is_not_nan(length: int) -> None:
    """Wherever a NaN is; of nothing else it is the least number there is."""
    for place in range(length):
        row = -np.arange(1, length + 1, dtype=np.float32)
        row[place] = np.nan
        out = np.empty(3, np.float32)
        _totals(row, out)
        assert out[2] == max((x for x in row.tolist() if not math.isnan(x)), default=-math.inf)


ROWS = [4, 8, 12, 16, 20, 24, 28, 40]
"""Tiles of every size, alone and one behind another."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [20, 64, 85])
@pytest.mark.parametrize("rows", ROWS)
def test_products(rows: int, columns: int, dtype: torch.dtype) -> None:
    """Each number is a sum of products in their order, rounded once each, in every tile."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(rows, 6, generator=generator).numpy()
    matrix = torch.randn(7, columns, generator=generator).to(dtype)
    sums = torch.randn(rows, columns, generator=generator).numpy()
    expected = sums.copy()
    for k, numbers in enumerate(matrix[2:6].float().numpy()):
        for row in range(rows):
            for column, number in enumerate(numbers):
                before = expected[row, column]
                expected[row, column] = _multiply_add(factors[row, 1 + k], number, before)
    _add_product(sums, factors, operations._array(matrix), _prefetch_schedule(0, 0, 0, 0))
    assert np.array_equal(sums, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [32, 64])
@pytest.mark.parametrize("rows", ROWS)
def test_products_in_place_of_others(rows: int, columns: int, dtype: torch.dtype) -> None:
    """What was there does not count; numbers outside the columns stay."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(rows, 5, generator=generator).numpy()
    matrix = torch.randn(8, columns, generator=generator).to(dtype)
    sums = np.full((rows, columns + 5), np.nan, np.float32)
    schedule = _prefetch_schedule(0, 0, 0, 0)
    _put_product(sums, 3, factors, operations._array(matrix), schedule)
    expected = np.zeros((rows, columns), np.float32)
    for k, numbers in enumerate(matrix[2:7].float().numpy()):
        for row in range(rows):
            for column, number in enumerate(numbers):
                before = expected[row, column]
                expected[row, column] = _multiply_add(factors[row, k], number, before)
    assert np.array_equal(sums[:, 3:-2], expected)
    assert np.isnan(sums[:, :3]).all()
    assert np.isnan(sums[:, -2:]).all()


@pytest.mark.parametrize("rows", ROWS)
def test_steps_of_products(rows: int) -> None:
    """Those of the tiles, of which as few as possible have all rows."""
    tiles = [_tile_rows(rows)]
    while sum(tiles) < rows:
        tiles.append(_tile_rows(rows - sum(tiles)))
    sizes = {_LARGE, _MEDIUM, ROW_MULTIPLE}
    assert set(tiles) <= sizes
    assert sum(tiles) == rows
    assert len(tiles) == -(-rows // max(sizes))
    assert steps_of(rows, 2 * _COLUMNS + 5, 7) == 2 * 7 * len(tiles)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("lines", [1, 96, 500, 768])
def test_what_is_fetched_during_products(lines: int, rows: int) -> None:
    """Fetch the first run, then the second, evenly; all of both if a line per step suffices."""
    columns, depth, times = 64, 64, 18
    factors, matrix = np.ones((rows, depth), np.float32), np.ones((depth + 2, columns), np.float32)
    sums = np.empty((rows, columns), np.float32)
    steps = times * steps_of(rows, columns, depth)
    one, other = matrix.ctypes.data, factors.ctypes.data
    schedule = _prefetch_schedule(one, other, lines, steps)
    fetched = []
    for _ in range(times):
        _put_product(sums, 0, factors, matrix, schedule)
        assert (sums == depth).all()
        runs = [int(schedule[0] - one) // 64, int(schedule[2] - other) // 64]
        assert [int(schedule[1]), int(schedule[3])] == [lines - run for run in runs]
        assert runs[1] == 0 or runs[0] >= lines
        fetched.append(min(runs[0], lines) + min(runs[1], lines))
    surplus = steps * 16 / 256
    if 2 * lines + surplus <= steps:
        assert fetched[-1] == 2 * lines
    # No earlier than by a surplus of 16 in 256, and by the line or two that a tile rounds up.
    for done, number in enumerate(fetched, start=1):
        assert number <= (2 * lines + surplus) * done / times + 2 * depth


def _units_apart(result: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Return by how many units of rounding of bfloat16 numbers differ; below 1e-30 it is none."""
    apart = (result.float() - expected.float()).abs()
    units = apart / (expected.float().abs() * torch.finfo(torch.bfloat16).eps)
    return torch.where(apart <= 1e-30, 0.0, units)


NORMS: dict[str, tuple[type[torch.nn.Module], dict[str, bool], int]] = {
    "llama": (LlamaRMSNorm, {"adds_one": False, "rounds": True}, 2),
    "olmo2": (Olmo2RMSNorm, {"adds_one": False, "rounds": False}, 1),
    "gemma3": (Gemma3RMSNorm, {"adds_one": True, "rounds": False}, 1),
}
"""By name the module, what the kernel is told, and how often a result is rounded."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NORMS)
def test_norms_are_those_of_transformers(name: str, dtype: torch.dtype) -> None:
    """Of rows of any width and size; in bfloat16 few results differ, and by a rounding."""
    module_class, kind, roundings = NORMS[name]
    generator = torch.Generator().manual_seed(0)
    different = numbers = 0
    for width in (1, 20, 64, 77, 576):
        module = module_class(width, eps=1e-5).to(dtype)
        weight = torch.randn(width, generator=generator).to(dtype)
        module.load_state_dict({"weight": weight})
        states = torch.randn(3, 40, width, generator=generator)
        states[0] *= torch.logspace(-6, 6, 40)[:, None]
        states[1, 0] = 0
        states = states.to(dtype)
        with torch.inference_mode():
            expected = module(states)
            norm = operations.Norm(weight, 1e-5, **kind)
            result, turned = norm.normalize(states), norm.normalize(states.transpose(0, 1))
        assert result.shape == expected.shape
        assert result.dtype == dtype
        assert torch.equal(turned.transpose(0, 1), result)
        if dtype == torch.float32:
            torch.testing.assert_close(result, expected, rtol=2e-6, atol=0)
        else:
            assert _units_apart(result, expected).max() <= roundings
            different += int((result != expected).sum())
            numbers += result.numel()
    assert different <= numbers / 1000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NORMS)
def test_sums_and_their_norms(name: str, dtype: torch.dtype) -> None:
    """They are torch's sums, in place of the changes, and the norms of these, bit for bit."""
    generator = torch.Generator().manual_seed(0)
    for rows, width in ((0, 8), (1, 1), (7, 20), (40, 77), (3, 576)):
        weight = torch.randn(width, generator=generator).to(dtype)
        norm = operations.Norm(weight, 1e-5, **NORMS[name][1])
        states, changes = torch.randn(2, 1, width, rows, generator=generator).to(dtype)
        for own in (states.transpose(1, 2), states.transpose(1, 2).contiguous()):
            taking = changes.transpose(1, 2).clone(memory_format=torch.contiguous_format)
            expected, before = own + taking, own.clone()
            result = norm.add_and_normalize(own, taking)
            assert torch.equal(taking, expected)
            assert torch.equal(result, norm.normalize(expected))
            assert torch.equal(own, before)


def _activation(numbers: torch.Tensor, *, is_gelu: bool) -> torch.Tensor:
    functional = torch.nn.functional
    return functional.gelu(numbers, approximate="tanh") if is_gelu else functional.silu(numbers)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_gelu", [False, True], ids=["silu", "gelu"])
def test_gates(is_gelu: bool, dtype: torch.dtype) -> None:  # noqa: FBT001  # a case
    """They are torch's activation times ups, for large numbers too."""
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(2, 200, 75, generator=generator) * 3
    gates[1] = torch.rand(200, 75, generator=generator) * 400 - 200
    gates[0, 0, :4] = torch.tensor([0.0, 200.0, -200.0, 1e-40])
    gates = gates.to(dtype)
    ups = (torch.randn(2, 200, 75, generator=generator) * 10).to(dtype)
    # In float64, and by a sigmoid: torch's GELU has few correct digits where tanh is near to -1.
    wide = gates.double()
    active = _activation(wide, is_gelu=is_gelu)
    if is_gelu:
        sigmoid = torch.sigmoid(math.sqrt(8 / math.pi) * (wide + 0.044715 * wide**3))
        torch.testing.assert_close(wide * sigmoid, active, rtol=1e-12, atol=1e-12)
        active = wide * sigmoid
    active = active.to(dtype)
    expected = (active.double() * ups.double()).to(dtype)
    result = operations.gate(gates.clone(), ups, is_gelu=is_gelu)
    assert result.dtype == dtype
    if dtype == torch.float32:
        torch.testing.assert_close(result, expected, rtol=3e-5, atol=1e-30)
    else:
        assert _units_apart(result, expected).max() <= 2
        assert (_units_apart(result, expected) > 0).sum() <= result.numel() / 1000
    apart = gates.transpose(0, 1)
    turned = operations.gate(apart, ups.transpose(0, 1), is_gelu=is_gelu)
    assert torch.equal(turned.transpose(0, 1), result)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_gelu", [False, True], ids=["silu", "gelu"])
def test_gates_that_are_not_finite(is_gelu: bool, dtype: torch.dtype) -> None:  # noqa: FBT001
    """They are finite where torch's are, and NaN for NaN."""
    special = [torch.inf, -torch.inf, torch.nan, -torch.nan, 1.0, -1.0, 200.0, -200.0, 1e30, -1e30]
    gates, ups = (t.flatten() for t in torch.meshgrid([torch.tensor(special)] * 2, indexing="ij"))
    gates, ups = gates.to(dtype)[None], ups.to(dtype)[None]
    expected = _activation(gates, is_gelu=is_gelu) * ups
    result = operations.gate(gates.clone(), ups, is_gelu=is_gelu)
    assert torch.equal(result.isfinite(), expected.isfinite())
    assert result[gates.isnan() | ups.isnan()].isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotation_is_that_of_transformers(dtype: torch.dtype) -> None:
    """Bit for bit in bfloat16, for queries and keys of different numbers of heads."""
    generator = torch.Generator().manual_seed(0)
    for width in (2, 20, 64):
        shapes = [(1, 6, 9, width), (1, 2, 9, width), (1, 9, width), (1, 9, width)]
        tensors = [torch.randn(*shape, generator=generator).to(dtype) for shape in shapes]
        for result, expected in zip(
            operations.rotate(*tensors), apply_rotary_pos_emb(*tensors), strict=True
        ):
            assert result.shape == expected.shape
            if dtype == torch.bfloat16:
                assert torch.equal(result, expected)
            else:
                torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-6)


Tensors = Sequence[torch.Tensor]
"""Queries, keys and values of a sequence, shape (tokens, heads, width)."""

SPANS = [(span, end) for span in (1, 15, 16, 17, 40) for end in (31, 32, 33, 64, 65) if span <= end]
"""Tokens of a sequence in a pass, and how many there are after it: to the ends of blocks."""


class _Attention:
    """Sequences in the slots of a cache, for one layer."""

    def __init__(self, prefix: Tensors | None, rows: Sequence[Tensors], window: int | None) -> None:
        self._rows, self._parameters = rows, ScoreParameters(0.2, None, window)
        self._cache = RaggedCache(len(rows), max(len(row[0]) for row in rows))
        self._prefix = len(prefix[0]) if prefix else 0
        if prefix:
            query, key, value = prefix
            PrefixPass(self._cache).attend(
                0, query, key.transpose(0, 1), value.transpose(0, 1), self._parameters
            )

    def attend(self, parts: Sequence[tuple[int, int, int]]) -> list[torch.Tensor]:
        """Attend from the tokens of some slots; parts are slot, first token and end."""
        batch = Batch(self._prefix)
        for slot, first, end in parts:
            batch.add(slot, first, [0] * (end - first))
        query, key, value = (
            torch.cat([self._rows[slot][i][first:end] for slot, first, end in parts])
            for i in range(3)
        )
        output = RowsPass(
            self._cache, batch, CostModel(9, 9, 0, 0, 4, 4), fused=FusedKernels()
        ).attend(0, query, key.transpose(0, 1), value.transpose(0, 1), self._parameters)
        assert output.dtype == query.dtype
        return list(torch.split(output, [end - first for _, first, end in parts]))


def _sequences(
    lengths: Sequence[int], group: int, width: int, dtype: torch.dtype
) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    heads = (2 * group, 2, 2)
    return [
        [torch.randn(length, n, width, generator=generator).to(dtype) for n in heads]
        for length in lengths
    ]


@pytest.fixture(params=ATTENTION_KINDS)
def attended(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Return a dtype, in which attention is computed by vectors or by tiles."""
    return chosen_attention(request.param, monkeypatch)


class _Case(NamedTuple):
    """A dtype and the dimension of a head."""

    dtype: torch.dtype
    width: int


@pytest.fixture(params=ATTENTION_CASES, ids=lambda case: f"{case[0]}, {case[1]}")
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> _Case:
    """Return a dtype and a width, for which attention is computed by vectors or by tiles."""
    kind, width = request.param
    return _Case(chosen_attention(kind, monkeypatch), width)


NAIVE_CASES = [
    (kind, width, group)
    for kind in ATTENTION_KINDS
    for width, group in ((64, 1), (64, 3), (96, 2), (20, 1), (20, 3))
    if width % 32 == 0 or "tiles" not in kind
]


@pytest.mark.parametrize(("kind", "width", "group"), NAIVE_CASES)
@pytest.mark.parametrize("window", [None, 1, 36])
@pytest.mark.parametrize("prefix", [0, 9])
def test_attention_is_naive_attention(
    prefix: int,
    window: int | None,
    kind: str,
    width: int,
    group: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For spans that are split and lengths at the ends of blocks, with and without a prefix."""
    dtype = chosen_attention(kind, monkeypatch)
    _compare_with_naive_attention(prefix, window, width, group, dtype)


@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("prefix", [31, 32, 33, 129])
def test_attention_to_prefixes_that_end_at_a_block(
    prefix: int, window: int | None, case: _Case
) -> None:
    """Those of one block and of more, shorter and longer than the slots."""
    _compare_with_naive_attention(prefix, window, case.width, 2, case.dtype)


def _compare_with_naive_attention(
    prefix: int, window: int | None, width: int, group: int, dtype: torch.dtype
) -> None:
    shared, *rows = _sequences([prefix, *(end for _, end in SPANS)], group, width, dtype)
    attention = _Attention(shared if prefix else None, rows, window)
    before = [(i, 0, end - span) for i, (span, end) in enumerate(SPANS) if span < end]
    results = attention.attend(before)
    results += attention.attend([(i, end - span, end) for i, (span, end) in enumerate(SPANS)])
    parts = [*before, *((i, end - span, end) for i, (span, end) in enumerate(SPANS))]
    near = 1e-5 if dtype == torch.float32 else 0.02
    expected = []
    for row in rows:
        query, key, value = (torch.cat(pair) for pair in zip(shared, row, strict=True))
        expected.append(naive_attention(query, key, value, window, 0.2)[prefix:])
    for (slot, first, end), result in zip(parts, results, strict=True):
        own = expected[slot][first:end]
        torch.testing.assert_close(result.double(), own, atol=near, rtol=near)


@pytest.fixture
def _own_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    operations.use_threads()


@pytest.mark.usefixtures("_own_threads")
def test_attention_does_not_depend_on_threads_and_other_rows(case: _Case) -> None:
    """Bit for bit it is the same with two threads, alone, and token by token."""
    lengths = [40, 33, 7]
    rows = _sequences(lengths, 3, case.width, case.dtype)
    everything = [(i, 0, length) for i, length in enumerate(lengths)]
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        operations.use_threads()
        results.append(_Attention(None, rows, 30).attend(everything))
    alone, stepwise = _Attention(None, rows, 30), _Attention(None, rows, 30)
    results.append([alone.attend([part])[0] for part in everything])
    results.append(
        [
            torch.cat([stepwise.attend([(slot, i, i + 1)])[0] for i in range(end)])
            for slot, _, end in everything
        ]
    )
    for result in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(result, results[0], strict=True))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_key_that_is_nan(sign: int, case: _Case) -> None:
    """Tokens that see it get NaN; those before it, and behind a window, do not."""
    (row,) = _sequences([40], 3, case.width, case.dtype)
    row[1][10, 0, 7] = math.copysign(math.nan, sign)
    for window, seen in ((None, range(10, 40)), (5, range(10, 15))):
        (result,) = _Attention(None, [row], window).attend([(0, 0, 40)])
        of_key_heads = result.isnan().view(40, 2, 3 * case.width)
        assert of_key_heads[:, 0].all(-1).nonzero().flatten().tolist() == list(seen)
        assert of_key_heads[:, 0].any(-1).nonzero().flatten().tolist() == list(seen)
        assert not of_key_heads[:, 1].any()


@pytest.mark.parametrize("length", [19, 20, 32, 35])
def test_what_is_behind_a_sequence_is_not_read(length: int, case: _Case) -> None:
    """Not even NaN of keys and values that an earlier sequence left in a slot."""
    (row,) = _sequences([70], 3, case.width, case.dtype)
    (expected,) = _Attention(None, [row], None).attend([(0, 0, length)])
    attention = _Attention(None, [row], None)
    for stored in (attention._cache.in_blocks, attention._cache.in_pairs):
        for tensor in stored(0, 2, row[1]):  # only one of both is read
            tensor.fill_(math.nan)
    (result,) = attention.attend([(0, 0, length)])
    assert not expected.isnan().any()
    assert torch.equal(result, expected)


def test_shared_tokens_are_written_to_every_slot() -> None:
    """A token that two rows share is computed once, and both attend to it; padding gets zeros."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 4, 1, 8, generator=generator)
    batch = Batch(0)
    batch.add(0, 0, [1, 2])
    batch.writes.append(CacheWrite(0, 1, 0))
    batch.add(1, 1, [3])
    batch.tokens.append(3)
    output = RowsPass(
        RaggedCache(2, 4), batch, CostModel(9, 9, 0, 0, 4, 4), fused=FusedKernels()
    ).attend(0, query, key.transpose(0, 1), value.transpose(0, 1), ScoreParameters(0.2, None, None))
    for tokens in ([0, 1], [0, 2]):
        reference = naive_attention(query[tokens], key[tokens], value[tokens], None, 0.2)
        torch.testing.assert_close(output[tokens].double(), reference, atol=1e-5, rtol=1e-5)
    assert not output[3].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_choice_is_the_first_of_the_likeliest(dtype: torch.dtype) -> None:
    """Among allowed tokens only; of equals it is the lowest, also of zeros of both signs."""
    generator = torch.Generator().manual_seed(0)
    allowed = [[5], [0, 3, 4, 99], list(range(10, 90)), list(range(100))]
    # Quarters, so that many are equal.
    logits = ((torch.randn(300, 100, generator=generator) * 4).round() / 4).to(dtype)
    logits[:20] = logits[:20] * 0
    sets = torch.randint(0, 4, (300,), generator=generator).tolist()
    choice = AllowedTokens([torch.tensor(tokens) for tokens in allowed])
    chosen = choice.choose(logits, sets, NOT_FINITE).tolist()
    for row, number, token in zip(logits.float().tolist(), sets, chosen, strict=True):
        assert token == max(allowed[number], key=lambda one: (row[one], -one))
    bias = torch.stack(
        [torch.full((100,), -torch.inf).index_fill(0, torch.tensor(allowed[n]), 0.0) for n in sets]
    )
    assert chosen == (logits.float() + bias).argmax(-1).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "number",
    [math.nan, -math.nan, math.inf, -math.inf],
    ids=["NaN", "-NaN", "infinity", "-infinity"],
)
@pytest.mark.parametrize("place", [0, 17, 49])
def test_a_logit_that_is_not_finite(place: int, number: float, dtype: torch.dtype) -> None:
    """The row has no answer, whether the token is allowed or not; others have theirs."""
    logits = torch.zeros(3, 50, dtype=dtype)
    logits[1, place], logits[2, place] = number, torch.finfo(dtype).max
    choice = AllowedTokens([torch.tensor([1, 17]), torch.tensor([20])])
    for numbers in ([0, 0, 0], [1, 1, 1]):
        chosen = choice.choose(logits, numbers, NOT_FINITE).tolist()
        assert chosen[1] == NOT_FINITE
        first, last = (1, 17 if place == 17 else 1) if numbers[0] == 0 else (20, 20)
        assert chosen[::2] == [first, last]


def test_spans_are_split() -> None:
    """The example of the docstring: 20 tokens are two pieces."""
    assert operations._split(RowSpan(3, 10, 20, 5)) == [(3, 10, 16, 5), (3, 26, 4, 21)]


@given(
    spans=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 90)), min_size=1, max_size=12),
    threads=st.integers(1, 5),
)
@example(spans=[(48, 0), (48, 0)], threads=2)
def test_each_token_is_in_one_piece(spans: list[tuple[int, int]], threads: int) -> None:
    """With its slot and position; and pieces are short, and two threads have as much work."""
    batch = Batch(0)
    for slot, (length, position) in enumerate(spans):
        batch.add(slot, position, [0] * length)
    plan = plan_fused(batch, threads)
    tokens = {
        int(start + i): (int(slot), int(position + i))
        for slot, start, count, position in plan.items
        for i in range(count)
    }
    assert plan.items[:, 2].sum() == len(tokens) == plan.tokens == len(batch.tokens)
    assert plan.items[:, 2].max() <= 16
    assert [[token, *tokens[token]] for token in range(len(tokens))] == plan.writes.tolist()
    work = [count * (position + count) for _, _, count, position in plan_fused(batch, 2).items]
    half = (len(work) + 1) // 2
    assert abs(sum(work[:half]) - sum(work[half:])) <= max(work)


@given(lengths=st.lists(st.integers(1, 16), max_size=30))
@example(lengths=[8, 7, 3, 16])
def test_bundles(lengths: list[int]) -> None:
    """All pieces, in their order, and as many in each as have at most 16 tokens together."""
    bounds = operations._bundles([RowSpan(0, 0, length, 0) for length in lengths]).tolist()
    naive = list[list[int]]()
    for length in lengths:
        if naive and sum(naive[-1]) + length <= 16:
            naive[-1].append(length)
        else:
            naive.append([length])
    assert [lengths[one:other] for one, other in pairwise(bounds)] == naive
    assert (bounds[0], bounds[-1]) == (0, len(lengths))


@compiled
def _lines_of_head(keys: Array, values: Array, slot: int, head: int, length: int) -> Array:
    """Return the lines of a head of a slot, whose keys are in one row per dimension or for two."""
    numbers = keys.reshape(-1, keys.shape[-1]), values.reshape(-1, values.shape[-1])
    stored = Stored(*numbers, 2, 32, 64, keys.shape[1] // 2, values.shape[1] // 2)
    result: Array = np.array(lines_of(sequence_of(stored, slot, head, length)))
    return result


@pytest.mark.parametrize("tokens", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_keys_and_values_that_are_fetched(dtype: torch.dtype, tokens: int) -> None:
    """Those of a head of a slot: 70 tokens of 64 numbers are three blocks, 384 lines in float32.

    A row of values has one token or two, and a row of keys one dimension or two.
    """
    keys = torch.zeros(3, 2 * 5 * 64 // tokens, 32 * tokens, dtype=dtype)  # of five blocks
    values = torch.zeros(3, 2 * 160 // tokens, 64 * tokens, dtype=dtype)
    arrays = operations._array(keys), operations._array(values)
    lines = 384 if dtype == torch.float32 else 192
    of_head = [tensor[2, tensor.shape[1] // 2].data_ptr() for tensor in (keys, values)]
    assert _lines_of_head(*arrays, 2, 1, 70).tolist() == [*of_head, lines]


def test_a_prefix_that_is_stored_again(attended: torch.dtype) -> None:
    """The new one is attended to, not what was converted of the one before."""
    first, second, row = _sequences([40, 70, 3], 1, 32, attended)
    attention = _Attention(first, [row], None)
    attention.attend([(0, 0, 3)])
    attention._cache.store_prefix(0, *(part.transpose(0, 1) for part in second[1:]))
    attention._prefix = 70
    (result,) = attention.attend([(0, 0, 3)])
    (expected,) = _Attention(second, [row], None).attend([(0, 0, 3)])
    assert torch.equal(result, expected)


def test_a_pass_without_sequences() -> None:
    """It has no pieces and no writes, in arrays of the kernel's shapes."""
    plan = plan_fused(Batch(0), 2)
    assert (plan.writes.shape, plan.items.shape, plan.tokens) == ((0, 3), (0, 4), 0)
    assert plan.bundles.tolist() == [0]


def _in_another_process(code: str, cache: Path) -> str:
    """Return what a program prints that keeps compiled kernels in a cache folder."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    )
    return done.stdout


DIGEST = """
from fakes.kernel_digest import kernel_digest, kernel_loads
print(kernel_digest(), *kernel_loads())
"""
"""Prints a digest of results, and how many kernels were loaded and how many compiled."""


def test_compiled_and_loaded_kernels_are_the_same(tmp_path: Path) -> None:
    """A process that compiles, one that loads what that kept, and this one have equal results."""
    results = [_in_another_process(DIGEST, tmp_path).split() for _ in range(2)]
    kernels = "4" if can_use_tiles() else "3"
    assert [counts for _, *counts in results] == [["0", kernels], [kernels, "0"]]
    assert [digest for digest, *_ in results] == [kernel_digest()] * 2


WITHOUT_CACHE = """
import torch
from benchmark.decoding.speculative.fused.operations import Norm
norm = Norm(torch.ones(4), 0.0, adds_one=False, rounds=False)
print(norm.normalize(torch.full((1, 4), 2.0)))
"""
"""Prints a norm of four equal numbers."""


def test_a_cache_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """Kernels are compiled for each process then; here a file is in the way."""
    cache = tmp_path / "file"
    cache.touch()
    assert _in_another_process(WITHOUT_CACHE, cache) == "tensor([[1., 1., 1., 1.]])\n"


def test_versions_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a folder, which does not depend on the time; the four that were used last stay."""
    source, folder = tmp_path / "code", tmp_path / "entity-tracking-benchmark" / "kernels"
    source.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compilation, "__file__", str(source / "compilation.py"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    by_version: dict[int, Path] = {}
    for time, version in enumerate((0, 1, 2, 0, 3, 4, 0)):
        (source / "kernels.py").write_text(f"# {version}\n")
        assert compilation._keeps_compiled()
        chosen = Path(numba.config.CACHE_DIR)
        assert by_version.setdefault(version, chosen) == chosen
        assert chosen.is_dir()
        (chosen / "kept").touch()
        os.utime(chosen, (time, time))
    assert len(set(by_version.values())) == 5
    assert set(folder.iterdir()) == {by_version[version] for version in (0, 2, 3, 4)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(source / "kernels.py"))
    before = numba.config.CACHE_DIR
    assert not compilation._keeps_compiled()
    assert before == numba.config.CACHE_DIR


def test_sets_beyond_the_logits_are_refused() -> None:
    """The kernel would read behind them: a token without a logit, and a set without tokens."""
    logits, numbers = torch.zeros(1, 20), [0]
    with pytest.raises(IndexError, match="allowed tokens beyond 20 logits"):
        AllowedTokens([torch.tensor([3, 20])]).choose(logits, numbers, -1)
    empty = AllowedTokens([torch.tensor([]), torch.tensor([3])])
    assert empty.choose(logits, [1], -1).tolist() == [3]
    with pytest.raises(IndexError, match="or none"):
        empty.choose(logits, numbers, -1)


def test_a_cache_that_is_too_small_is_refused(attended: torch.dtype) -> None:
    """The kernel would write behind it."""
    batch = Batch(0)
    batch.add(1, 33, [0, 0])
    plan = plan_fused(batch, 2)
    assert (plan.slots, plan.length) == (2, 35)
    tokens, parameters = torch.zeros(2, 1, 32, dtype=attended), ScoreParameters(1.0, None, None)
    new = KeyValues(tokens, tokens)
    for cache in (RaggedCache(1, 64), RaggedCache(2, 32)):
        with pytest.raises(ModelError, match="kernels take"):
            operations.attend(tokens, new, cache, 0, plan, parameters)
    others = [
        KeyValues(tokens, tokens.double()),
        KeyValues(tokens, tokens[:1]),
        KeyValues(tokens[..., :16], tokens[..., :16]),
        KeyValues(*[tokens.expand(-1, 2, -1)] * 2),
    ]
    for other in others:
        with pytest.raises(ModelError, match="kernels take"):
            operations.attend(tokens, other, RaggedCache(2, 35), 0, plan, parameters)
    assert not operations.attend(tokens, new, RaggedCache(2, 35), 0, plan, parameters).any()
