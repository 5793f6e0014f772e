"""Train, dev and test: disjoint in the signature of the initial state."""

from itertools import product

from benchmark.boxes.draws import Draws
from benchmark.boxes.world import BOXES, CAPACITY
from benchmark.errors import SettingError
from benchmark.records import World

Signature = tuple[int, ...]
"""The number of objects of each box, by box number."""

SHARES = {"train": 45, "dev": 10, "test": 45}
"""Per cent of sequences, and of signatures, that each split gets."""

SEQUENCES = 2200


def size(split: str) -> int:
    """How many sequences the split has: 990, 220 and 990."""
    return SEQUENCES * SHARES[_known(split)] // 100


def first_sample_id(split: str) -> int:
    """The ``sample_id`` of the split's first sequence: splits are numbered one after another."""
    names = list(SHARES)
    return sum(size(name) for name in names[: names.index(_known(split))])


def signature(world: World) -> Signature:
    """The signature of a world."""
    return tuple(len(objects) for objects in world)


def signatures(draws: Draws) -> dict[str, frozenset[Signature]]:
    """All 4^7 signatures, shuffled and cut into the three splits."""
    every = list(product(range(CAPACITY + 1), repeat=BOXES))
    shuffled = draws.sample(every, len(every))
    first = len(every) * SHARES["train"] // 100
    second = len(every) * (SHARES["train"] + SHARES["dev"]) // 100
    return {
        "train": frozenset(shuffled[:first]),
        "dev": frozenset(shuffled[first:second]),
        "test": frozenset(shuffled[second:]),
    }


def _known(split: str) -> str:
    if split not in SHARES:
        raise SettingError(f"there is no split {split!r}; choose one of {', '.join(SHARES)}")
    return split
