"""Random sequences of operations, drawn as the dataset's authors draw them."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from benchmark.boxes import splits
from benchmark.boxes.draws import Draws
from benchmark.boxes.world import BOXES, CAPACITY, KINDS, apply, contents
from benchmark.errors import RuleError
from benchmark.records import Contents, Kind, Operation, World

OPERATIONS = 12
"""Operations in a sequence; its 13 prefixes are its states."""

_MEAN_INITIAL = 2
_MEAN_PUT = 1


@dataclass(frozen=True, slots=True)
class Sequence:
    """An initial world and the operations carried out on it, in order."""

    sample_id: int
    initial: World
    operations: tuple[Operation, ...]


def sequences(split: str, seed: int, vocabulary: Contents) -> Iterator[Sequence]:
    """The sequences of a split, the same for the same seed and vocabulary everywhere.

    Each split has a stream of its own, so that one can be had without the others.
    A digest of eight bytes a sequence is remembered, to skip repeated initial worlds: some 0.2 MB
    for 2,200 sequences.
    """
    first, size = splits.first_sample_id(split), splits.size(split)
    allowed = signatures(split, seed)
    draws = Draws(_rng(seed, split))
    seen: set[bytes] = set()
    for sample_id in range(first, first + size):
        initial = initial_world(draws, vocabulary)
        while splits.signature(initial) not in allowed or _digest(initial) in seen:
            initial = initial_world(draws, vocabulary)
        seen.add(_digest(initial))
        yield Sequence(sample_id, initial, operations(draws, vocabulary, initial))


def signatures(split: str, seed: int) -> frozenset[splits.Signature]:
    """The signatures that the data made from this seed gives the split."""
    return splits.signatures(Draws(_rng(seed, "signatures")))[split]


def endless(
    allowed: frozenset[splits.Signature], draws: Draws, vocabulary: Contents
) -> Iterator[tuple[World, tuple[Operation, ...]]]:
    """Initial worlds of the allowed signatures, each with twelve operations, without end."""
    while True:
        initial = initial_world(draws, vocabulary)
        if splits.signature(initial) in allowed:
            yield initial, operations(draws, vocabulary, initial)


def subsample_rng(seed: int) -> np.random.Generator:
    """The generator that draws the evaluated subsample of the data made from this seed."""
    return _rng(seed, "subsample")


def initial_world(draws: Draws, vocabulary: Contents) -> World:
    """An initial world: Poisson(2) objects a box, at most 3, drawn without replacement."""
    counts = [draws.poisson(_MEAN_INITIAL) for _ in range(BOXES)]
    while sum(counts) > len(vocabulary):
        counts = [draws.poisson(_MEAN_INITIAL) for _ in range(BOXES)]
    capped = [min(count, CAPACITY) for count in counts]
    objects = iter(draws.sample(vocabulary, sum(capped)))
    return tuple(contents(next(objects) for _ in range(count)) for count in capped)


def operations(draws: Draws, vocabulary: Contents, initial: World) -> tuple[Operation, ...]:
    """Twelve operations that can be carried out one after another from the initial world."""
    world, drawn = initial, []
    for _ in range(OPERATIONS):
        operation, world = _next(draws, vocabulary, world)
        drawn.append(operation)
    return tuple(drawn)


def _next(draws: Draws, vocabulary: Contents, world: World) -> tuple[Operation, World]:
    """An operation and the world after it; kind and box are drawn again until one can be done."""
    while True:
        kind, box = draws.choice(KINDS), draws.below(BOXES)
        operation = _draw(draws, vocabulary, world, kind, box)
        if operation is None:
            continue
        try:
            return operation, apply(world, operation)
        except RuleError:  # a destination that is too full
            continue


def _draw(
    draws: Draws, vocabulary: Contents, world: World, kind: Kind, box: int
) -> Operation | None:
    if kind == "put":
        return _put(draws, vocabulary, world, box)
    if not world[box]:
        return None
    others = [other for other in range(BOXES) if other != box]
    destination = draws.choice(others) if kind == "move" else None
    return Operation(kind, contents(draws.subset(world[box])), box, destination)


def _put(draws: Draws, vocabulary: Contents, world: World, box: int) -> Operation | None:
    count = draws.poisson(_MEAN_PUT)
    if not 1 <= count <= CAPACITY - len(world[box]):
        return None
    inside = {name for objects in world for name in objects}
    outside = [name for name in vocabulary if name not in inside]
    if count > len(outside):
        return None
    return Operation("put", contents(draws.sample(outside, count)), None, box)


def _rng(seed: int, stream: str) -> np.random.Generator:
    key = int.from_bytes(stream.encode("ascii"), "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, key])))


def _digest(world: World) -> bytes:
    return blake2b(repr(world).encode("ascii"), digest_size=8).digest()
