"""``bisect`` and ``canary`` on the command line, with fake environments."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmark.fingerprints import tokenizers as families
from benchmark.upgrades import probes, requirements, workbench
from benchmark.upgrades import releases as index
from fakes.command_line import command_line
from fakes.fake_bench import fake_bench

RELEASES = ("1.0", "1.1", "1.2", "1.3", "2.0", "2.1")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workbenches that were made; token ids change with numpy 1.3."""
    workbenches = list[Any]()

    def stages(libraries: Mapping[str, str]) -> Mapping[str, str]:
        return {"prompt_ids": str(libraries.get("numpy", "1.0") >= "1.3")}

    def create(probe: probes.Probe, say: probes.Say, *, retry: bool = False) -> object:
        bench, _ = fake_bench(tmp_path / "probes", stages)
        bench.probe, bench.say = probe, say
        workbenches.append((bench, retry))
        return bench

    monkeypatch.setattr(workbench, "workbench", create)
    monkeypatch.setattr(index, "releases", lambda name, **_: RELEASES)
    monkeypatch.setattr(requirements, "check_range", lambda *_: None)
    monkeypatch.setattr(families, "fetched_families", tuple)
    return workbenches


def test_bisect_names_the_release(bench: list[Any], tmp_path: Path) -> None:
    """The result is on standard output, progress on standard error, JSON in the file."""
    out = tmp_path / "result.json"
    options = ("--probe", "tokenizers", "--json-file", out, "--retry")
    done = command_line("bisect", "numpy", "1.0", "2.1", *options)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "numpy 1.0 to 2.1: 6 releases, 4 measured, 0 skipped",
        "first changed by numpy 1.3; last unchanged release: 1.2",
        "  first changed stage: prompt_ids, 2 of 2",
        "  numpy: 1.2 -> 1.3",
    ]
    assert len(done.stderr.splitlines()) == 4
    (step,) = json.loads(out.read_text())["steps"]
    assert (step["first_moved"], step["stage"], step["by_chance"]) == ("1.3", "prompt_ids", False)
    assert step["permutation_test"] is None
    assert [retry for _, retry in bench] == [True]


def test_a_folder_that_is_lost_meanwhile(
    bench: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the JSON is moved while bisect runs: a line after the result, exit status 2."""
    folder = tmp_path / "out"

    def losing(_: str, **__: bool) -> Sequence[str]:
        folder.rename(tmp_path / "moved")
        return RELEASES

    monkeypatch.setattr(index, "releases", losing)
    options = ("--probe", "tokenizers", "--json-file", folder / "result.json")
    done = command_line("bisect", "numpy", "1.0", "2.1", *options)
    assert done.returncode == 2
    assert "first changed by numpy 1.3" in done.stdout
    assert "its folder was moved or removed meanwhile" in done.stderr.splitlines()[-1]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("numpy", "2.1", "1.0", "--probe", "tokenizers"), "1.0"),
        (("numpy", "1.0", "2.1"), "needs --model"),
        (
            ("numpy", "1.0", "2.1", "--probe", "soup"),
            "'soup' is not one of 'own', 'vanilla', 'tokenizers', 'grammars'",
        ),
        (("numpy", "1.0", "2.1", "--probe", "tokenizers", "--depth", "all"), "'all' is not one of"),
    ],
)
def test_bisect_refuses_misuse(arguments: tuple[str, ...], line: str, bench: list[Any]) -> None:
    """One line, exit status 2, and nothing is measured."""
    done = command_line("bisect", *arguments)
    assert done.returncode == 2
    (error,) = done.stderr.splitlines()
    assert line in error
    assert not any(created.runs for created, _ in bench)


def test_canary_names_the_upgrade(bench: list[Any], tmp_path: Path) -> None:
    """The report and the JSON name it too, and what was left out."""
    out, report = tmp_path / "result.json", tmp_path / "result.md"
    options = ("--model", "fixtures/models/track", "--json-file", out, "--report", report)
    done = command_line("canary", "numpy==2.0", "scipy==1", *options)
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        "upgrades: numpy==2.0, scipy==1",
        "fingerprint track: drift, prompt_ids, 2 of 2",
        "  cause: numpy==2.0",
        "  numpy: - -> 2.0",
        "  scipy: - -> 1",
        "tokenizers: left out: no tokenizer is fetched; run: python -m benchmark fetch --all",
    ]
    assert "  cause: numpy==2.0\n" in report.read_text()
    result = json.loads(out.read_text())
    assert result["exit_status"] == 3
    assert list(result["left_out"]) == ["tokenizers"]
    assert result["trials"][0]["culprits"] == [["numpy==2.0"]]


def test_canary_without_a_change(bench: list[Any]) -> None:
    """The exit status is 0, and two environments are measured."""
    done = command_line("canary", "numpy==1.2", "--model", "fixtures/models/track")
    assert done.returncode == 0
    assert "fingerprint track: same" in done.stdout.splitlines()
    assert [created.runs for created, _ in bench] == [["unchanged", "numpy==1.2"]]


def test_canary_asks_for_a_model_outside_the_repository(
    bench: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is a model of the repository: elsewhere the line says which option to add."""
    monkeypatch.chdir(tmp_path)
    done = command_line("canary", "numpy==1.2")
    assert done.returncode == 2
    assert "name a model: --model FOLDER" in done.stderr


def test_canary_refuses_an_invalid_requirement(bench: list[Any]) -> None:
    """One line, exit status 2."""
    done = command_line("canary", "numpy=2", "--model", "fixtures/models/track")
    assert done.returncode == 2
    assert done.stderr == "error: 'numpy=2' is not a requirement; write name==version\n"
