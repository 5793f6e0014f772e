"""Tables 3 and 6 compared with the printed ones, and measured results in them."""

import csv
from math import sqrt
from pathlib import Path

import pytest

from benchmark.models.registry import registry
from benchmark.report.accuracy_tables import table_3, table_6
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.report.table_model import TableModel, TableRow
from fakes import finished_runs

PRINTED = Path(__file__).parents[3] / "fixtures" / "published"


def _row(table: TableModel, name: str) -> TableRow:
    return next(row for row in table.rows if row.cells[0].text == name)


def _figures(row: TableRow) -> list[str]:
    return [cell.text for cell in row.cells[1:]]


def test_table_3_as_printed(published_report: ReportData) -> None:
    """The two rows of Table 3 equal the printed ones to the second decimal."""
    table = table_3(published_report)
    with (PRINTED / "table3.csv").open() as file:
        for printed in csv.DictReader(file):
            expected = [printed["aggregate"], printed["ops0"], printed["nontrivial"]]
            assert _figures(_row(table, printed["model"])) == expected
    assert len(table.rows) == 2


def test_table_6_as_printed(published_report: ReportData) -> None:
    """Random and the 29 models equal the printed rows to the second decimal."""
    table = table_6(published_report)
    with (PRINTED / "table6.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    counts = rows.pop("instances")
    assert len(table.rows) == len(rows) == 30
    for printed in rows.values():
        name = printed["model"].replace("random", "Random")
        overall, _, *by_numops = _figures(_row(table, name))
        assert overall == printed["overall"]
        assert by_numops == [printed[f"ops{n}"] for n in range(8)]
    heads = [column.partition(" (")[2].rstrip(")").replace(",", "") for column in table.columns[1:]]
    assert heads == [counts["overall"], "3709", *(counts[f"ops{n}"] for n in range(8))]


def test_identifiers_of_measured_models(tmp_path: Path) -> None:
    """A row names the alternative repository; rows of the authors' data are labeled as such."""
    states = finished_runs.first_states(26)
    names = ("google/gemma-1.1-7b-it", "allenai/OLMo-1B-hf")
    folders = [
        finished_runs.write_run(tmp_path / str(number), name, states, finished_runs.initial_answer)
        for number, name in enumerate(names)
    ]
    table = table_6(gather(folders, registry()))
    titles = [row.cells[0].text for row in table.rows]
    paper, others = titles[:32], titles[32:]
    assert "Gemma 7B Instruct, measured as google/gemma-1.1-7b-it" in paper
    assert others[1:] == ["OLMo 1B, the authors' data", "OLMo 1B, measured", "difference"]
    ids = {
        (record["model"], record["source"]): record["huggingface_id"] for record in table.records
    }
    assert ids["Gemma 7B Instruct", "published"] == "google/gemma-1.1-7b-it"
    assert ids["Gemma 7B Instruct", "measured"] == "google/gemma-1.1-7b-it"
    assert ids["OpenMath-Mistral 7B", "published"] == "nvidia/OpenMath-Mistral-7B-v0.1"
    assert ids["OLMo 1B", "published"] == "allenai/OLMo-1B"
    assert ids["OLMo 1B", "measured"] == "allenai/OLMo-1B-hf"


def test_measured_rows_follow_published_ones(report: ReportData) -> None:
    """The measured row and the difference with its error are below the published row."""
    table = table_6(report)
    first = next(n for n, row in enumerate(table.rows) if row.cells[0].text == "CodeLlama 7B")
    published, measured, difference = table.rows[first : first + 3]
    assert [row.kind for row in (published, measured, difference)] == [
        "published",
        "measured",
        "difference",
    ]
    assert measured.cells[0].text == "CodeLlama 7B, measured"
    assert set(_figures(measured)) == {"100.00", "\N{EN DASH}"}  # few states: no 7 operations
    assert difference.cells[1].text == "+68.06"
    # The error is that of two proportions with pooled and doubled variance.
    total = 5012
    measured_total = 60 * 7
    pooled = (1601 + measured_total) / (total + measured_total)
    error = 100 * 1.96 * sqrt(2 * pooled * (1 - pooled) * (1 / total + 1 / measured_total))
    assert difference.cells[1].detail == f"\N{PLUS-MINUS SIGN} {error:.1f}"
    untouched = _row(table, "Gemma 7B")
    assert untouched.kind == "published"
    assert "Gemma 7B, measured" not in {row.cells[0].text for row in table.rows}


def test_records(report: ReportData) -> None:
    """The records have the counts, interval ends and differences of single figures."""
    records = [r for r in table_6(report).records if r["model"] == "CodeLlama 7B"]
    published = next(r for r in records if r["source"] == "published" and r["numops"] == "all")
    assert (published["correct"], published["total"]) == (1601, 5012)
    assert published["difference"] is None
    by_score = {
        r["score"]: r for r in records if r["source"] == "measured" and r["numops"] == "all"
    }
    measured = by_score["exact"]
    assert (measured["correct"], measured["total"]) == (420, 420)
    assert measured["difference"] == pytest.approx(100 - 100 * 1601 / 5012, abs=0.001)
    assert by_score["set"]["difference"] is None  # published figures are not scored by set
    assert published["score"] == "exact"


def test_caption_names_the_score(published_report: ReportData, report: ReportData) -> None:
    """The caption names the score of measured results, if there are any."""
    assert "by the score exact" in table_6(report).caption
    assert "exact" not in table_6(published_report).caption


def test_caption_explains_intervals(published_report: ReportData, report: ReportData) -> None:
    """The caption explains the intervals; those of measured results only if there are any."""
    assert "clustered" not in table_3(published_report).caption
    assert "clustered by sequence" in table_6(report).caption
