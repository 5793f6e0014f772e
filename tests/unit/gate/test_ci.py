"""A gate in CI: JUnit, annotation and step summary; and its verb."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmark.gate.ci import junit, report_to_github
from benchmark.gate.result import gate
from fakes import eval_logs
from fakes.command_line import command_line

ROOT = Path(__file__).parents[3]


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Path, Path]:
    """Logs of which one task is worse and one undecided; one name needs escaping."""
    for name, lost in (("old", 0), ("new", 50)):
        eval_logs.write_lm_eval(tmp_path / name, "b|ad", [1.0] * (200 - lost) + [0.0] * lost)
        eval_logs.write_lm_eval(tmp_path / name, "small", [1.0] * 20)
    return tmp_path / "old", tmp_path / "new"


def test_junit(logs: tuple[Path, Path]) -> None:
    """A worse task fails, an undecided one is skipped."""
    root = ET.fromstring(junit(gate(*logs)))  # noqa: S314  # our own
    cases = {case.get("name"): case for case in root.iter("testcase")}
    failure, skipped = cases["b|ad"].find("failure"), cases["small"].find("skipped")
    assert failure is not None
    message = str(failure.get("message"))
    assert message.startswith("exact_match: no loss of 0.02: not supported; -0.250 (90 % interval")
    assert "the drop is larger than the margin; a loss of" in message
    assert skipped is not None
    assert "exact_match: no loss of 0.02: undecided; +0.000" in str(skipped.get("message"))
    properties = {p.get("name"): p.get("value") for p in cases["small"].iter("property")}
    assert properties["decision.verdict"] == properties["difference.verdict"] == "undecided"
    assert properties["decision.unit"] == "score"


def test_github(logs: tuple[Path, Path], tmp_path: Path) -> None:
    """The annotation is an error; the summary has a table; nothing happens elsewhere."""
    result, summary = gate(*logs), tmp_path / "summary.md"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    assert report_to_github(result, {}) is None
    annotation = report_to_github(result, environment)
    assert annotation
    assert annotation.startswith("::error title=gate%3A old -> new::worse by more than 0.02: b|ad")
    text = summary.read_text()
    assert "| b\\|ad | 200 | 1.000 | 0.750 |" in text
    assert "- b\\|ad: exact\\_match: no loss of 0.02: not supported; -0.250" in text


def test_worked_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's logs have the page's table."""
    page = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    blocks = page.split("```")
    program = blocks[1].partition("END_OF_LOGS'\n")[2].partition("END_OF_LOGS")[0]
    monkeypatch.chdir(tmp_path)
    exec(program, {})  # noqa: S102  # the documentation's own
    done = command_line("gate", "logs/before", "logs/after", "--margin", "0.02")
    assert done.returncode == 4
    assert [line.rstrip() for line in done.stdout.splitlines()] == blocks[3].strip().splitlines()


def test_verb(logs: tuple[Path, Path], tmp_path: Path) -> None:
    """Exit statuses 4, 3 and 0; the table and the JSON file."""
    out = tmp_path / "gate.json"
    done = command_line("gate", *logs, "--json-file", out, "--junit", tmp_path / "gate.xml")
    assert done.returncode == 4
    assert "worse by more than 0.02: b|ad" in done.stdout
    assert json.loads(out.read_text())["verdict"] == "worse"
    assert command_line("gate", *logs, "--margin", "0.4").returncode == 0
    assert command_line("gate", logs[0], logs[0]).returncode == 3
