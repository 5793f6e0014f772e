"""Bisection over releases, with fake environments."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.upgrades.bisection import bisect
from benchmark.upgrades.flakiness import (
    CONFIRMING_PROCESSES,
    FLAKY_LEVEL,
    Flakiness,
    MeasuredEnvironment,
)
from benchmark.upgrades.text import bisection_lines
from fakes.fake_bench import fake_bench

RELEASES = tuple(f"{major}.{minor}" for major in (1, 2) for minor in range(8))


def _changing_at(*versions: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """Return stages whose token ids change with each of these releases."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        now = RELEASES.index(libraries["lib"])
        return {"prompt": "p", "prompt_ids": f"t{sum(now >= RELEASES.index(v) for v in versions)}"}

    return stages


@pytest.mark.parametrize("changed", RELEASES[1:])
def test_first_changed_release_is_named(changed: str, tmp_path: Path) -> None:
    """The result names the release, the changed stage and the last unchanged release."""
    bench, said = fake_bench(tmp_path, _changing_at(changed))
    result = bisect("lib", RELEASES, bench)
    (change,) = result.changes
    assert change.after == changed
    assert change.before == RELEASES[RELEASES.index(changed) - 1]
    assert change.comparison.stage == "prompt_ids"
    assert result.rest is None
    assert len(said) == len(result.measured) <= 6
    assert result.exit_status == 3
    assert f"first changed by lib {changed}; last unchanged" in "\n".join(bisection_lines(result))


def test_unknown_depth_is_refused_first(tmp_path: Path) -> None:
    """No environment is built for an unknown depth."""
    bench, said = fake_bench(tmp_path, _changing_at("1.5"))
    with pytest.raises(SettingError, match="unknown depth 'all'; choose one of first, every, each"):
        bisect("lib", RELEASES, bench, "all")
    assert (bench.runs, said) == ([], [])


def test_second_run_reuses_records(tmp_path: Path) -> None:
    """Records are kept on disk, so that an interrupted search resumes."""
    first, _ = fake_bench(tmp_path, _changing_at("1.5"))
    second, _ = fake_bench(tmp_path, _changing_at("1.5"))
    answers = [bisect("lib", RELEASES, bench).as_json() for bench in (first, second)]
    assert answers[0] == answers[1]
    assert first.runs
    assert not second.runs


def test_changed_code_is_measured_again(tmp_path: Path) -> None:
    """Records belong to the code that made them."""
    first, _ = fake_bench(tmp_path, _changing_at("1.5"))
    bisect("lib", RELEASES, first)
    second, _ = fake_bench(tmp_path, _changing_at("1.5"))
    second.code = "other"
    bisect("lib", RELEASES, second)
    assert second.runs == first.runs


def test_unmeasurable_releases_are_skipped(tmp_path: Path) -> None:
    """A release that cannot be installed or run is reported, and listed with the change."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        broken = libraries["lib"] == "1.5"
        return None if broken else _changing_at("1.6")(libraries)

    bench, said = fake_bench(tmp_path, stages, frozenset({"lib==1.4"}))
    result = bisect("lib", RELEASES, bench)
    assert (result.changes[0].before, result.changes[0].after) == ("1.3", "1.6")
    assert result.changes[0].unmeasured == ("1.4", "1.5")
    assert result.skipped == {
        "1.4": "cannot be installed: no lib==1.4",
        "1.5": "cannot run: ImportError: broken release",
    }
    assert sum("skipped" in line for line in said) == 2
    assert "not measured in between: 1.4, 1.5" in "\n".join(bisection_lines(result))


def test_releases_that_break_a_requirement_are_skipped(tmp_path: Path) -> None:
    """They are not run, and are not reported as a change; the result has the reason."""
    bench, _ = fake_bench(tmp_path, _changing_at())
    unmet = "user 5 requires lib>=1.2, but {} is installed"
    bench.builder.unmet = {f"lib=={r}": unmet.format(r) for r in RELEASES[:2]}
    result = bisect("lib", RELEASES, bench)
    assert (result.changes, result.exit_status) == ((), 0)
    assert not {"lib==1.0", "lib==1.1"} & set(bench.runs)
    assert result.skipped["1.0"] == "cannot run: user 5 requires lib>=1.2, but 1.0 is installed"
    lines = list(bisection_lines(result))
    assert lines[1:] == [
        "skipped 1.0: cannot run: user 5 requires lib>=1.2, but 1.0 is installed",
        "skipped 1.1: cannot run: user 5 requires lib>=1.2, but 1.1 is installed",
        "no change from 1.2 to 2.7 (--depth each finds changes that were reverted)",
    ]
    bench.builder.unmet = dict.fromkeys([f"lib=={r}" for r in RELEASES[1:]], "too new")
    with pytest.raises(
        SettingError, match=r"fewer than two .* 2\.7 and 2\.6 .*: cannot run: too new"
    ):
        bisect("lib", RELEASES, bench)


def _failing(record: Fingerprint, error: str) -> Fingerprint:
    return replace(record, stages={**record.stages, "prompt_ids": StageRecord(failed=error)})


def test_releases_that_cannot_be_imported_are_skipped(tmp_path: Path) -> None:
    """A stage that fails on an import is no change of that stage."""
    bench, _ = fake_bench(tmp_path, _changing_at())
    bench.change = lambda libraries, record: (
        _failing(record, "cannot import: ImportError: no tokenizers")
        if libraries["lib"] == "1.0"
        else record
    )
    result = bisect("lib", RELEASES, bench)
    reason = "cannot run: prompt_ids: cannot import: ImportError: no tokenizers"
    assert (result.changes, result.ends) == ((), ("1.1", "2.7"))
    assert result.skipped == {"1.0": reason}


@pytest.mark.parametrize(
    ("broken", "first_line", "kind"),
    [
        (("1.5", "2.7"), "first broken by lib 1.5; last working release: 1.4", "fails"),
        (("1.0", "1.4"), "first fixed by lib 1.5; last failing release: 1.4", "works"),
    ],
)
def test_failing_stage_is_told_from_a_changed_one(
    broken: tuple[str, str], first_line: str, kind: str, tmp_path: Path
) -> None:
    """The text of the error differs in every release, and is not compared."""
    low, high = map(RELEASES.index, broken)
    bench, _ = fake_bench(tmp_path, _changing_at())
    bench.change = lambda libraries, record: (
        _failing(record, f"ValueError: in {libraries['lib']}")
        if low <= RELEASES.index(libraries["lib"]) <= high
        else record
    )
    for depth in ("first", "each"):
        result = bisect("lib", RELEASES, bench, depth)
        (change,) = result.changes
        assert (change.before, change.after) == ("1.4", "1.5")
        assert change.as_json()["kind"] == kind
        assert first_line in list(bisection_lines(result))


def test_later_changes_are_reported(tmp_path: Path) -> None:
    """The newest release is compared with the first change; ``every`` finds the later release."""
    bench, _ = fake_bench(tmp_path, _changing_at("1.2", "2.3"))
    result = bisect("lib", RELEASES, bench)
    assert result.rest is not None
    assert "2.7 has further changes" in "\n".join(bisection_lines(result))
    all_ = bisect("lib", RELEASES, bench, "every")
    assert [change.after for change in all_.changes] == ["1.2", "2.3"]


def test_no_change(tmp_path: Path) -> None:
    """If both ends are equal, no other release is measured."""
    bench, _ = fake_bench(tmp_path, _changing_at())
    result = bisect("lib", RELEASES, bench)
    assert result.measured == ("1.0", "2.7")
    assert (result.changes, result.exit_status) == ((), 0)
    assert "no change from 1.0 to 2.7" in "\n".join(bisection_lines(result))


def test_no_release_runs(tmp_path: Path) -> None:
    """The error is one line."""
    bench, _ = fake_bench(tmp_path, lambda libraries: None)
    with pytest.raises(SettingError, match="widen the range"):
        bisect("lib", RELEASES, bench)


def test_alongside_is_installed_with_every_release(tmp_path: Path) -> None:
    """The requirements of ``--with`` are part of every environment."""
    bench, _ = fake_bench(tmp_path, _changing_at("1.2"))
    bisect("lib", RELEASES, bench, alongside=("other==3",))
    assert bench.builder.built
    assert all(name.endswith(" other==3") for name in bench.builder.built)


def _random(libraries: Mapping[str, str]) -> str:
    """Return a different value in every process."""
    return f"{libraries['lib']} {libraries.get('process')}"


def test_nondeterministic_releases_do_not_differ(tmp_path: Path) -> None:
    """Releases differ as much from themselves as from each other, so that there is no change."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": _random(libraries)})
    result = bisect("lib", RELEASES[:4], bench)
    assert (result.changes, result.exit_status) == ((), 0)
    lines = "\n".join(bisection_lines(result))
    test = "prompt_ids: p = 1; 7 and 7 processes"
    assert f"1.0 and 1.3: no significant difference ({test})" in lines
    assert "1.0 is not deterministic: prompt_ids differs between processes" in lines
    assert any(line.endswith("prompt_ids differs between its own processes") for line in said)
    assert ("1.0", "1.3") in {(change.before, change.after) for change in result.insignificant}
    assert result.as_json()["by_chance_only"]


@pytest.mark.parametrize("changed", RELEASES[1:])
def test_first_deterministic_release_is_named(changed: str, tmp_path: Path) -> None:
    """Nondeterminism of the older releases does not mislead the search."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index(changed)
        return {"prompt": "p", "prompt_ids": "steady" if later else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    result = bisect("lib", RELEASES, bench)
    (change,) = result.changes
    assert (change.after, change.difference.stage) == (changed, "prompt_ids")
    assert change.difference.p == {"prompt_ids": 0.0006}
    assert "significant: prompt_ids: p = 0.0006; 7 and" in "\n".join(bisection_lines(result))
    test = change.as_json()["permutation_test"]
    assert isinstance(test, dict)
    assert (test["p"], test["processes"]) == ({"prompt_ids": 0.0006}, [7, 7])
    (decision,) = test["decisions"].values()
    assert (decision["claim"], decision["verdict"]) == ("difference", "supported")
    assert (decision["unit"], decision["difference"], decision["level"]) == ("distance", 1, 0.01)


def test_change_after_a_nondeterministic_stage(tmp_path: Path) -> None:
    """Token ids are random throughout, the constraint changes: the constraint is named."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index("1.4")
        return {"prompt_ids": _random(libraries), "constraint": f"{later}", "weights": "w"}

    bench, _ = fake_bench(tmp_path, stages)
    (change,) = bisect("lib", RELEASES, bench).changes
    assert (change.after, change.comparison.stage, change.difference.stage) == (
        "1.4",
        "prompt_ids",
        "constraint",
    )
    assert change.difference.p == {"prompt_ids": 1.0, "constraint": 0.0006}


def test_change_before_a_nondeterministic_stage(tmp_path: Path) -> None:
    """A changed prompt needs no test: random token ids cannot explain it."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        later = RELEASES.index(libraries["lib"]) >= RELEASES.index("1.4")
        return {"prompt": f"{later}", "prompt_ids": "t" if later else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    result = bisect("lib", ("1.3", "1.4"), bench)
    (change,) = result.changes
    lines = list(bisection_lines(result))
    assert (change.difference.stage, change.difference.p) == ("prompt", {})
    assert change.difference.nondeterministic == {"1.3": ("prompt_ids",)}
    assert lines[2:5] == [
        "  first changed stage: prompt, 2 of 2",
        "  also changed: prompt_ids, 2 of 2",
        "  1.3 is not deterministic: prompt_ids differs between processes",
    ]
    assert len(bench.runs) == 2 * CONFIRMING_PROCESSES


def test_change_hidden_in_the_first_processes(tmp_path: Path) -> None:
    """The first processes happen to agree; further processes reveal the change."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        first = f"{RELEASES[0]} None"
        return {"prompt_ids": first if libraries["lib"] == "1.1" else _random(libraries)}

    bench, _ = fake_bench(tmp_path, stages)
    old, new = (
        MeasuredEnvironment(name, (f"lib=={name}",), _made(bench, name)) for name in RELEASES[:2]
    )
    flakiness = Flakiness(bench)
    assert not flakiness.difference(old, new).changed
    assert flakiness.remeasure(old)
    result = flakiness.difference(old, new)
    assert (result.stage, result.comparison.stage) == ("prompt_ids", None)
    assert result.p["prompt_ids"] <= FLAKY_LEVEL
    assert (result.severity, result.exit_status) == (Severity.DRIFT, 3)
    assert result.extent == "prompt_ids, in later processes"


def _made(bench: Any, release: str) -> Fingerprint:  # noqa: ANN401
    record: Fingerprint = bench.record((f"lib=={release}",))
    return record


def test_failed_processes_are_left_out(tmp_path: Path) -> None:
    """Too few processes prove no difference, and each failed process is reported."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        failed = libraries.get("process") in {"4", "5", "6", "7"}
        return None if failed else {"prompt_ids": _random(libraries)}

    bench, said = fake_bench(tmp_path, stages)
    result = bisect("lib", ("1.3", "1.4"), bench)
    assert result.changes == ()
    assert result.insignificant[0].difference.processes == (3, 3)
    assert "lib 1.3        process 4 made no record: ImportError: broken release" in said


@pytest.mark.parametrize("broken", ["1.3", "1.4"])
def test_release_that_runs_only_once(broken: str, tmp_path: Path) -> None:
    """A release whose second process fails is skipped, and the search continues without it."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        fails = libraries["lib"] == broken and "process" in libraries
        return None if fails else _changing_at("1.4")(libraries)

    bench, said = fake_bench(tmp_path, stages)
    result = bisect("lib", RELEASES, bench)
    (change,) = result.changes
    ends = {"1.3": ("1.2", "1.4"), "1.4": ("1.3", "1.5")}[broken]
    assert (change.before, change.after, change.unmeasured) == (*ends, (broken,))
    assert result.skipped == {broken: "cannot run a second time: ImportError: broken release"}
    assert broken not in result.measured
    assert any(line.endswith("broken release") for line in said)


def test_no_release_runs_twice(tmp_path: Path) -> None:
    """Releases are dropped until the ends agree; the result names the ends and counts the rest."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str] | None:
        return None if "process" in libraries else _changing_at("1.4")(libraries)

    bench, _ = fake_bench(tmp_path, stages)
    result = bisect("lib", RELEASES, bench)
    assert (result.changes, result.exit_status) == ((), 0)
    assert set(RELEASES[:4]) <= result.skipped.keys()
    assert result.ends == ("1.6", "2.7")
    assert next(iter(bisection_lines(result))).startswith("lib 1.6 to 2.7: 16 releases, ")


@pytest.mark.parametrize(("repeats", "changed"), [(("--repeats", "2"), "1.6"), ((), "1.3")])
def test_noise_is_not_the_first_change(
    repeats: tuple[str, ...], changed: str, tmp_path: Path
) -> None:
    """1.3 changes rounding by less than the floor, 1.6 by more; without repeats 1.3 is named."""
    sizes = {"1.3": 0.03, "1.6": 0.2}

    def drift(libraries: Mapping[str, str]) -> float:
        now = RELEASES.index(libraries["lib"])
        return max((by for name, by in sizes.items() if RELEASES.index(name) <= now), default=0.0)

    bench, _ = fake_bench(tmp_path, lambda _: {"prompt_ids": "t"})
    bench.drift = drift
    bench.probe = replace(bench.probe, arguments=("model", *repeats))
    result = bisect("lib", RELEASES, bench)
    assert [(change.after, change.comparison.stage) for change in result.changes] == [
        (changed, "logits")
    ]
