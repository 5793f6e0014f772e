"""Which state of one record is which of another."""

from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import pairwise

from benchmark.fingerprints.record import Fingerprint


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs of state numbers (old, new); ``shuffled`` where the order is another.

    ``lost`` and ``added`` are how many states only the old or only the new record has.
    """

    pairs: tuple[tuple[int, int], ...]
    lost: int
    added: int
    shuffled: bool


def align(old: Fingerprint, new: Fingerprint) -> Alignment:
    """Pair states by what the data says of them, and by their place where that finds none.

    So a shuffled or shortened set is compared state by state, and one whose states changed is too.
    States that are there several times are paired in their order.
    """
    before, after = old.state_digests, new.state_digests
    places = defaultdict[str, deque[int]](deque)
    for number, digest in enumerate(after):
        places[digest].append(number)
    known = {n: places[digest].popleft() for n, digest in enumerate(before) if places[digest]}
    taken = set(known.values())
    rest = (n for n in range(min(len(before), len(after))) if n not in known and n not in taken)
    pairs = tuple(sorted({**known, **{n: n for n in rest}}.items()))
    shuffled = any(one[1] > other[1] for one, other in pairwise(pairs))
    return Alignment(pairs, len(before) - len(pairs), len(after) - len(pairs), shuffled)
