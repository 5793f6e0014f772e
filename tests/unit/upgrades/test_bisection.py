"""Bisection over releases, with environments that are only names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.record import Fingerprint
from benchmark.upgrades.bisection import bisect
from benchmark.upgrades.bisection_text import bisection_lines
from benchmark.upgrades.flakiness import ALIKE, LEVEL, Flakiness, MeasuredEnvironment

RELEASES = tuple(f"{major}.{minor}" for major in (1, 2) for minor in range(8))
FakeBench = Callable[..., Any]


def _moved_at(*versions: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """Token ids move with each of these releases, and nothing else does."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        now = RELEASES.index(libraries["lib"])
        return {"prompt": "p", "prompt_ids": f"t{sum(now >= RELEASES.index(v) for v in versions)}"}

    return stages


@pytest.mark.parametrize("culprit", RELEASES[1:])
def test_the_release_that_moved_is_named(
    culprit: str, tmp_path: Path, fake_bench: FakeBench
) -> None:
    """Wherever it is, with the stage that it moved and the last release before it."""
    bench, said = fake_bench(tmp_path, _moved_at(culprit))
    found = bisect("lib", RELEASES, bench)
    (step,) = found.steps
    assert step.after == culprit
    assert step.before == RELEASES[RELEASES.index(culprit) - 1]
    assert step.comparison.stage == "prompt_ids"
    assert found.rest is None
    assert len(said) == len(found.measured) <= 6
    assert found.exit_status == 3
    assert f"first moved by lib {culprit}" in "\n".join(bisection_lines(found))


def test_an_unknown_depth_costs_nothing(tmp_path: Path, fake_bench: FakeBench) -> None:
    """It is refused before any environment is made."""
    bench, said = fake_bench(tmp_path, _moved_at("1.5"))
    with pytest.raises(SettingError, match="no depth 'all'; choose first, every, each"):
        bisect("lib", RELEASES, bench, "all")
    assert (bench.runs, said) == ([], [])


def test_a_second_run_measures_nothing_again(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Records stay on disk, so a search that was stopped goes on where it was."""
    first, _ = fake_bench(tmp_path, _moved_at("1.5"))
    second, _ = fake_bench(tmp_path, _moved_at("1.5"))
    answers = [bisect("lib", RELEASES, bench).as_json() for bench in (first, second)]
    assert answers[0] == answers[1]
    assert first.runs
    assert not second.runs


def test_another_code_measures_anew(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Records belong to the code that made them."""
    first, _ = fake_bench(tmp_path, _moved_at("1.5"))
    bisect("lib", RELEASES, first)
    second, _ = fake_bench(tmp_path, _moved_at("1.5"))
    second.code = "other"
    bisect("lib", RELEASES, second)
    assert second.runs == first.runs


def test_releases_that_cannot_be_had_are_skipped(tmp_path: Path, fake_bench: FakeBench) -> None:
    """What is not installable, or crashes, is said, and stays a suspect beside the move."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        broken = libraries["lib"] == "1.5"
        return None if broken else _moved_at("1.6")(libraries)

    bench, said = fake_bench(tmp_path, stages, frozenset({"lib==1.4"}))
    found = bisect("lib", RELEASES, bench)
    assert (found.steps[0].before, found.steps[0].after) == ("1.3", "1.6")
    assert found.steps[0].unknown == ("1.4", "1.5")
    assert found.skipped == {
        "1.4": "cannot be installed: no lib==1.4",
        "1.5": "does not run: ImportError: broken release",
    }
    assert sum("skipped" in line for line in said) == 2
    assert "1.4, 1.5 between them" in "\n".join(bisection_lines(found))


def test_what_moved_later_is_not_hidden(tmp_path: Path, fake_bench: FakeBench) -> None:
    """After the first move the end is held against it; ``every`` finds where it went on."""
    bench, _ = fake_bench(tmp_path, _moved_at("1.2", "2.3"))
    found = bisect("lib", RELEASES, bench)
    assert found.rest is not None
    assert "moved more" in "\n".join(bisection_lines(found))
    all_ = bisect("lib", RELEASES, bench, "every")
    assert [step.after for step in all_.steps] == ["1.2", "2.3"]


def test_nothing_moved(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Two like ends are measured, and no more."""
    bench, _ = fake_bench(tmp_path, _moved_at())
    found = bisect("lib", RELEASES, bench)
    assert found.measured == ("1.0", "2.7")
    assert (found.steps, found.exit_status) == ((), 0)
    assert "nothing moved" in "\n".join(bisection_lines(found))


def test_releases_none_of_which_runs(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Are an error in one line."""
    bench, _ = fake_bench(tmp_path, lambda libraries: None)
    with pytest.raises(SettingError, match="widen the range"):
        bisect("lib", RELEASES, bench)


def test_what_is_installed_alongside_is_part_of_every_environment(
    tmp_path: Path, fake_bench: FakeBench
) -> None:
    """``--with`` goes to the maker beside each release."""
    bench, _ = fake_bench(tmp_path, _moved_at("1.2"))
    bisect("lib", RELEASES, bench, alongside=("other==3",))
    assert bench.maker.made
    assert all(name.endswith(" other==3") for name in bench.maker.made)


def _random(libraries: Mapping[str, str]) -> str:
    """Another value in every process."""
    return f"{libraries['lib']} {libraries.get('turn')}"


def test_releases_that_never_give_the_same_twice(tmp_path: Path, fake_bench: FakeBench) -> None:
    """All differ, from each other as from themselves: nothing moved, and chance is called so."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": _random(libraries)})
    found = bisect("lib", RELEASES[:4], bench)
    assert (found.steps, found.exit_status) == ((), 0)
    lines = "\n".join(bisection_lines(found))
    assert "1.0 and 1.3 differ by chance only: prompt_ids: p = 1 over 7 and 7 processes" in lines
    assert "1.0 alone gives another prompt_ids in another process" in lines
    assert any(line.endswith("gives another prompt_ids in another process") for line in said)
    assert ("1.0", "1.3") in {(step.before, step.after) for step in found.chances}
    assert found.as_json()["by_chance_only"]


@pytest.mark.parametrize("culprit", RELEASES[1:])
def test_the_release_that_ended_chance_is_named(
    culprit: str, tmp_path: Path, fake_bench: FakeBench
) -> None:
    """Random up to it and steady since: chance on the way does not lead the search astray."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index(culprit)
        return {"prompt": "p", "prompt_ids": "steady" if later else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    found = bisect("lib", RELEASES, bench)
    (step,) = found.steps
    assert (step.after, step.difference.stage) == (culprit, "prompt_ids")
    assert step.difference.p == {"prompt_ids": 0.0006}
    assert "that is no chance: prompt_ids: p = 0.0006 over 7" in "\n".join(bisection_lines(found))
    assert step.as_json()["permutation_test"] == {"p": {"prompt_ids": 0.0006}, "processes": [7, 7]}


def test_a_move_behind_chance(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Token ids are random before and after, and the constraint is another: that is the stage."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index("1.4")
        return {"prompt_ids": _random(libraries), "constraint": f"{later}", "weights": "w"}

    bench, _ = fake_bench(tmp_path, stages)
    (step,) = bisect("lib", RELEASES, bench).steps
    assert (step.after, step.comparison.stage, step.difference.stage) == (
        "1.4",
        "prompt_ids",
        "constraint",
    )
    assert step.difference.p == {"prompt_ids": 1.0, "constraint": 0.0006}


def test_a_move_before_chance(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Is certain at once: tokens that differ from process to process explain no other prompt."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index("1.4")
        return {"prompt": f"{later}", "prompt_ids": "t" if later else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    found = bisect("lib", ("1.3", "1.4"), bench)
    (step,) = found.steps
    lines = list(bisection_lines(found))
    assert (step.difference.stage, step.difference.p) == ("prompt", {})
    assert step.difference.unsteady == {"1.3": ("prompt_ids",)}
    assert lines[2:5] == [
        "  stage: prompt, in 2 of 2",
        "  then: prompt_ids, in 2 of 2",
        "  1.3 alone gives another prompt_ids in another process",
    ]
    assert len(bench.runs) == 2 * ALIKE


def test_a_move_that_the_first_processes_hide(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Random before, and steady at what the first process happened to give: told by the others."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        first = f"{RELEASES[0]} None"
        return {"prompt_ids": first if libraries["lib"] == "1.1" else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    old, new = (
        MeasuredEnvironment(name, (f"lib=={name}",), _made(bench, name)) for name in RELEASES[:2]
    )
    steadiness = Flakiness(bench)
    assert not steadiness.difference(old, new).moved
    assert steadiness.look(old)
    found = steadiness.difference(old, new)
    assert (found.stage, found.comparison.stage) == ("prompt_ids", None)
    assert found.p["prompt_ids"] <= LEVEL
    assert (found.severity, found.exit_status) == (Severity.DRIFT, 3)
    assert found.extent == "prompt_ids, in other processes"


def _made(bench: Any, release: str) -> Fingerprint:  # noqa: ANN401
    record: Fingerprint = bench.record((f"lib=={release}",))
    return record


def test_processes_that_fail_are_left_out(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Of so few as run no difference is told, and each that does not is said."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        failed = libraries.get("turn") in {"4", "5", "6", "7"}
        return None if failed else {"prompt_ids": _random(libraries)}

    bench, said = fake_bench(tmp_path, stages)
    found = bisect("lib", ("1.3", "1.4"), bench)
    assert found.steps == ()
    assert found.chances[0].difference.processes == (3, 3)
    assert "lib 1.3        process 4 gives no record: ImportError: broken release" in said


@pytest.mark.parametrize("broken", ["1.3", "1.4"])
def test_a_release_that_runs_only_once(broken: str, tmp_path: Path, fake_bench: FakeBench) -> None:
    """An end of a move that fails the second time is skipped, and the search goes on without it."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        fails = libraries["lib"] == broken and "turn" in libraries
        return None if fails else _moved_at("1.4")(libraries)

    bench, said = fake_bench(tmp_path, stages)
    found = bisect("lib", RELEASES, bench)
    (step,) = found.steps
    ends = {"1.3": ("1.2", "1.4"), "1.4": ("1.3", "1.5")}[broken]
    assert (step.before, step.after, step.unknown) == (*ends, (broken,))
    assert found.skipped == {broken: "does not run a second time: ImportError: broken release"}
    assert broken not in found.measured
    assert any(line.endswith("broken release") for line in said)


def test_releases_none_of_which_runs_twice(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Are dropped until the ends are alike; the answer says which those are, and how many went."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        return None if "turn" in libraries else _moved_at("1.4")(libraries)

    bench, _ = fake_bench(tmp_path, stages)
    found = bisect("lib", RELEASES, bench)
    assert (found.steps, found.exit_status) == ((), 0)
    assert set(RELEASES[:4]) <= found.skipped.keys()
    assert found.ends == ("1.6", "2.7")
    assert next(iter(bisection_lines(found))).startswith("lib 1.6 to 2.7: 16 releases, ")


@pytest.mark.parametrize(("repeats", "culprit"), [(("--repeats", "2"), "1.6"), ((), "1.3")])
def test_what_is_within_the_floor_is_no_first_move(
    repeats: tuple[str, ...], culprit: str, tmp_path: Path, fake_bench: FakeBench
) -> None:
    """1.3 rounds otherwise, by three times the largest repeat; 1.6 moves. Unmeasured it is 1.3."""
    sizes = {"1.3": 0.03, "1.6": 0.2}

    def drift(libraries: Mapping[str, str]) -> float:
        now = RELEASES.index(libraries["lib"])
        return max((by for name, by in sizes.items() if RELEASES.index(name) <= now), default=0.0)

    bench, _ = fake_bench(tmp_path, lambda _: {"prompt_ids": "t"})
    bench.drift = drift
    bench.probe = replace(bench.probe, arguments=("model", *repeats))
    found = bisect("lib", RELEASES, bench)
    assert [(step.after, step.comparison.stage) for step in found.steps] == [(culprit, "logits")]
