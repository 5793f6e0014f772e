"""What rounds come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.speed.differences import Parting, partings
from benchmark.speed.figures import (
    Limit,
    Measurement,
    arithmetic_limit,
    baseline,
    distinct_tokens,
    figures,
)
from benchmark.speed.messages import Taken
from benchmark.speed.specs import parse


def _taken(seconds: float, answers: list[list[int]], passes: int | None = 6) -> Taken:
    return {
        "seconds": seconds,
        "processor": 2 * seconds,
        "passes": passes,
        "tokens": 30,
        "answers": answers,
        "peak_memory": int(1000 * seconds),
    }


def _measured(
    name: str, places: list[int], seconds: list[float], answers: list[list[int]]
) -> Measurement:
    spec = parse(name, "float32", 32)[0]
    return Measurement(spec, places, [_taken(each, answers) for each in seconds])


def test_an_engine_beside_the_papers_method() -> None:
    """Median, spread, ratio, peak and counts a state; answers compared where both have one."""
    paper = _measured("outlines", [0, 2], [12.0, 10.0, 20.0], [[1], [3, 3]])
    ours = _measured("speculative", [0, 1, 2], [3.0, 1.5, 6.0], [[1], [2], [3]])
    limit = Limit(layers=0.1, head=0.1, tokens=4.0, choices=1.0, reading=0.3)
    row = figures(ours, paper, limit)
    assert (row.seconds, row.spread, row.processor) == (1.0, 1.5, 2.0)
    assert (row.times, row.to_limit, row.peak_memory) == (6.0, 2.0, 6000)
    assert (row.passes, row.tokens) == (2.0, 10.0)
    assert (row.same, row.compared, row.repeatable) == (1, 2, True)
    # Two passes of five tokens each, which take longer than reading the weights.
    assert row.roofline == pytest.approx(2 * 5 * 0.1 + 0.1)
    assert limit.roofline(passes=4, tokens=10) == pytest.approx(4 * 0.3 + 0.1)


def test_what_is_not_known_is_none() -> None:
    """Without the paper's method there is no ratio; an engine that failed has its reason."""
    row = figures(_measured("vllm", [0], [1.0], [[1]]), None)
    assert (row.times, row.same, row.compared, row.to_limit) == (None, None, None, None)
    failed = Measurement(parse("vllm", "float32", 32)[0], [0], failure="not there")
    assert figures(failed, None).failure == "not there"
    assert figures(failed, None).seconds is None


def test_rounds_that_differ_are_seen() -> None:
    """An engine that answers differently in its second round is not repeatable."""
    measured = _measured("vllm", [0], [1.0], [[1]])
    measured.rounds.append(_taken(1.0, [[2]], None))
    row = figures(measured, None)
    assert row.repeatable is False
    assert row.passes == 6.0


def test_the_papers_method_in_float32_is_the_baseline() -> None:
    """Batch 1 of outlines, in float32 where it is there in two dtypes; no other batch size."""
    small, exact = parse("outlines,outlines:float32", "bfloat16", 32)
    rounds = [_taken(1.0, [[1]])]
    two = [Measurement(small, [0], rounds), Measurement(exact, [0], rounds)]
    assert baseline(two) is two[1]
    assert baseline(two[:1]) is two[0]
    batched = parse("outlines@8,outlines@best", "float32", 32)
    assert baseline([Measurement(spec, [0], rounds) for spec in batched]) is None


TOKENS = st.integers(0, 2)


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=6).map(tuple), min_size=1, max_size=8))
def test_distinct_tokens(prompts: list[tuple[int, ...]]) -> None:
    """As many as there are different beginnings, but for those that all prompts have."""
    beginnings = {ids[: i + 1] for ids in prompts for i in range(len(ids))}
    common = {b for b in beginnings if all(ids[: len(b)] == b for ids in prompts)}
    assert distinct_tokens(prompts) == len(beginnings - common)


def test_limit_adds_layers_and_head() -> None:
    """Median seconds a token times tokens a state, and a choice times choices."""
    rounds = [
        {"layers": s, "head": 10 * s, "choices": c, "reading": 9 * s}
        for s, c in ((1, 0), (3, 0), (2, 4))
    ]
    limit = arithmetic_limit(rounds, [(5, 1), (5, 2), (5, 2, 3)], [[1, 1], [1]])  # type: ignore[arg-type]
    assert (limit.tokens, limit.choices) == (1 + 1.5, 4)
    assert limit.seconds == pytest.approx(2 * 2.5 + 20 * 4)
    assert limit.reading == 18


ANSWER = st.lists(st.integers(0, 3), max_size=5)


@given(st.dictionaries(st.integers(0, 4), ANSWER), st.dictionaries(st.integers(0, 4), ANSWER))
def test_partings(ours: dict[int, list[int]], theirs: dict[int, list[int]]) -> None:
    """A parting for each state whose answers differ: alike before it, different there."""
    end = 9
    found = partings(ours, theirs, end)
    assert [one.state for one in found] == [
        i for i in sorted(ours) if i in theirs and ours[i] != theirs[i]
    ]
    for one in found:
        mine, yours = [*ours[one.state], end], [*theirs[one.state], end]
        assert mine[: one.token] == yours[: one.token]
        assert one == Parting(one.state, one.token, mine[one.token], yours[one.token])
        assert one.ours != one.theirs
