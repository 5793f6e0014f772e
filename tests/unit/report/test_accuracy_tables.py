"""Tables 3 and 6 against what is printed, and measured figures beside them."""

import csv
from math import sqrt
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.models.registry import registry
from benchmark.report.accuracy_tables import table_3, table_6
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.report.table_model import TableModel, TableRow

PRINTED = Path(__file__).parents[3] / "fixtures" / "published"


def _row(grid: TableModel, name: str) -> TableRow:
    return next(row for row in grid.rows if row.cells[0].text == name)


def _figures(row: TableRow) -> list[str]:
    return [cell.text for cell in row.cells[1:]]


def test_table_3_as_printed(published_material: ReportData) -> None:
    """The two rows of Table 3, to the second decimal."""
    grid = table_3(published_material)
    with (PRINTED / "table3.csv").open() as file:
        for printed in csv.DictReader(file):
            wanted = [printed["aggregate"], printed["ops0"], printed["nontrivial"]]
            assert _figures(_row(grid, printed["model"])) == wanted
    assert len(grid.rows) == 2


def test_table_6_as_printed(published_material: ReportData) -> None:
    """Random and the 29 models, overall and by numops, to the second decimal."""
    grid = table_6(published_material)
    with (PRINTED / "table6.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    counts = rows.pop("instances")
    assert len(grid.rows) == len(rows) == 30
    for printed in rows.values():
        name = printed["model"].replace("random", "Random")
        overall, _, *by_numops = _figures(_row(grid, name))
        assert overall == printed["overall"]
        assert by_numops == [printed[f"ops{n}"] for n in range(8)]
    heads = [column.partition(" (")[2].rstrip(")").replace(",", "") for column in grid.columns[1:]]
    assert heads == [counts["overall"], "3709", *(counts[f"ops{n}"] for n in range(8))]


def test_what_was_measured_under_which_identifier(
    tmp_path: Path, finished_runs: ModuleType
) -> None:
    """An alternative is named in its row; the authors' data is not called the paper's."""
    states = finished_runs.some_states(26)
    names = ("google/gemma-1.1-7b-it", "allenai/OLMo-1B-hf")
    folders = [
        finished_runs.write_run(tmp_path / str(number), name, states, finished_runs.copied)
        for number, name in enumerate(names)
    ]
    grid = table_6(gather(folders, registry()))
    titles = [row.cells[0].text for row in grid.rows]
    paper, others = titles[:32], titles[32:]
    assert "Gemma 7B Instruct, measured as google/gemma-1.1-7b-it" in paper
    assert others[1:] == ["OLMo 1B, the authors' data", "OLMo 1B, measured", "difference"]
    found = {
        (record["model"], record["source"]): record["huggingface_id"] for record in grid.records
    }
    assert found["Gemma 7B Instruct", "published"] == "google/gemma-1.1-7b-it"
    assert found["Gemma 7B Instruct", "measured"] == "google/gemma-1.1-7b-it"
    assert found["OpenMath-Mistral 7B", "published"] == "nvidia/OpenMath-Mistral-7B-v0.1"
    assert found["OLMo 1B", "published"] == "allenai/OLMo-1B"
    assert found["OLMo 1B", "measured"] == "allenai/OLMo-1B-hf"


def test_measured_beside_published(material: ReportData) -> None:
    """Under a published row stand the measured one and the difference with its error."""
    grid = table_6(material)
    place = next(n for n, row in enumerate(grid.rows) if row.cells[0].text == "CodeLlama 7B")
    published, measured, difference = grid.rows[place : place + 3]
    assert [row.kind for row in (published, measured, difference)] == [
        "published",
        "measured",
        "difference",
    ]
    assert measured.cells[0].text == "CodeLlama 7B, measured"
    assert set(_figures(measured)) == {"100.00", "\N{EN DASH}"}  # few states: no 7 operations
    assert difference.cells[1].text == "+68.06"
    # The error is that of two proportions, pooled, the variance doubled.
    total = 5012
    own = 60 * 7
    pooled = (1601 + own) / (total + own)
    error = 100 * 1.96 * sqrt(2 * pooled * (1 - pooled) * (1 / total + 1 / own))
    assert difference.cells[1].small == f"\N{PLUS-MINUS SIGN} {error:.1f}"
    untouched = _row(grid, "Gemma 7B")
    assert untouched.kind == "published"
    assert "Gemma 7B, measured" not in {row.cells[0].text for row in grid.rows}


def test_records_are_the_figures(material: ReportData) -> None:
    """The records have counts, ends of intervals and differences, a figure each."""
    records = [r for r in table_6(material).records if r["model"] == "CodeLlama 7B"]
    published = next(r for r in records if r["source"] == "published" and r["numops"] == "all")
    assert (published["correct"], published["total"]) == (1601, 5012)
    assert published["difference"] is None
    by = {r["score"]: r for r in records if r["source"] == "measured" and r["numops"] == "all"}
    measured = by["exact"]
    assert (measured["correct"], measured["total"]) == (420, 420)
    assert measured["difference"] == pytest.approx(100 - 100 * 1601 / 5012, abs=0.001)
    assert by["set"]["difference"] is None  # published figures are not by it
    assert published["score"] == "exact"


def test_the_score_of_measured_figures_is_told(
    published_material: ReportData, material: ReportData
) -> None:
    """The caption names the score that is set beside published figures, where it is."""
    assert "by the score exact" in table_6(material).caption
    assert "exact" not in table_6(published_material).caption


def test_intervals_are_told(published_material: ReportData, material: ReportData) -> None:
    """The caption says what the intervals are; of measured figures only where there are any."""
    assert "clustered" not in table_3(published_material).caption
    assert "clustered by sequence" in table_6(material).caption
