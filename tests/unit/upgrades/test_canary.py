"""The canary, with fake environments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.fingerprints.comparison import Severity
from benchmark.upgrades.canary import canary, pinned
from benchmark.upgrades.findings import SuiteResult
from benchmark.upgrades.text import canary_lines, canary_markdown
from benchmark.upgrades.venv_overlays import NotInstallableError
from fakes.fake_bench import Stages, fake_bench

UPGRADES = ("a==2", "b==2", "c==2")


def _when(*guilty: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    """Return stages whose constraint changes if all of these are upgraded."""
    return lambda libraries: {
        "prompt_ids": "t",
        "constraint": "new" if set(guilty) <= libraries.keys() else "old",
    }


@pytest.mark.parametrize("guilty", ["a", "b", "c", "ab", "bc", "abc"])
def test_smallest_cause_is_named(guilty: str, tmp_path: Path) -> None:
    """Single upgrades are tried, then pairs, then larger sets."""
    bench, said = fake_bench(tmp_path, _when(*guilty))
    result = canary(UPGRADES, [bench], said.append)
    assert result.probes[0].causes == (tuple(f"{name}==2" for name in guilty),)
    assert result.exit_status == 3
    cause = " with ".join(f"{name}==2" for name in guilty)
    assert f"  cause: {cause}" in list(canary_lines(result))
    assert cause in canary_markdown(result)


def test_all_causes_are_named(tmp_path: Path) -> None:
    """Two upgrades that each change the first stage are two causes."""
    bench, said = fake_bench(
        tmp_path, lambda libraries: {"prompt_ids": str(sorted(libraries.keys() & {"a", "b"}))}
    )
    result = canary(("a==2", "b==2"), [bench], said.append)
    assert result.probes[0].causes == (("a==2",), ("b==2",))
    assert result.probes[0].also_changing == ()


def test_no_change(tmp_path: Path) -> None:
    """Without a change no subset is tried, and the exit status is 0."""
    bench, said = fake_bench(tmp_path, _when("other"))
    result = canary(UPGRADES, [bench], said.append)
    assert not result.probes[0].changed
    assert result.exit_status == 0
    assert bench.runs == ["unchanged", "a==2+b==2+c==2"]


def test_report_says_what_was_found(tmp_path: Path) -> None:
    """The report claims a change, a failed probe or failed tests only if there are some."""

    def report(stages: Stages, refused: frozenset[str] = frozenset(), **more: object) -> str:
        bench, said = fake_bench(tmp_path / str(len(reports)), stages, refused)
        result = canary(("a==2",), [bench], said.append)
        reports.append(canary_markdown(replace(result, **more)))  # type: ignore[arg-type]
        return reports[-1].splitlines()[0]

    reports = list[str]()
    start = "The canary found that these upgrades"
    assert report(_when("b")) == "The canary found no change with these upgrades."
    assert "bisect" not in reports[-1]
    assert report(_when("a")) == f"{start} change a recorded stage."
    assert "bisect" in reports[-1]
    assert report(_when("b"), frozenset({"a==2"})) == f"{start} prevent a probe from running."
    failed = SuiteResult(1, (("test_x", "no"),))
    assert report(_when("b"), suite=failed) == f"{start} fail tests."
    assert report(_when("a"), suite=failed) == f"{start} change a recorded stage and fail tests."


def test_upgrade_that_breaks_a_requirement_is_the_cause(tmp_path: Path) -> None:
    """It cannot run, which is no change of a stage, and nothing is run with it."""
    bench, said = fake_bench(tmp_path, _when("a"))
    line = "user 5 requires b<2, but 2 is installed"
    bench.builder.unmet = {"b==2": line}
    result = canary(UPGRADES, [bench], said.append)
    assert result.probes[0].reason == f"cannot run: {line}"
    assert result.probes[0].causes == (("b==2",),)
    assert result.probes[0].also_changing == ("a==2",)
    assert not any("b==2" in run for run in bench.runs)


def test_nondeterminism_is_noise(tmp_path: Path) -> None:
    """A stage that differs in every process is noise, and no upgrade is blamed."""
    bench, said = fake_bench(tmp_path, dict)
    bench.stages = lambda libraries: {"constraint": f"{len(bench.runs)}"}
    result = canary(("a==2",), [bench], said.append)
    (probe,) = result.probes
    assert (probe.severity, probe.causes, result.exit_status) == (Severity.NOISE, (), 0)
    assert list(canary_lines(result))[1] == (
        "vanilla model: noise, no significant difference (constraint: p = 1; 7 and 7 processes)"
    )


def test_uninstallable_upgrade_is_the_cause(tmp_path: Path) -> None:
    """It is named with its reason; another upgrade that changes a stage is listed separately."""
    bench, said = fake_bench(tmp_path, _when("a"), frozenset({"c==2"}))
    result = canary(UPGRADES, [bench], said.append)
    assert result.probes[0].comparison is None
    assert result.probes[0].reason == "cannot be installed: no c==2"
    assert result.probes[0].causes == (("c==2",),)
    assert result.probes[0].also_changing == ("a==2",)
    assert result.probes[0].severity is Severity.REGRESSION
    assert result.exit_status == 4
    assert list(canary_lines(result))[1:] == [
        "vanilla model: regression, cannot be installed: no c==2",
        "  cause: c==2",
        "  a==2 alone runs and changes a stage",
    ]


@pytest.mark.parametrize("said", ["c==2", "c==2 (from a)"])
def test_missing_release_is_refused(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelled release is misuse, a missing dependency the upgrade's failure."""
    bench, _ = fake_bench(tmp_path, _when("a"), frozenset({"c==2"}))
    build = bench.builder.build

    def pip(requirements: Sequence[str]) -> object:
        try:
            return build(requirements)
        except NotInstallableError as error:
            line = f"ERROR: No matching distribution found for {said}"
            raise NotInstallableError(line) from error

    monkeypatch.setattr(bench.builder, "build", pip)
    if said == "c==2":
        with pytest.raises(SettingError, match="c==2: the index has no such release"):
            canary(UPGRADES, [bench], print)
        assert bench.runs == []
    else:
        assert canary(UPGRADES, [bench], print).probes[0].causes == (("c==2",),)


def test_crashing_upgrade_is_the_cause(tmp_path: Path) -> None:
    """One upgrade that crashes by itself is named, and two that only crash together."""

    def crashes(*guilty: str) -> Callable[[Mapping[str, str]], Mapping[str, str] | None]:
        return lambda libraries: None if set(guilty) <= libraries.keys() else {"prompt_ids": "t"}

    for number, guilty in enumerate((("b",), ("a", "c"))):
        bench, said = fake_bench(tmp_path / str(number), crashes(*guilty))
        result = canary(UPGRADES, [bench], said.append)
        assert result.probes[0].causes == (tuple(f"{name}==2" for name in guilty),)
        assert result.probes[0].also_changing == ()
        assert f"  cause: {' with '.join(result.probes[0].causes[0])}" in list(canary_lines(result))


def test_baseline_must_run(tmp_path: Path) -> None:
    """A probe that fails without any upgrade is an error."""
    bench, said = fake_bench(tmp_path, lambda libraries: None)
    with pytest.raises(SettingError, match="without any upgrade: cannot run: ImportError"):
        canary(UPGRADES, [bench], said.append)
    with pytest.raises(SettingError, match="name at least one upgrade"):
        canary((), [bench], said.append)


def _no_such(library: str) -> tuple[str, ...]:
    raise SettingError(f"no such library: {library}")


def test_bare_name_means_newest_release() -> None:
    """A version is kept; an installed library is not looked up."""
    assert pinned("lib", lambda name: ("1.0", "1.2")) == "lib==1.2"
    assert pinned("lib==1.0", lambda name: ("1.0", "1.2")) == "lib==1.0"
    assert pinned("pytest==1.0", _no_such) == "pytest==1.0"  # installed: nothing to look up
    with pytest.raises(SettingError, match="no such library: nosuchlib"):
        pinned("nosuchlib==1.0", _no_such)
    with pytest.raises(SettingError, match="not a requirement"):
        pinned("lib=1", lambda name: ())


@pytest.mark.parametrize(
    ("upgrade", "pinned_upgrade"),
    [("lib>=1", "lib==2.0"), ("lib<2", "lib==1.2"), ("lib[fast]==1.*", "lib[fast]==1.2")],
)
def test_range_means_its_newest_release(upgrade: str, pinned_upgrade: str) -> None:
    """Records are kept under the requirement, so that it has to be exact."""
    assert pinned(upgrade, lambda name: ("1.0", "1.2", "2.0")) == pinned_upgrade


@pytest.mark.parametrize(
    ("upgrade", "line"),
    [
        ("lib>3", "lib>3: the index has no such release"),
        ("lib; python_version > '3'", "markers and URLs are not supported; write name==version"),
        ("lib @ https://example.org/lib.whl", "markers and URLs are not supported"),
    ],
)
def test_unsupported_requirements_are_refused(upgrade: str, line: str) -> None:
    """The error is one line."""
    with pytest.raises(SettingError, match=line):
        pinned(upgrade, lambda name: ("1.0", "2.0"))


def test_causes_are_those_of_the_first_stage(tmp_path: Path) -> None:
    """An upgrade that changes a later stage is listed separately."""

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        return {
            "prompt": str({"b", "c"} <= libraries.keys()),
            "generated_ids": str("a" in libraries),
        }

    bench, said = fake_bench(tmp_path, stages)
    result = canary(UPGRADES, [bench], said.append)
    assert result.probes[0].causes == (("b==2", "c==2"),)
    assert result.probes[0].also_changing == ("a==2",)
    assert list(canary_lines(result))[1:4] == [
        "vanilla model: drift, prompt, 2 of 2",
        "  cause: b==2 with c==2",
        "  a==2 alone changes a later stage",
    ]


def test_noise_has_no_cause(tmp_path: Path) -> None:
    """A difference within the floor is noise; without repeats it is drift."""
    bench, said = fake_bench(tmp_path / "without", lambda _: {"prompt_ids": "t"})
    bench.drift = lambda libraries: 0.03 if "a" in libraries else 0.0
    result = canary(UPGRADES, [bench], said.append)
    assert (result.probes[0].causes, result.exit_status) == ((("a==2",),), 3)
    bench.probe = replace(bench.probe, arguments=("model", "--repeats", "2"))
    result = canary(UPGRADES, [bench], said.append)
    assert (result.probes[0].causes, result.exit_status) == ((), 0)
    assert result.probes[0].severity is Severity.NOISE
