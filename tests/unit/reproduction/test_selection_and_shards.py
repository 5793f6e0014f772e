"""Which pairs are reproduced, and which models are in a shard."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import SettingError
from benchmark.models.registry import registry
from benchmark.reproduction.selection import parsed, selected_pairs
from benchmark.reproduction.shards import Shard, shard_of
from fakes.fake_cluster import fake_job


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("code-llama2-13b", {"code-llama2-13b"}),
        ("CODE-llama2 and not (70b or 7b)", {"code-llama2-13b"}),
        ("math and deepseek", {"math-deepseek-coder-7b"}),
        ("codellama-70b-instruct", {"alignment-codellama-70b"}),
        ("not not code-gemma-7b", {"code-gemma-7b"}),
        ("qwen2.5-0.5b", {"code-qwen2.5-0.5b"}),
    ],
)
def test_words_select_pairs(only: str, expected: set[str]) -> None:
    """A word occurs in the pair's identifier, its experiment or a key of its models."""
    assert {pair.id for pair in selected_pairs(registry(), only)} == expected


def test_the_paper_and_its_experiments() -> None:
    """29 models in 21 pairs are the paper's; options are combined."""
    pairs = selected_pairs(registry(), paper=True)
    assert len(pairs) == 21
    assert len({key for pair in pairs for key in (pair.base, pair.variant)}) == 29
    assert {p.experiment for p in selected_pairs(registry(), experiment="math")} == {"math"}
    with pytest.raises(SettingError, match="select no pair; see: list pairs"):
        selected_pairs(registry(), "qwen", paper=True)


@pytest.mark.parametrize(
    ("only", "unexpected"),
    [
        ("", "the end"),
        ("a b", "'b'"),
        ("and a", "'and'"),
        ("(a", "the end"),
        ("a)", "'[)]'"),
        ("a ; b", "';'"),
    ],
)
def test_what_is_no_expression(only: str, unexpected: str) -> None:
    """The error names what is unexpected, and an example."""
    with pytest.raises(SettingError, match=f"unexpected {unexpected}; write words with and, or"):
        selected_pairs(registry(), only)


_EXPRESSIONS = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.one_of(
        inner.map(lambda text: f"not {text}"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=8,
)


@settings(max_examples=40)
@given(text=_EXPRESSIONS, true=st.sets(st.sampled_from("abc")))
def test_expressions_mean_what_python_s_mean(text: str, true: set[str]) -> None:
    """Precedence and parentheses are Python's."""
    expected = eval(text, {}, {name: name in true for name in "abc"})  # noqa: S307  # drawn above
    assert parsed(text)(true.__contains__) == expected


@settings(max_examples=40)
@given(
    seconds=st.lists(st.integers(0, 100), max_size=20),
    count=st.integers(1, 6),
)
def test_shards_are_a_balanced_partition(seconds: list[int], count: int) -> None:
    """In any order each model is in one shard, and shards take 4/3 of the best at most."""
    jobs = [fake_job(f"m{n}", time) for n, time in enumerate(seconds)]
    parts = [shard_of(jobs, Shard(index, count)) for index in range(1, count + 1)]
    names = [job.name for part in parts for job in part]
    assert sorted(names) == sorted(job.name for job in jobs)
    backwards = [shard_of(jobs[::-1], Shard(index, count)) for index in range(1, count + 1)]
    assert [{j.name for j in part} for part in backwards] == [{j.name for j in p} for p in parts]
    longest = max(sum(job.seconds for job in part) for part in parts)
    lower = max([sum(seconds) / count, *seconds], default=0)
    # Graham: at most the mean of the others and the last model.
    assert longest <= lower + (1 - 1 / count) * max(seconds, default=0) + 1e-9
    loads = [0.0] * count
    for time in sorted(seconds, reverse=True):  # the naive version, by load alone
        loads[loads.index(min(loads))] += time
    assert sorted(sum(j.seconds for j in part) for part in parts) == sorted(loads)


def _slurm(task: int, count: int, first: int = 1, step: int = 1) -> dict[str, str]:
    """Return what SLURM sets for a task of ``--array=FIRST-LAST:STEP``."""
    values = {"ID": task, "COUNT": count, "MIN": first, "MAX": first + step * (count - 1)}
    return {f"SLURM_ARRAY_TASK_{n}": str(v) for n, v in {**values, "STEP": step}.items()}


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("slurm", _slurm(1, 4), (1, 4)),
        ("slurm", _slurm(4, 4), (4, 4)),
        ("slurm", _slurm(0, 4, first=0), (1, 4)),
        ("slurm", _slurm(3, 4, first=0), (4, 4)),
        ("slurm/8", _slurm(3, 8), (3, 8)),
        ("slurm/8", _slurm(3, 1, first=3), (3, 8)),  # --array=3, submitted again
        ("slurm/8", _slurm(4, 3, first=3), (4, 8)),  # --array=3-5
        ("slurm/8", _slurm(7, 4, first=1, step=2), (7, 8)),  # --array=1-7:2
        ("slurm/8", {"SLURM_ARRAY_TASK_ID": "8"}, (8, 8)),
        ("slurm/1-8", _slurm(3, 1, first=3), (3, 8)),
        ("slurm/0-7", _slurm(3, 1, first=3), (4, 8)),
        ("slurm/0-7", _slurm(0, 8, first=0), (1, 8)),
        ("slurm/1", _slurm(1, 1), (1, 1)),
    ],
)
def test_the_task_of_an_array(
    text: str, variables: dict[str, str], expected: tuple[int, int]
) -> None:
    """A task's number is that of its shard, also if it is submitted again without the others."""
    assert Shard.parse(text, variables) == Shard(*expected)


@pytest.mark.parametrize(
    ("text", "variables", "message"),
    [
        ("0/4", {}, "1 <= I <= N"),
        ("5/4", {}, "1 <= I <= N"),
        ("two", {}, "1 <= I <= N"),
        ("slurm/x", {}, "1 <= I <= N"),
        ("slurm/2-9", {}, "1 <= I <= N"),
        ("slurm", {}, "ID is not set as in a task of a SLURM array"),
        ("slurm/8", {}, "ID is not set"),
        ("slurm", _slurm(1, 2) | {"SLURM_ARRAY_TASK_ID": "x"}, "ID is not set"),
        ("slurm", {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"}, "MIN is not set"),
        ("slurm", _slurm(3, 1, first=3), "task 3 of an array from 3 to 3, of 1 in all: .*slurm/8"),
        ("slurm", _slurm(1, 1), "some tasks of a larger array"),
        ("slurm", _slurm(4, 3, first=3), "some tasks of a larger array"),
        ("slurm", _slurm(3, 4, step=2), "some tasks of a larger array"),
        ("slurm", _slurm(1, 3) | {"SLURM_ARRAY_TASK_MAX": "9"}, "some tasks of a larger array"),
        ("slurm", _slurm(9, 4), "some tasks of a larger array"),
        ("slurm/8", _slurm(9, 1, first=9), "not of one from 1 to 8"),
        ("slurm/8", _slurm(3, 8, first=0), "from 0 to 7, not of one from 1 to 8"),
        ("slurm/8", _slurm(3, 9), "from 1 to 9, not of one from 1 to 8"),
        ("slurm/0", _slurm(1, 8), "not of one from 1 to 0"),
    ],
)
def test_what_is_no_shard(text: str, variables: dict[str, str], message: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(SettingError, match=message):
        Shard.parse(text, variables)


def test_a_shard_by_its_numbers() -> None:
    """I/N is the I-th of N."""
    assert Shard.parse("2/8", {}) == Shard(2, 8)
    assert Shard(2, 8).words == "2/8"
