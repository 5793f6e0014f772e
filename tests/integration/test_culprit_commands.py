"""``bisect`` and ``canary`` on the command line, with environments that are only names."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from benchmark.fingerprints import tokenizers as families
from benchmark.upgrades import probes
from benchmark.upgrades import releases as index

Commands = Callable[..., CompletedProcess[str]]
RELEASES = ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1")


@pytest.fixture
def bench(
    tmp_path: Path, fake_bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Tokens move with numpy 1.3; the benches that were asked for."""
    made = list[Any]()

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        return {"prompt_ids": str(libraries.get("numpy", "1.0") >= "1.3")}

    def create(wanted: probes.Probe, say: probes.Say, *, retry: bool = False) -> object:
        bench, _ = fake_bench(tmp_path / "probes", stages)
        bench.probe, bench.say = wanted, say
        made.append((bench, retry))
        return bench

    monkeypatch.setattr(probes, "workbench", create)
    monkeypatch.setattr(index, "releases", lambda name, **_: RELEASES)
    monkeypatch.setattr(families, "fetched_families", tuple)
    return made


def test_bisect_names_the_release(command_line: Commands, bench: list[Any], tmp_path: Path) -> None:
    """The answer on standard output, a line a release on the other, figures in the file."""
    out = tmp_path / "found.json"
    options = ("--probe", "tokenizers", "--json", out, "--retry")
    done = command_line("bisect", "numpy", "1.0", "2.1", *options)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "numpy 1.0 to 2.1: 6 releases, 4 measured, 0 skipped",
        "first moved by numpy 1.3; 1.2 is the last before",
        "  stage: prompt_ids, in 2 of 2",
        "  numpy: 1.2 -> 1.3",
    ]
    assert len(done.stderr.splitlines()) == 4
    (step,) = json.loads(out.read_text())["steps"]
    assert (step["first_moved"], step["stage"], step["by_chance"]) == ("1.3", "prompt_ids", False)
    assert step["permutation_test"] is None
    assert [retry for _, retry in bench] == [True]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("numpy", "2.1", "1.0", "--probe", "tokenizers"), "1.0"),
        (("numpy", "1.0", "2.1"), "needs --model"),
        (("numpy", "1.0", "2.1", "--probe", "soup"), "no probe 'soup'"),
        (("numpy", "1.0", "2.1", "--probe", "tokenizers", "--depth", "all"), "no depth 'all'"),
    ],
)
def test_bisect_of_what_cannot_be(
    arguments: tuple[str, ...], line: str, command_line: Commands, bench: list[Any]
) -> None:
    """One line, exit status 2, and nothing is measured."""
    done = command_line("bisect", *arguments)
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert line in error
    assert not any(each.runs for each, _ in bench)


def test_canary_names_the_upgrade(command_line: Commands, bench: list[Any], tmp_path: Path) -> None:
    """And what was left out, for want of tokenizers; in the file for an issue as well."""
    out, report = tmp_path / "found.json", tmp_path / "found.md"
    options = ("--model", "fixtures/models/track", "--json", out, "--report", report)
    done = command_line("canary", "numpy==2.0", "scipy==1", *options)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "upgrades: numpy==2.0, scipy==1",
        "fingerprint track: drift, prompt_ids, in 2 of 2",
        "  by numpy==2.0",
        "  numpy: - -> 2.0",
        "  scipy: - -> 1",
        "tokenizers: left out: no tokenizer is fetched; run: python -m benchmark fetch --all",
    ]
    assert "  by numpy==2.0\n" in report.read_text()
    found = json.loads(out.read_text())
    assert found["exit_status"] == 3
    assert list(found["left_out"]) == ["tokenizers"]
    assert found["trials"][0]["culprits"] == [["numpy==2.0"]]


def test_canary_where_nothing_moves(command_line: Commands, bench: list[Any]) -> None:
    """Exit status 0, and the environments are two."""
    done = command_line("canary", "numpy==1.2", "--model", "fixtures/models/track")
    assert done.returncode == 0
    assert "fingerprint track: same" in done.stdout.splitlines()
    assert [each.runs for each, _ in bench] == [["unchanged", "numpy==1.2"]]


def test_canary_of_what_is_no_requirement(command_line: Commands, bench: list[Any]) -> None:
    """One line, exit status 2."""
    done = command_line("canary", "numpy=2", "--model", "fixtures/models/track")
    assert done.returncode == 2
    assert done.stderr == "error: 'numpy=2' is no requirement; write name==version\n"
