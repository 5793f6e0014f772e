"""The evaluated subset: whole states, drawn by the numops of their queries."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from benchmark.boxes.portable_random import PortableRandom
from benchmark.records import State

NUMOPS = range(8)
"""The numops that are sampled, which are those that the paper reports."""

QUERIES_PER_NUMOPS = 100


def subsample(states: Iterable[State], rng: np.random.Generator) -> Iterator[State]:
    """Return the states with at least one sampled query, in order, with all seven queries.

    For each numops from 0 to 7, reservoir sampling draws 100 queries, or all if there are fewer.
    At most 800 states are in memory at a time.
    """
    portable = PortableRandom(rng)
    reservoirs: dict[int, list[tuple[int, State]]] = {numops: [] for numops in NUMOPS}
    seen = dict.fromkeys(NUMOPS, 0)
    for index, state in enumerate(states):
        for query in state.queries:
            if query.numops not in reservoirs:
                continue
            reservoir = reservoirs[query.numops]
            seen[query.numops] += 1
            if len(reservoir) < QUERIES_PER_NUMOPS:
                reservoir.append((index, state))
                continue
            slot = portable.below(seen[query.numops])
            if slot < QUERIES_PER_NUMOPS:
                reservoir[slot] = (index, state)
    drawn = dict(itertools.chain.from_iterable(reservoirs.values()))
    yield from (drawn[index] for index in sorted(drawn))
