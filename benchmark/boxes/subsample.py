"""The evaluated subset: whole states, drawn by the numops of their queries."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from benchmark.boxes.draws import Draws
from benchmark.records import State

NUMOPS = range(8)
"""The numops that are drawn for, and that the paper reports."""

QUERIES_A_NUMOPS = 100


def subsample(states: Iterable[State], rng: np.random.Generator) -> Iterator[State]:
    """The states with at least one drawn query, in their order, all seven queries kept.

    For each numops 0 to 7, 100 queries are drawn (all, where there are fewer), by reservoir: no
    more than 800 states are held, however many there are.
    """
    draws = Draws(rng)
    reservoirs: dict[int, list[tuple[int, State]]] = {numops: [] for numops in NUMOPS}
    seen = dict.fromkeys(NUMOPS, 0)
    for index, state in enumerate(states):
        for query in state.queries:
            if query.numops not in reservoirs:
                continue
            reservoir = reservoirs[query.numops]
            seen[query.numops] += 1
            if len(reservoir) < QUERIES_A_NUMOPS:
                reservoir.append((index, state))
                continue
            place = draws.below(seen[query.numops])
            if place < QUERIES_A_NUMOPS:
                reservoir[place] = (index, state)
    drawn = dict(itertools.chain.from_iterable(reservoirs.values()))
    yield from (drawn[index] for index in sorted(drawn))
