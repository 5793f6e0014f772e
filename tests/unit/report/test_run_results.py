"""The opening of the page: every run by numops, registered or not, with random and two models."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.hypotheses.results import NONTRIVIAL
from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.report.run_results import run_results, run_table
from benchmark.report.table_formats import csv_text, html
from fakes import finished_runs


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one run of a model that is not registered."""
    folder = tmp_path_factory.mktemp("mine") / "run"
    states = finished_runs.first_states(60)
    return finished_runs.write_run(folder, "x/mine", states, finished_runs.mixed_answer)


@pytest.fixture(scope="module")
def mine_report(mine: Path) -> ReportData:
    """Return the report on that run."""
    return gather([mine], registry())


def test_a_run_that_is_not_registered_is_drawn(mine: Path, mine_report: ReportData) -> None:
    """Its curve is by exact; its tile has numops >= 1 by set, as the terminal, and by exact."""
    results = run_results(mine_report)
    assert [curve.name for curve in results.chart.curves] == [
        "Llama 2 7B, published",
        "CodeLlama 13B, published",
        "mine",
    ]
    document = json.loads((mine / "result.json").read_text())
    exact = document["exact"]
    expected = {int(n): c["correct"] / c["total"] for n, c in exact["by_numops"].items()}
    curve = results.chart.curves[-1]
    shown = [100 - point.y for point in curve.points]
    assert shown == [pytest.approx(100 * expected[n], abs=0.01) for n in sorted(expected)]
    (tile,) = results.tiles
    tally, by_exact = document["nontrivial"], exact["nontrivial"]
    assert (tile.estimate.tally.correct, tile.estimate.tally.total) == (
        tally["correct"],
        tally["total"],
    )
    assert tile.comparable
    assert tile.comparable.accuracy == by_exact["correct"] / by_exact["total"]


def test_random_is_that_of_the_states(mine: Path, mine_report: ReportData) -> None:
    """The baseline is that of the run's states by exact, not the paper's."""
    baseline = json.loads((mine / "result.json").read_text())["baseline"]  # by exact
    results = run_results(mine_report)
    heights = [100 - float(point.split(",")[1]) for point in results.chart.random[1:].split("L")]
    by_numops = baseline["by_numops"].values()
    assert heights == [pytest.approx(percent, abs=0.02) for percent in by_numops]
    (tile,) = results.tiles
    assert tile.comparable
    assert tile.comparable.chance == pytest.approx(baseline["nontrivial"] / 100, abs=2e-4)
    assert tile.chance == mine_report.runs[0].chance_on("set", NONTRIVIAL)
    assert tile.chance != tile.comparable.chance
    assert results.random_of == ""


def test_runs_differ_in_colour_or_marker(report: ReportData) -> None:
    """Each run has its own colour and marker, and the published models have none of a run."""
    results = run_results(report)
    drawn = [(curve.css_class, curve.shape) for curve in results.chart.curves]
    assert len(set(drawn)) == 5
    assert [css_class for css_class, _ in drawn[2:]] == ["run run-0", "run run-1", "run run-2"]
    many = run_results(_with_runs(report, 30))
    assert len({(tile.css_class, tile.shape) for tile in many.tiles}) == 30


def _with_runs(report: ReportData, count: int) -> ReportData:
    return replace(report, runs=report.runs[:1] * count)


def test_runs_on_different_states(mine: Path, tmp_path: Path) -> None:
    """The legend says on whose states random is, if runs have different states."""
    other = finished_runs.write_run(
        tmp_path / "other", "x/other", finished_runs.first_states(7), finished_runs.correct_answer,
        data={"sha256": "d2", "states": 7},
    )  # fmt: skip
    assert run_results(gather([mine, other], registry())).random_of == "mine"


def test_published_models_are_of_the_papers_task(tmp_path: Path) -> None:
    """Next to runs of another task no published model is shown."""
    run = finished_runs.write_run(
        tmp_path / "run", "x/y", finished_runs.first_states(7), finished_runs.correct_answer,
        data={"sha256": "d2", "states": 7, "task": "move-contents"},
    )  # fmt: skip
    (run / "predictions.jsonl").unlink()
    report = gather([run], registry())
    assert run_results(report).scale == ()
    assert "heading" not in [row.kind for row in run_table(report).rows]


def test_without_runs_the_published_models_are_drawn(published_report: ReportData) -> None:
    """Without runs the chart has the two models and the paper's random row."""
    results = run_results(published_report)
    assert results.tiles == ()
    assert len(results.chart.curves) == 2
    first = float(results.chart.random[1:].split("L")[0].split(",")[1])
    assert first == pytest.approx(100 - 100 * published_report.chance[0], abs=0.01)


def test_table_of_runs(mine_report: ReportData) -> None:
    """A run has a row per score and one of random; the rows below the first follow it."""
    table = run_table(mine_report)
    assert table.columns == (
        "Run", "Score", "\N{GREATER-THAN OR EQUAL TO} 1", "Overall", *map(str, range(8))
    )  # fmt: skip
    names = [tuple(cell.text for cell in row.cells[:2]) for row in table.rows]
    assert names == [
        ("mine", "set"),
        ("", "random, set"),
        ("", "exact"),
        ("", "random, exact"),
        ("Published, for scale",),
        ("Llama 2 7B", "exact"),
        ("CodeLlama 13B", "exact"),
    ]
    assert [row.follows for row in table.rows] == [False, True, True, True, False, False, False]
    assert all(len(row.cells) in (1, len(table.columns)) for row in table.rows)


def test_tile_compares_with_random(mine_report: ReportData) -> None:
    """It says which side of random its interval is on."""
    (tile,) = run_results(mine_report).tiles
    low, high = tile.estimate.interval
    chances = {low / 2: "above random", (1 + high) / 2: "below random"}
    chances[(low + high) / 2] = "not clearly different from random"
    assert {c: tile._replace(chance=c).against_random for c in chances} == chances


def test_cells_of_few_queries_are_not_shaded(tmp_path: Path) -> None:
    """Below ten queries a cell has no colour, but keeps its value for sorting."""
    run = finished_runs.write_run(
        tmp_path / "run", "x/y", finished_runs.first_states(5), finished_runs.correct_answer
    )
    table = run_table(gather([run], registry()))
    totals = {str(row["numops"]): row["total"] for row in table.records}
    cells = dict(zip(table.columns[4:], table.rows[0].cells[4:], strict=True))
    few = {name for name, cell in cells.items() if cell.few}
    assert few == {name for name, total in totals.items() if 0 < int(str(total)) < 10}
    assert few
    page_rows = html(table).partition("<tbody>")[2].partition("</tr>")[0]
    assert page_rows.count('figure few"') == len(few)


def test_caption_names_both_kinds_of_intervals(mine_report: ReportData) -> None:
    """Those of runs are clustered; those of published rows are the paper's."""
    caption = run_table(mine_report).caption
    assert "of runs are clustered by sequence" in caption
    assert "published rows are the paper's, which treat queries as independent" in caption


def test_records_of_runs(mine: Path, mine_report: ReportData) -> None:
    """The CSV has the counts of result.json, by both scores."""
    rows = list(csv.DictReader(io.StringIO(csv_text(run_table(mine_report)))))
    document = json.loads((mine / "result.json").read_text())
    for row in rows:
        part = document if row["score"] == "set" else document["exact"]
        counts = {
            "all": part["overall"],
            ">= 1": part["nontrivial"],
            **part["by_numops"],
        }[row["numops"]]
        assert (int(row["correct"]), int(row["total"])) == (counts["correct"], counts["total"])
    assert {row["model"] for row in rows} == {"x/mine"}
    assert {row["score"] for row in rows} == {"set", "exact"}
