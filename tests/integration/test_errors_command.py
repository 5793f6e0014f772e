"""The command ``errors``, and ``score --errors``."""

import json
from pathlib import Path

import pytest

from benchmark.boxes.dataset import rows
from benchmark.scoring.error_types import ERROR_TYPES
from fakes import finished_runs
from fakes.command_line import command_line

COPYING = finished_runs.initial_answer
RIGHT = finished_runs.correct_answer


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs that copy, that copy half of the sequences, and that are right.

    Their results are those of older versions, without an analysis of errors.
    """
    folder, states = tmp_path_factory.mktemp("runs"), finished_runs.first_states(26 * 8)[::3]
    answers = {"copies": COPYING, "half": finished_runs.mixed_answer, "tracks": RIGHT}
    for name, answer in answers.items():
        run = finished_runs.write_run(folder / name, f"owner/{name}", states, answer)
        assert "errors" not in json.loads((run / "result.json").read_text())
    return folder


def test_one_run(runs: Path) -> None:
    """Its table has every type, groups and odds ratios, within 80 columns; the JSON the same."""
    done = command_line("errors", runs / "half")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split() for line in lines]
    document = json.loads(command_line("errors", runs / "half", "--json").stdout)
    (run,) = document["runs"]
    assert document["change"] == {}
    copied = run["types"]["initial_contents"]["overall"]
    assert copied > 0
    assert ["initial", "contents", str(copied), "100.0", "0", str(copied)] in cells
    assert ["wrong", str(copied), "0", str(copied)] in cells
    for error in ERROR_TYPES:
        assert any(line.startswith(f" {error.title} ") for line in lines)
    whole = run["whole_states"]
    share = f"{100 * whole['correct'] / whole['total']:.1f}"
    assert any(
        line.split()[:6] == ["whole", "states", "(all", "boxes)", "70", share] for line in lines
    )
    assert any(line.startswith(" empty box ") for line in lines)


def test_two_runs_are_compared(runs: Path) -> None:
    """The change by type has its sign, and a p-value by Holm."""
    done = command_line("errors", runs / "copies", runs / "half", "--json")
    document = json.loads(done.stdout)
    before, after = (run["types"]["initial_contents"]["overall"] for run in document["runs"])
    ((name, change),) = document["change"].items()
    assert name == "initial_contents"
    assert change["growth"] == after - before < 0
    assert change["new"] == 0
    assert change["p_holm"] < 0.05
    shown = command_line("errors", runs / "copies", runs / "half").stdout
    assert f"{after - before:+d}" in shown
    (heading,) = (line.split() for line in shown.splitlines() if line.startswith(" error "))
    assert heading[-3:] == ["diff.", "p", "sees"]
    assert "sees: smallest difference found (power 80 %, one type alone)" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_three_runs_are_shown_side_by_side(runs: Path) -> None:
    """One that is always right has no share and no odds ratios."""
    done = command_line("errors", runs)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    (initial,) = [line.split() for line in lines if line.startswith(" initial contents")]
    assert initial[2:] == ["100.0", "100.0", "-"]
    assert json.loads(command_line("errors", runs, "--json").stdout)["change"] == {}


def test_a_run_of_other_states_is_not_compared(runs: Path, tmp_path: Path) -> None:
    """Two runs on different states are shown, without a change."""
    states = finished_runs.first_states(39)
    other = finished_runs.write_run(
        tmp_path / "other", "owner/other", states, COPYING, data={"sha256": "d2"}
    )
    done = command_line("errors", runs / "copies", other, "--json")
    assert json.loads(done.stdout)["change"] == {}


def test_a_run_without_predictions_is_refused(tmp_path: Path) -> None:
    """One line names the folder and what to do."""
    states = finished_runs.first_states(13)
    run = finished_runs.write_run(tmp_path / "run", "owner/run", states, COPYING)
    (run / "predictions.jsonl").unlink()
    done = command_line("errors", run)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"{run}: no predictions.jsonl" in line


def test_score_shows_the_same(runs: Path, tmp_path: Path) -> None:
    """``score --errors`` of the same predictions has the figures of ``errors``."""
    data = tmp_path / "gold.jsonl"
    states = finished_runs.first_states(26 * 8)[::3]
    data.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    arguments = ("score", "--predictions", runs / "half" / "predictions.jsonl", "--gold", data)
    scored = json.loads(command_line(*arguments, "--errors", "--json").stdout)
    (run,) = json.loads(command_line("errors", runs / "half", "--json").stdout)["runs"]
    assert scored["errors"] == {k: v for k, v in run.items() if k not in {"run", "folder"}}
    assert "errors" not in json.loads(command_line(*arguments, "--json").stdout)
    assert "missed move out" in command_line(*arguments, "--errors").stdout
