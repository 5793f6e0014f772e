"""The generator: valid, reproducible, and distributed as the original authors' one.

The authors' counts are measured on their own scripts' output. The queries of one sequence are
not independent, so the comparison treats the sequence as the unit: a Wald chi-square test on
the sequences' mean proportions, with their covariance estimated from our sequences, and the
same covariance for the authors' single sample of other sequences.
"""

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain, islice, product
from math import comb, exp, factorial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2, chisquare, norm

from benchmark.boxes import dataset, generator, splits
from benchmark.boxes.dataset import generate, rows
from benchmark.boxes.generator import Sequence, sequences, subsample_rng
from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.states import replay, states
from benchmark.boxes.world import KINDS, check
from benchmark.records import Contents, Kind, Operation, State, World

ROOT = Path(__file__).parents[3]
LEVEL = 0.001
NUMOPS = (35533, 26265, 16290, 8081, 2901, 786, 202, 29, 3)
"""The authors' test split: 990 sequences, 90,090 queries, by numops 0 to 8."""
SIZES = (52489, 49849, 46750, 51112)
"""The authors' three splits: 2,200 sequences, 200,200 queries, by objects in the asked box."""


def numops_shares(every: list[Sequence]) -> npt.NDArray[np.float64]:
    """For each sequence, the share of its 91 queries with 0 to 5 operations, and with more."""
    counts = np.zeros((len(every), 7))
    for index, sequence in enumerate(every):
        for state in states(sequence.sample_id, sequence.initial, sequence.operations):
            for query in state.queries:
                counts[index, min(query.numops, 6)] += 1
    return counts / 91


def size_shares(every: list[Sequence]) -> npt.NDArray[np.float64]:
    """For each sequence, the share of its 91 queries about a box with 0 to 3 objects."""
    sizes = [
        [len(box) for world in replay(sequence.initial, sequence.operations) for box in world]
        for sequence in every
    ]
    return np.array([np.bincount(row, minlength=4) for row in sizes]) / 91


def wald_p_value(
    ours: npt.NDArray[np.float64], authors: tuple[int, ...], authors_sequences: int
) -> float:
    """Return the p-value of the hypothesis that both samples come from one distribution."""
    authors_shares = np.array(authors) / sum(authors)
    # The shares sum to 1, so that the last bin says nothing new.
    difference = (ours.mean(axis=0) - authors_shares)[:-1]
    covariance = np.cov(ours[:, :-1], rowvar=False) * (1 / len(ours) + 1 / authors_sequences)
    statistic = difference @ np.linalg.solve(covariance, difference)
    return float(chi2.sf(statistic, len(difference)))


def numops_p_value(every: list[Sequence]) -> float:
    """Return the p-value of the test split's numops, compared with the authors' counts."""
    return wald_p_value(numops_shares(every), (*NUMOPS[:6], sum(NUMOPS[6:])), 990)


def sizes_p_value(every: list[Sequence]) -> float:
    """Return the p-value of the sizes of boxes, compared with the authors' counts."""
    return wald_p_value(size_shares(every), SIZES, 2200)


def all_splits(seed: int, vocabulary: Contents) -> list[Sequence]:
    """Return the sequences of the three splits."""
    return [sequence for split in splits.SHARES for sequence in sequences(split, seed, vocabulary)]


@pytest.fixture(scope="module")
def everything(vocabulary: Contents) -> list[Sequence]:
    """All sequences of seed 0."""
    return all_splits(0, vocabulary)


def of_split(everything: list[Sequence], split: str) -> list[Sequence]:
    """Return the sequences of one split, by their numbers."""
    first = splits.first_sample_id(split)
    return everything[first : first + splits.size(split)]


def test_numops_are_distributed_as_the_authors(everything: list[Sequence]) -> None:
    """The test split's queries by numops differ from the authors' by no more than sampling."""
    assert numops_p_value(of_split(everything, "test")) > LEVEL


def test_sizes_are_distributed_as_the_authors(everything: list[Sequence]) -> None:
    """The sizes of the asked boxes differ from the authors' by no more than sampling."""
    assert sizes_p_value(everything) > LEVEL


def steps(every: list[Sequence]) -> Iterator[tuple[World, Operation]]:
    """Yield each operation of the sequences with the world before it."""
    for sequence in every:
        worlds = replay(sequence.initial, sequence.operations)
        yield from zip(worlds, sequence.operations, strict=False)


def put_p_value(every: list[Sequence]) -> float:
    """Return the p-value of the numbers of objects put into empty boxes: 6 to 3 to 1."""
    puts = [o for world, o in steps(every) if o.kind == "put" and not world[o.destination or 0]]
    counts = np.bincount([len(operation.objects) for operation in puts], minlength=4)[1:]
    return float(chisquare(counts, len(puts) * np.array([6, 3, 1]) / 10).pvalue)


def remove_p_value(every: list[Sequence]) -> float:
    """Return the p-value of the subsets removed from full boxes, which are uniform."""
    subsets = [
        sum(1 << index for index, name in enumerate(world[o.source]) if name in o.objects)
        for world, o in steps(every)
        if o.kind == "remove" and o.source is not None and len(world[o.source]) == 3
    ]
    return float(chisquare(np.bincount(subsets, minlength=8)[1:]).pvalue)


def kinds_p_values(every: list[Sequence]) -> list[float]:
    """Return the p-value of the kinds of operations, given the worlds before them.

    An operation is drawn again until it can be carried out, so that a kind is as likely as its
    share of what can be. Given the world each operation is a fresh draw, so that the sum of
    surprises is nearly normal.
    """
    surprise, variance = np.zeros(3), np.zeros(3)
    for world, operation in steps(every):
        weights = np.array([possible(world, kind) for kind in KINDS])
        chances = weights / weights.sum()
        surprise += [operation.kind == kind for kind in KINDS] - chances
        variance += chances * (1 - chances)
    return [float(p) for p in 2 * norm.sf(abs(surprise) / np.sqrt(variance))]


def possible(world: World, kind: Kind) -> float:
    """Return seven times the probability that an operation of this kind is possible."""
    sizes = [len(objects) for objects in world]
    if kind == "remove":
        return float(sum(size > 0 for size in sizes))
    if kind == "put":
        return sum(exp(-1) / factorial(n) for size in sizes for n in range(1, 4 - size))
    moves = [
        comb(size, n) / (2**size - 1) / 6
        for source, size in enumerate(sizes)
        for n in range(1, size + 1)
        for destination, other in enumerate(sizes)
        if destination != source and other + n <= 3
    ]
    return float(sum(moves))


def test_operations_are_drawn_as_described(everything: list[Sequence]) -> None:
    """Kinds, numbers of objects put and subsets removed have the frequencies of the protocol."""
    assert put_p_value(everything) > LEVEL
    assert remove_p_value(everything) > LEVEL
    assert min(kinds_p_values(everything)) > LEVEL


def put_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong generator: puts two objects on average, not one."""
    monkeypatch.setattr(generator, "_MEAN_PUT", 2)


def take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong generator: moves and removes all objects of a box."""
    monkeypatch.setattr(PortableRandom, "subset", lambda rng, items: list(items))


def favour_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong generator: draws moves twice as often as the other kinds."""
    monkeypatch.setattr(generator, "KINDS", ("move", "move", "remove", "put"))


def start_emptier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong generator: starts with one object per box on average, not two."""
    monkeypatch.setattr(generator, "_MEAN_INITIAL", 1)


@pytest.mark.parametrize(
    ("wrong", "p_value"),
    [
        (take_all, numops_p_value),
        (favour_moves, numops_p_value),
        (take_all, sizes_p_value),
        (start_emptier, sizes_p_value),
        (put_two, put_p_value),
        (take_all, remove_p_value),
        (favour_moves, lambda every: min(kinds_p_values(every))),
    ],
)
def test_wrong_generator_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    vocabulary: Contents,
    wrong: Callable[[pytest.MonkeyPatch], None],
    p_value: Callable[[list[Sequence]], float],
) -> None:
    """The tests have the power to reject generators that are plausible but wrong.

    Two objects put on average, not one, shift the authors' counts by a point at most, which is
    within the sampling of their 2,200 sequences: only the operations themselves show it.
    """
    wrong(monkeypatch)
    assert p_value(list(sequences("test", 0, vocabulary))) < LEVEL


def test_splits_have_their_sizes_and_numbers(everything: list[Sequence]) -> None:
    """The splits have 990, 220 and 990 sequences, numbered consecutively."""
    assert [len(of_split(everything, split)) for split in ("train", "dev", "test")] == [
        990,
        220,
        990,
    ]
    assert [sequence.sample_id for sequence in everything] == list(range(2200))


def test_every_sequence_is_valid(everything: list[Sequence], vocabulary: Contents) -> None:
    """Every sequence has twelve valid operations on objects of the vocabulary."""
    nouns = set(vocabulary)
    for sequence in everything:
        assert len(sequence.operations) == 12
        for world in replay(check(sequence.initial), sequence.operations):
            check(world)
            assert all(list(objects) == sorted(objects) for objects in world)
            assert nouns.issuperset(chain.from_iterable(world))
        for operation in sequence.operations:
            assert list(operation.objects) == sorted(operation.objects)


def test_signatures_are_disjoint_between_splits(everything: list[Sequence]) -> None:
    """No split has an initial state with the box sizes of another split's."""
    result = [
        {splits.signature(sequence.initial) for sequence in of_split(everything, split)}
        for split in splits.SHARES
    ]
    train, dev, test = result
    assert not train & dev
    assert not train & test
    assert not dev & test


def test_initial_worlds_are_never_repeated(everything: list[Sequence]) -> None:
    """All 2,200 sequences start from different worlds."""
    assert len({sequence.initial for sequence in everything}) == 2200


def test_repeated_initial_world_is_skipped(
    monkeypatch: pytest.MonkeyPatch, vocabulary: Contents
) -> None:
    """A repeated initial world is redrawn, if it is the last one or an earlier one."""
    original = generator.initial_world
    drawn: list[World] = []

    def repeating(rng: PortableRandom, objects: Contents) -> World:
        turn = len(drawn)
        drawn.append(original(rng, objects) if turn % 4 < 2 else drawn[turn - 2])
        return drawn[-1]

    monkeypatch.setattr(generator, "initial_world", repeating)
    result = [sequence.initial for sequence in sequences("dev", 0, vocabulary)]
    assert len(set(result)) == len(result) == 220


def test_splits_can_be_had_one_by_one(everything: list[Sequence], vocabulary: Contents) -> None:
    """A split does not depend on the others, and its beginning not on its end."""
    assert list(sequences("dev", 0, vocabulary)) == of_split(everything, "dev")
    assert list(islice(sequences("test", 0, vocabulary), 5)) == of_split(everything, "test")[:5]


def test_seeds_and_streams_differ(vocabulary: Contents) -> None:
    """Another seed gives other sequences, and the subset another stream than the split."""
    first, second = (next(sequences("dev", seed, vocabulary)) for seed in (0, 1))
    assert first != second
    draws = [rng.bit_generator.random_raw() for rng in map(subsample_rng, (0, 0, 1))]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0] != generator._rng(0, "test").bit_generator.random_raw()


def test_smallest_vocabulary_is_enough() -> None:
    """With 21 objects all boxes can be full; every put still takes what is outside."""
    objects = tuple("abcdefghijklmnopqrstu")
    for sequence in islice(sequences("dev", 0, objects), 60):
        for world in replay(check(sequence.initial), sequence.operations):
            assert set(objects).issuperset(chain.from_iterable(check(world)))


def test_initial_state_is_drawn_as_described(vocabulary: Contents) -> None:
    """Sizes are Poisson(2) cut at 3, boxes alike, objects all alike (chi-square, level 1e-4)."""
    rng = PortableRandom(np.random.Generator(np.random.PCG64(9)))
    worlds = [generator.initial_world(rng, vocabulary) for _ in range(1500)]
    shares = np.array([np.exp(-2), 2 * np.exp(-2), 2 * np.exp(-2), 1 - 5 * np.exp(-2)])
    sizes = np.array(
        [np.bincount([len(world[box]) for world in worlds], minlength=4) for box in range(7)]
    )
    expected = 1500 * shares
    assert chi2.sf(((sizes - expected) ** 2 / expected).sum(), 7 * 3) > 1e-4
    named = [name for world in worlds for objects in world for name in objects]
    counts = np.array([named.count(name) for name in vocabulary])
    assert chi2.sf(((counts - counts.mean()) ** 2 / counts.mean()).sum(), 99) > 1e-4


def test_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """The command writes the same bytes for any hash seed of Python."""
    written = []
    for hash_seed in ("0", "1"):
        out = tmp_path / f"{hash_seed}.jsonl"
        command = ["generate", "--split", "dev", "--seed", "5", "--out", str(out)]
        subprocess.run(  # noqa: S603 - the project's own command
            [sys.executable, "-m", "benchmark", *command],
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )
        written.append(out.read_bytes())
    assert written[0].count(b"\n") == 220 * 13 * 7
    assert written[0] == written[1]


def lines(every: Iterator[State]) -> Iterator[str]:
    """Return the states as lines of a file."""
    return (f"{row}\n" for state in every for row in rows(state))


def test_dev_split_of_seed_0_is_pinned(vocabulary: Contents) -> None:
    """The generated data has this digest on every platform."""
    digest, count = sha256(), 0
    for line in lines(generate("dev", 0, vocabulary)):
        digest.update(line.encode())
        count += 1
    assert (count, digest.hexdigest()) == (
        20020,
        "fb920e6a9a228868c9a1f2b52924319a29ebd44dee0b778812e22bffdd893fc5",
    )


def peak_memory(split: str, path: Path, vocabulary: Contents) -> int:
    """Return the peak memory in bytes of writing a split to a file."""
    tracemalloc.start()
    try:
        with path.open("w", encoding="utf-8") as out:
            out.writelines(lines(dataset.generate(split, 0, vocabulary)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def memory_ratio(
    monkeypatch: pytest.MonkeyPatch, path: Path, vocabulary: Contents, sequences_in_all: int
) -> float:
    """Return how much more memory the test split needs than the dev split.

    The signatures are made beforehand: their memory does not depend on the size of the split, is
    ten times that of the rest, and would hide its growth.
    """
    every = frozenset(product(range(4), repeat=7))
    monkeypatch.setattr(splits, "signatures", lambda draws: dict.fromkeys(splits.SHARES, every))
    monkeypatch.setattr(splits, "SEQUENCES", sequences_in_all)
    list(islice(lines(dataset.generate("dev", 0, vocabulary)), 500))  # fill what is cached once
    small, large = (peak_memory(split, path, vocabulary) for split in ("dev", "test"))
    return large / small


def test_memory_does_not_grow_with_the_number_of_sequences(
    tmp_path: Path, vocabulary: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing 4.5 times as many sequences takes no more memory, except for their digests."""
    assert memory_ratio(monkeypatch, tmp_path / "out.jsonl", vocabulary, 1100) < 1.5


@pytest.mark.parametrize("function", ["sequences", "states"])
def test_memory_test_finds_out_what_is_held(
    tmp_path: Path, vocabulary: Contents, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """The test above can fail: keeping sequences or states takes more memory."""
    original = getattr(dataset, function)
    if function == "sequences":
        monkeypatch.setattr(dataset, function, lambda *arguments: list(original(*arguments)))
    else:
        kept: list[State] = []

        def keeping(*arguments: object) -> Iterator[State]:
            for state in original(*arguments):
                kept.append(state)
                yield state

        monkeypatch.setattr(dataset, function, keeping)
    assert memory_ratio(monkeypatch, tmp_path / "out.jsonl", vocabulary, 400) > 1.5
