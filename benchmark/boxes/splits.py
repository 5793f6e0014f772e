"""Train, dev and test splits, with disjoint signatures of initial states."""

from itertools import product

from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.world import BOXES, CAPACITY
from benchmark.errors import SettingError
from benchmark.records import World

Signature = tuple[int, ...]
"""The number of objects of each box, by box number."""

SHARES = {"train": 45, "dev": 10, "test": 45}
"""The percentage of sequences, and of signatures, in each split."""

SEQUENCES = 2200


def size(split: str) -> int:
    """Return the number of sequences of the split: 990, 220 or 990."""
    return SEQUENCES * SHARES[_checked(split)] // 100


def first_sample_id(split: str) -> int:
    """Return the ``sample_id`` of the split's first sequence; splits are numbered in order."""
    names = list(SHARES)
    return sum(size(name) for name in names[: names.index(_checked(split))])


def signature(world: World) -> Signature:
    """Return the signature of a world."""
    return tuple(len(objects) for objects in world)


def signatures(rng: PortableRandom) -> dict[str, frozenset[Signature]]:
    """Return all 4^7 signatures, shuffled and divided into the three splits."""
    in_order = list(product(range(CAPACITY + 1), repeat=BOXES))
    shuffled = rng.sample(in_order, len(in_order))
    first = len(shuffled) * SHARES["train"] // 100
    second = len(shuffled) * (SHARES["train"] + SHARES["dev"]) // 100
    return {
        "train": frozenset(shuffled[:first]),
        "dev": frozenset(shuffled[first:second]),
        "test": frozenset(shuffled[second:]),
    }


def _checked(split: str) -> str:
    if split not in SHARES:
        raise SettingError(f"unknown split {split!r}; choose one of {', '.join(SHARES)}")
    return split
