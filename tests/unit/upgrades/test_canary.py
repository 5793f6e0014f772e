"""The canary, with environments that are only names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.comparison import Severity
from benchmark.upgrades.canary import canary, pinned
from benchmark.upgrades.canary_text import canary_lines, canary_markdown
from benchmark.upgrades.venv_overlays import NotInstallableError

FakeBench = Callable[..., Any]
UPGRADES = ("a==2", "b==2", "c==2")


def _when(*guilty: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """The constraint moves where all of these are upgraded."""
    return lambda libraries: {
        "prompt_ids": "t",
        "constraint": "new" if set(guilty) <= libraries.keys() else "old",
    }


@pytest.mark.parametrize("guilty", ["a", "b", "c", "ab", "bc", "abc"])
def test_the_one_or_the_pair_is_named(guilty: str, tmp_path: Path, fake_bench: FakeBench) -> None:
    """Upgrades are swapped one at a time, then in pairs, until the least that moves is known."""
    bench, said = fake_bench(tmp_path, _when(*guilty))
    found = canary(UPGRADES, [bench], said.append)
    assert found.trials[0].culprits == (tuple(f"{name}==2" for name in guilty),)
    assert found.exit_status == 3
    by = " with ".join(f"{name}==2" for name in guilty)
    assert f"  by {by}" in list(canary_lines(found))
    assert by in canary_markdown(found)


def test_several_culprits_are_all_named(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Two upgrades that each move the first stage are two findings, not one."""
    bench, said = fake_bench(
        tmp_path, lambda libraries: {"prompt_ids": str(sorted(libraries.keys() & {"a", "b"}))}
    )
    found = canary(("a==2", "b==2"), [bench], said.append)
    assert found.trials[0].culprits == (("a==2",), ("b==2",))
    assert found.trials[0].movers == ()


def test_nothing_moves(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Then nothing is swapped: two environments, no culprit, exit status 0."""
    bench, said = fake_bench(tmp_path, _when("other"))
    found = canary(UPGRADES, [bench], said.append)
    assert not found.trials[0].moved
    assert found.exit_status == 0
    assert bench.runs == ["unchanged", "a==2+b==2+c==2"]


def test_chance_is_no_alarm(tmp_path: Path, fake_bench: FakeBench) -> None:
    """What is another in every process, upgraded or not, is noise, and no upgrade is blamed."""
    bench, said = fake_bench(tmp_path, dict)
    bench.stages = lambda libraries: {"constraint": f"{len(bench.runs)}"}
    found = canary(("a==2",), [bench], said.append)
    (trial,) = found.trials
    assert (trial.severity, trial.culprits, found.exit_status) == (Severity.NOISE, (), 0)
    assert list(canary_lines(found))[1] == (
        "vanilla model: noise, by chance only, constraint: p = 1 over 7 and 7 processes"
    )


def test_what_cannot_be_installed_is_the_culprit(tmp_path: Path, fake_bench: FakeBench) -> None:
    """It is named with its own reason; what another moves alone is told apart from it."""
    bench, said = fake_bench(tmp_path, _when("a"), frozenset({"c==2"}))
    found = canary(UPGRADES, [bench], said.append)
    assert found.trials[0].comparison is None
    assert found.trials[0].reason == "cannot be installed: no c==2"
    assert found.trials[0].culprits == (("c==2",),)
    assert found.trials[0].movers == ("a==2",)
    assert found.trials[0].severity is Severity.REGRESSION
    assert found.exit_status == 4
    assert list(canary_lines(found))[1:] == [
        "vanilla model: regression, cannot be installed: no c==2",
        "  by c==2",
        "  a==2 alone runs, and moves it",
    ]


@pytest.mark.parametrize("said", ["c==2", "c==2 (from a)"])
def test_a_release_that_there_is_not(
    said: str, tmp_path: Path, fake_bench: FakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is a slip of the pen, said before anything runs; what an upgrade lacks is its fault."""
    bench, _ = fake_bench(tmp_path, _when("a"), frozenset({"c==2"}))
    make = bench.maker.make

    def pip(requirements: Sequence[str]) -> object:
        try:
            return make(requirements)
        except NotInstallableError as error:
            line = f"ERROR: No matching distribution found for {said}"
            raise NotInstallableError(line) from error

    monkeypatch.setattr(bench.maker, "make", pip)
    if said == "c==2":
        with pytest.raises(SettingError, match="c==2: the index has no such release"):
            canary(UPGRADES, [bench], print)
        assert bench.runs == []
    else:
        assert canary(UPGRADES, [bench], print).trials[0].culprits == (("c==2",),)


def test_what_does_not_start_is_the_culprit(tmp_path: Path, fake_bench: FakeBench) -> None:
    """An upgrade that crashes by itself, and two that only do so together, which go by no guess."""

    def crashes(*guilty: str) -> Callable[[Mapping[str, str]], Mapping[str, str] | None]:
        return lambda libraries: None if set(guilty) <= libraries.keys() else {"prompt_ids": "t"}

    for number, guilty in enumerate((("b",), ("a", "c"))):
        bench, said = fake_bench(tmp_path / str(number), crashes(*guilty))
        found = canary(UPGRADES, [bench], said.append)
        assert found.trials[0].culprits == (tuple(f"{name}==2" for name in guilty),)
        assert found.trials[0].movers == ()
        assert f"  by {' with '.join(found.trials[0].culprits[0])}" in list(canary_lines(found))


def test_the_environment_of_now_must_run(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Nothing can be held against a probe that fails without any upgrade."""
    bench, said = fake_bench(tmp_path, lambda libraries: None)
    with pytest.raises(SettingError, match="without any upgrade, does not run: ImportError"):
        canary(UPGRADES, [bench], said.append)
    with pytest.raises(SettingError, match="name what to upgrade"):
        canary((), [bench], said.append)


def _no_such(library: str) -> tuple[str, ...]:
    raise SettingError(f"no such library: {library}")


def test_a_bare_name_is_its_newest_release() -> None:
    """As the index has it; a version stays."""
    assert pinned("lib", lambda name: ("1.0", "1.2")) == "lib==1.2"
    assert pinned("lib==1.0", lambda name: ("1.0", "1.2")) == "lib==1.0"
    assert pinned("pytest==1.0", _no_such) == "pytest==1.0"  # installed: nothing to look up
    with pytest.raises(SettingError, match="no such library: nosuchlib"):
        pinned("nosuchlib==1.0", _no_such)
    with pytest.raises(SettingError, match="no requirement"):
        pinned("lib=1", lambda name: ())


@pytest.mark.parametrize(
    ("upgrade", "wanted"),
    [("lib>=1", "lib==2.0"), ("lib<2", "lib==1.2"), ("lib[fast]==1.*", "lib[fast]==1.2")],
)
def test_a_range_is_its_newest_release(upgrade: str, wanted: str) -> None:
    """What is kept under its name would be another release some day."""
    assert pinned(upgrade, lambda name: ("1.0", "1.2", "2.0")) == wanted


@pytest.mark.parametrize(
    ("upgrade", "line"),
    [
        ("lib>3", "lib>3: the index has no such release"),
        ("lib; python_version > '3'", "markers and addresses are not taken; write name==version"),
        ("lib @ https://example.org/lib.whl", "markers and addresses are not taken"),
    ],
)
def test_what_is_no_release(upgrade: str, line: str) -> None:
    """Is refused in one line before anything is made."""
    with pytest.raises(SettingError, match=line):
        pinned(upgrade, lambda name: ("1.0", "2.0"))


def test_an_early_stage_has_its_own_culprits(tmp_path: Path, fake_bench: FakeBench) -> None:
    """What one upgrade moves late is told beside the pair that moves the first stage."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        return {
            "prompt": str({"b", "c"} <= libraries.keys()),
            "generated_ids": str("a" in libraries),
        }

    bench, said = fake_bench(tmp_path, stages)
    found = canary(UPGRADES, [bench], said.append)
    assert found.trials[0].culprits == (("b==2", "c==2"),)
    assert found.trials[0].movers == ("a==2",)
    assert list(canary_lines(found))[1:4] == [
        "vanilla model: drift, prompt, in 2 of 2",
        "  by b==2 with c==2",
        "  a==2 alone moves a later stage",
    ]


def test_roundings_within_the_floor_have_no_culprit(tmp_path: Path, fake_bench: FakeBench) -> None:
    """Three times the largest repeat is noise; without repeats the same is drift by its upgrade."""
    bench, said = fake_bench(tmp_path / "without", lambda _: {"prompt_ids": "t"})
    bench.drift = lambda libraries: 0.03 if "a" in libraries else 0.0
    found = canary(UPGRADES, [bench], said.append)
    assert (found.trials[0].culprits, found.exit_status) == ((("a==2",),), 3)
    bench.probe = replace(bench.probe, arguments=("model", "--repeats", "2"))
    found = canary(UPGRADES, [bench], said.append)
    assert (found.trials[0].culprits, found.exit_status) == ((), 0)
    assert found.trials[0].severity is Severity.NOISE
