"""The figures of a row, and the arithmetic limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.external.messages import DecodeReply
from benchmark.speed.differences import FirstDifference, first_differences
from benchmark.speed.figures import (
    ArithmeticLimit,
    Measurement,
    arithmetic_limit,
    distinct_spans,
    figures,
    paper_measurement,
)
from benchmark.speed.specs import parse


def _reply(seconds: float, answers: list[list[int]], passes: int | None = 6) -> DecodeReply:
    return {
        "seconds": seconds,
        "processor": 2 * seconds,
        "passes": passes,
        "tokens": 30,
        "answers": answers,
        "peak_memory": int(1000 * seconds),
    }


def _measured(
    name: str, states: list[int], seconds: list[float], answers: list[list[int]]
) -> Measurement:
    spec = parse(name, "float32", 32)[0]
    return Measurement(spec, states, [_reply(one, answers) for one in seconds])


def test_engine_compared_with_the_papers_method() -> None:
    """Median, spread, ratio, peak and counts per state; states that both answered are compared."""
    paper = _measured("outlines", [0, 2], [12.0, 10.0, 20.0], [[1], [3, 3]])
    ours = _measured("speculative", [0, 1, 2], [3.0, 1.5, 6.0], [[1], [2], [3]])
    limit = ArithmeticLimit(
        layers=0.075, attention=0.025, head=0.1, tokens=4.0, choices=1.0, reading=0.3, states=3
    )
    row = figures(ours, paper, limit)
    assert (row.seconds, row.spread, row.processor) == (1.0, 1.5, 2.0)
    assert (row.times, row.to_limit, row.peak_memory) == (6.0, 2.0, 6000)
    assert (row.passes, row.tokens) == (2.0, 10.0)
    assert (row.same, row.compared, row.repeatable) == (1, 2, True)
    # Two passes of five tokens each: multiplying takes longer than reading the weights.
    assert row.roofline == pytest.approx(2 * 5 * 0.1 + 0.1)
    assert limit.roofline(passes=4, tokens=10) == pytest.approx(4 * 0.3 + 0.1)


def test_missing_figures_are_none() -> None:
    """There is no ratio without the paper's method; an engine that failed has its reason."""
    row = figures(_measured("vllm", [0], [1.0], [[1]]), None)
    assert (row.times, row.same, row.compared, row.to_limit) == (None, None, None, None)
    failed = Measurement(parse("vllm", "float32", 32)[0], [0], failure="not there")
    assert figures(failed, None).failure == "not there"
    assert figures(failed, None).seconds is None


def test_differing_rounds_are_not_repeatable() -> None:
    """An engine whose second round has other answers is not repeatable."""
    measured = _measured("vllm", [0], [1.0], [[1]])
    measured.rounds.append(_reply(1.0, [[2]], None))
    row = figures(measured, None)
    assert row.repeatable is False
    assert row.passes == 6.0


def test_paper_measurement() -> None:
    """It is outlines with batch size 1, in float32 if measured in two dtypes."""
    small, exact = parse("outlines,outlines:float32", "bfloat16", 32)
    rounds = [_reply(1.0, [[1]])]
    two = [Measurement(small, [0], rounds), Measurement(exact, [0], rounds)]
    assert paper_measurement(two) is two[1]
    assert paper_measurement(two[:1]) is two[0]
    batched = parse("outlines@8,outlines@best", "float32", 32)
    assert paper_measurement([Measurement(spec, [0], rounds) for spec in batched]) is None


TOKENS = st.integers(0, 2)


@given(st.lists(st.lists(TOKENS, min_size=1, max_size=6).map(tuple), min_size=1, max_size=8))
def test_distinct_spans(prompts: list[tuple[int, ...]]) -> None:
    """They have the last tokens of distinct prefixes, without those that all prompts share."""
    prefixes = {ids[: i + 1] for ids in prompts for i in range(len(ids))}
    common = {b for b in prefixes if all(ids[: len(b)] == b for ids in prompts)}
    positions = [position for span in distinct_spans(prompts) for position in span]
    assert sorted(positions) == sorted(len(prefix) - 1 for prefix in prefixes - common)


def test_limit_adds_layers_attention_and_head() -> None:
    """Seconds per token and per query and key, plus seconds per choice times choices."""
    rounds = [
        {
            "layers": s,
            "attention": [(None, s / 10), (3, s / 5)],
            "head": 10 * s,
            "choices": c,
            "reading": 9 * s,
        }
        for s, c in ((1, 0), (3, 0), (2, 4))
    ]
    prompts, answers = [(5, 1), (5, 2), (5, 2, 3)], {0: [1, 1], 2: [1]}
    limit = arithmetic_limit(rounds, prompts, answers)  # type: ignore[arg-type]
    assert (limit.tokens, limit.choices) == (1 + 1.5, 4)
    # The tokens 1, 2 and 3 of the prompts see 2, 2 and 3 keys, those of the answers 3, 4 and 4; in
    # a window of three, these are 2, 2, 3 and 3, 3, 3.
    attention = 0.2 * (7 / 3 + 11 / 2) + 0.4 * (7 / 3 + 9 / 2)
    assert limit.attention == pytest.approx(attention / 2.5)
    assert limit.seconds == pytest.approx(2 * 2.5 + attention + 20 * 4)
    assert (limit.reading, limit.states, limit.disturbed) == (18, 3, False)
    rounds[1]["disturbed"] = True
    assert arithmetic_limit(rounds, prompts, answers).disturbed  # type: ignore[arg-type]


def test_a_single_prompt_is_shared_by_all() -> None:
    """It has no tokens of its own; those of the answer count."""
    rounds = [
        {"layers": 1.0, "attention": [(None, 0.5)], "head": 0.0, "choices": 0.0, "reading": 1.0}
    ]
    limit = arithmetic_limit(rounds, [(5, 1)], {0: [1, 1, 1]})  # type: ignore[arg-type]
    assert (limit.tokens, limit.attention) == (3, 0.5 * (3 + 4 + 5) / 3)
    empty = arithmetic_limit(rounds, [(5, 1)], {0: []})  # type: ignore[arg-type]
    assert (empty.tokens, empty.attention, empty.seconds) == (0, 0, 0)


ANSWER = st.lists(st.integers(0, 3), max_size=5)


@given(st.dictionaries(st.integers(0, 4), ANSWER), st.dictionaries(st.integers(0, 4), ANSWER))
def test_first_differences(ours: dict[int, list[int]], theirs: dict[int, list[int]]) -> None:
    """Each state whose answers differ has one, and the answers are equal before it."""
    end = 9
    differences = first_differences(ours, theirs, end)
    assert [one.state for one in differences] == [
        i for i in sorted(ours) if i in theirs and ours[i] != theirs[i]
    ]
    for one in differences:
        mine, yours = [*ours[one.state], end], [*theirs[one.state], end]
        assert mine[: one.token] == yours[: one.token]
        assert one == FirstDifference(one.state, one.token, mine[one.token], yours[one.token])
        assert one.ours != one.theirs
