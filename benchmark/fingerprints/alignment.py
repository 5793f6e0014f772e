"""Pair the states of two records."""

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import pairwise

from benchmark.fingerprints.record import Fingerprint


@dataclass(frozen=True, slots=True)
class StateAlignment:
    """Pairs of state numbers (old, new).

    ``lost`` and ``added`` are the numbers of states that only the old or only the new record has;
    ``reordered`` is whether the states are in a different order.
    """

    pairs: tuple[tuple[int, int], ...]
    lost: int
    added: int
    reordered: bool


def align(old: Fingerprint, new: Fingerprint) -> StateAlignment:
    """Pair states with equal data, and the remaining ones by their position.

    So reordered, shortened and changed data are all compared state by state. States that occur
    several times are paired in order.
    """
    before, after = old.state_digests, new.state_digests
    positions = defaultdict[str, deque[int]](deque)
    for number, digest in enumerate(after):
        positions[digest].append(number)
    equal = {n: positions[digest].popleft() for n, digest in enumerate(before) if positions[digest]}
    paired = set(equal.values())
    rest = (n for n in range(min(len(before), len(after))) if n not in equal and n not in paired)
    pairs = tuple(sorted({**equal, **{n: n for n in rest}}.items()))
    reordered = any(first[1] > second[1] for first, second in pairwise(pairs))
    return StateAlignment(pairs, len(before) - len(pairs), len(after) - len(pairs), reordered)
