"""What a pass costs on this machine, fitted to the times of passes of several sizes.

The seconds of a pass are (fixed + per_row * sequences + tokens) * seconds per token.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.fused.choice import fused_kernels
from benchmark.decoding.speculative.matmul_choice import matmul_backend_for
from benchmark.decoding.speculative.model_runner import prepared_runner
from benchmark.models.gpus import synchronize

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_PREFIX, _CACHED = 355, 150
"""Tokens of the shared prefix, and of each sequence before the pass: those of the task."""

_SIZES = ((1, 1), (1, 64), (4, 4), (8, 1), (8, 16), (8, 48), (16, 8), (32, 1), (32, 4), (32, 14))
"""Sequences in a pass, and tokens of each."""


class Size(NamedTuple):
    """A pass: its sequences, all of its tokens, and its seconds."""

    rows: int
    tokens: int
    seconds: float


class Costs(NamedTuple):
    """The costs in tokens, the seconds of a token, and the largest relative error of the fit."""

    fixed: float
    per_row: float
    token: float
    spread: float


def fitted(sizes: Sequence[Size]) -> Costs:
    """Return the costs by least squares of relative errors; no cost is negative."""
    seconds = np.array([size.seconds for size in sizes])
    columns = np.array([[1.0, size.rows, size.tokens] for size in sizes]) / seconds[:, None]
    solution = np.linalg.lstsq(columns, np.ones(len(sizes)), rcond=None)[0]
    token = float(solution[2])
    fixed, per_row = (max(float(cost) / token, 0.0) for cost in solution[:2])
    # Of the costs that are returned, which are not the solution if that has negative ones.
    spread = float(np.abs(columns @ (np.array([fixed, per_row, 1.0]) * token) - 1).max())
    return Costs(fixed, per_row, token, spread)


def passes(
    model: "PreTrainedModel",
    automaton: Automaton,
    repeats: int,
    say: Callable[[str], None] = print,
) -> Iterator[Size]:
    """Yield the passes with their shortest times; sizes are interleaved."""
    longest = _CACHED + max(tokens for _, tokens in _SIZES)
    cost_model = CostModel.on(model.device.type, max(rows for rows, _ in _SIZES))
    backend = matmul_backend_for(model, cost_model.rows, say=say)
    fused = fused_kernels(model.device, model.dtype)
    with (
        torch.inference_mode(),
        prepared_runner(model, automaton, cost_model, backend, fused) as runner,
    ):
        ids = (number % 40 + 3 for number in count())  # that every vocabulary has
        runner.begin(tuple(islice(ids, _PREFIX)), cost_model.rows, longest)
        runs: dict[tuple[int, int], Callable[[], object]] = {}
        for rows, tokens in _SIZES:
            batch = Batch(_PREFIX)
            for slot in range(rows):
                batch.add(slot, _CACHED, list(islice(ids, tokens)))
            runs[rows, tokens] = lambda batch=batch: runner.run(batch)  # type: ignore[misc]
        best = dict.fromkeys(runs, float("inf"))
        for _ in range(repeats):
            for size, run in runs.items():
                synchronize(str(model.device))
                started = time.perf_counter()
                run()
                synchronize(str(model.device))  # without a choice, a pass only starts kernels
                best[size] = min(best[size], time.perf_counter() - started)
    for (rows, tokens), seconds in best.items():
        yield Size(rows, rows * tokens, seconds)
