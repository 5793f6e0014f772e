"""The evaluated subset: whole states, drawn by the numops of their queries."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from benchmark.boxes.draws import Draws
from benchmark.records import State

NUMOPS = range(8)
"""The numops that are drawn for, and that the paper reports."""

QUERIES_A_NUMOPS = 100


def subsample(states: Callable[[], Iterable[State]], rng: np.random.Generator) -> Iterator[State]:
    """The states with at least one drawn query, in their order, all seven queries kept.

    For each numops 0 to 7, 100 queries are drawn (all, where there are fewer), by reservoir,
    so that the states need not be held: ``states`` is called twice and must give the same
    states both times.
    """
    chosen = _draw(states(), Draws(rng))
    return (state for index, state in enumerate(states()) if index in chosen)


def _draw(states: Iterable[State], draws: Draws) -> set[int]:
    """The indices of the states with a drawn query."""
    reservoirs: dict[int, list[int]] = {numops: [] for numops in NUMOPS}
    seen = dict.fromkeys(NUMOPS, 0)
    for index, state in enumerate(states):
        for query in state.queries:
            if query.numops not in reservoirs:
                continue
            reservoir = reservoirs[query.numops]
            seen[query.numops] += 1
            if len(reservoir) < QUERIES_A_NUMOPS:
                reservoir.append(index)
                continue
            place = draws.below(seen[query.numops])
            if place < QUERIES_A_NUMOPS:
                reservoir[place] = index
    return {index for reservoir in reservoirs.values() for index in reservoir}
