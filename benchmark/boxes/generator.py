"""Random sequences of operations, drawn as the dataset's authors draw them."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from benchmark.boxes import splits
from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.world import BOXES, CAPACITY, KINDS, apply, contents
from benchmark.errors import RuleError
from benchmark.records import Contents, Kind, Operation, World

OPERATIONS = 12
"""Operations in a sequence; its 13 prefixes are its states."""

_MEAN_INITIAL = 2
_MEAN_PUT = 1


@dataclass(frozen=True, slots=True)
class Sequence:
    """An initial world and the operations on it, in order."""

    sample_id: int
    initial: World
    operations: tuple[Operation, ...]


def sequences(split: str, seed: int, vocabulary: Contents) -> Iterator[Sequence]:
    """Return the sequences of a split; they depend on the seed and the vocabulary only.

    Each split has its own random stream, so it can be generated without the others. Repeated
    initial worlds are skipped by remembering an eight-byte digest per sequence (about 0.2 MB for
    2,200 sequences).
    """
    first, size = splits.first_sample_id(split), splits.size(split)
    allowed = signatures(split, seed)
    rng = PortableRandom(_rng(seed, split))
    seen: set[bytes] = set()
    for sample_id in range(first, first + size):
        initial = initial_world(rng, vocabulary)
        while splits.signature(initial) not in allowed or _digest(initial) in seen:
            initial = initial_world(rng, vocabulary)
        seen.add(_digest(initial))
        yield Sequence(sample_id, initial, operations(rng, vocabulary, initial))


def signatures(split: str, seed: int) -> frozenset[splits.Signature]:
    """Return the signatures that belong to the split in the data of this seed."""
    return splits.signatures(PortableRandom(_rng(seed, "signatures")))[split]


def endless(
    allowed: frozenset[splits.Signature], rng: PortableRandom, vocabulary: Contents
) -> Iterator[tuple[World, tuple[Operation, ...]]]:
    """Yield initial worlds of the allowed signatures, each with twelve operations, forever."""
    while True:
        initial = initial_world(rng, vocabulary)
        if splits.signature(initial) in allowed:
            yield initial, operations(rng, vocabulary, initial)


def subsample_rng(seed: int) -> np.random.Generator:
    """Return the generator that draws the evaluated subsample of the data of this seed."""
    return _rng(seed, "subsample")


def initial_world(rng: PortableRandom, vocabulary: Contents) -> World:
    """Return an initial world: Poisson(2) objects per box, at most 3, without replacement."""
    counts = [rng.poisson(_MEAN_INITIAL) for _ in range(BOXES)]
    while sum(counts) > len(vocabulary):
        counts = [rng.poisson(_MEAN_INITIAL) for _ in range(BOXES)]
    capped = [min(count, CAPACITY) for count in counts]
    objects = iter(rng.sample(vocabulary, sum(capped)))
    return tuple(contents(next(objects) for _ in range(count)) for count in capped)


def operations(rng: PortableRandom, vocabulary: Contents, initial: World) -> tuple[Operation, ...]:
    """Return twelve operations, each of which is possible after the previous ones."""
    world, drawn = initial, []
    for _ in range(OPERATIONS):
        operation, world = _next(rng, vocabulary, world)
        drawn.append(operation)
    return tuple(drawn)


def _next(rng: PortableRandom, vocabulary: Contents, world: World) -> tuple[Operation, World]:
    """Return an operation and the world after it; kind and box are redrawn until it is possible."""
    while True:
        kind, box = rng.choice(KINDS), rng.below(BOXES)
        operation = _draw(rng, vocabulary, world, kind, box)
        if operation is None:
            continue
        try:
            return operation, apply(world, operation)
        except RuleError:  # the destination is too full
            continue


def _draw(
    rng: PortableRandom, vocabulary: Contents, world: World, kind: Kind, box: int
) -> Operation | None:
    if kind == "put":
        return _put(rng, vocabulary, world, box)
    if not world[box]:
        return None
    others = [other for other in range(BOXES) if other != box]
    destination = rng.choice(others) if kind == "move" else None
    return Operation(kind, contents(rng.subset(world[box])), box, destination)


def _put(rng: PortableRandom, vocabulary: Contents, world: World, box: int) -> Operation | None:
    count = rng.poisson(_MEAN_PUT)
    if not 1 <= count <= CAPACITY - len(world[box]):
        return None
    inside = {name for objects in world for name in objects}
    outside = [name for name in vocabulary if name not in inside]
    if count > len(outside):
        return None
    return Operation("put", contents(rng.sample(outside, count)), None, box)


def _rng(seed: int, stream: str) -> np.random.Generator:
    key = int.from_bytes(stream.encode("ascii"), "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key])))


def _digest(world: World) -> bytes:
    return blake2b(repr(world).encode("ascii"), digest_size=8).digest()
