"""What went wrong, on the page: bars and tables of the types of error."""

from pathlib import Path

import pytest

from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.error_views import FAMILIES, error_bars, error_tables
from benchmark.report.gather import gather
from benchmark.report.page import page, tables
from benchmark.runs.error_tables import adjusted_p_values
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.stats.logistic import LogisticFit, OddsEffect
from fakes import finished_runs


def test_every_type_has_one_colour() -> None:
    """The families have all types, each once."""
    names = [name for _, types in FAMILIES.values() for name in types]
    assert sorted(names) == sorted(error.name for error in ERROR_TYPES)


def test_bars_are_as_long_as_the_counts(report: ReportData) -> None:
    """A bar begins with the right answers; its segments follow each other up to 100 per cent."""
    bars = error_bars(report)
    assert [bar.title for bar in bars] == [view.title for view in report.runs]
    for bar, view in zip(bars, report.runs, strict=True):
        tally = view.summary.overall.tally
        assert bar.right == pytest.approx(100 * tally.accuracy)
        end = bar.right
        for segment in bar.segments:
            assert segment.start == pytest.approx(end)
            end += segment.width
        assert end == pytest.approx(100)
    copying, right, _ = bars
    assert [segment.family for segment in copying.segments] == ["past"]
    assert right.segments == ()


def test_tables_have_a_column_per_run(report: ReportData) -> None:
    """A run without errors has dashes; records have the numbers of every type."""
    types, groups, odds = error_tables(report)
    titles = tuple(view.title for view in report.runs)
    assert types.columns[1:] == groups.columns[1:] == odds.columns[1:] == titles
    by_name = {row.cells[0].text: row.cells for row in types.rows}
    wrong = report.errors[0].summary.wrong
    assert (by_name["initial contents"][1].text, by_name["initial contents"][1].detail) == (
        "100.0",
        str(wrong),
    )
    assert by_name["initial contents"][2].text == "\N{EN DASH}"
    assert by_name["wrong"][2].text == "0.0"
    first = [record for record in types.records if record["run"] == titles[0]]
    assert sum(int(str(record["queries"])) for record in first) == wrong
    assert any("separated" in str(record["note"]) for record in odds.records)
    assert "separated" in odds.caption
    assert all(record["p_holm"] is record["p"] is None for record in odds.records if record["note"])
    whole = [record for record in groups.records if record["group"] == "whole_states"]
    assert whole[1]["accuracy"] == 100


def test_p_values_of_predictors_are_adjusted() -> None:
    """By Holm's method over the predictors in the table; the intercept is none of them."""
    effects = {
        name: OddsEffect(value, 0.5, 40, "")
        for name, value in (("first_change", 1.2), ("empty", 1.0), ("intercept", 9.0))
    }
    first, empty = (effects[name].p for name in ("first_change", "empty"))
    adjusted = adjusted_p_values(LogisticFit(effects, 100, 0))
    assert first is not None
    assert empty is not None
    assert adjusted == {"first_change": 2 * first, "empty": max(2 * first, empty)}


def test_comparisons_have_the_change_by_type(report: ReportData) -> None:
    """Copying was the only error, and it is past in a run that is right."""
    by_name = {one.variant.run.model: one for one in report.comparisons}
    change = by_name["codellama/CodeLlama-7b-hf"].errors
    assert list(change) == ["initial_contents"]
    assert change["initial_contents"].growth == -report.errors[0].summary.wrong


def test_runs_without_predictions_are_left_out(tmp_path: Path) -> None:
    """Without any the page has no section about errors, and no tables."""
    states = finished_runs.first_states(26)
    for name in ("one", "two"):
        run = finished_runs.write_run(
            tmp_path / name, f"x/{name}", states, finished_runs.mixed_answer
        )
    whole = gather([tmp_path], registry())
    assert 'id="errors"' in page(whole, tables(whole))
    (run / "predictions.jsonl").unlink()
    partial = gather([tmp_path], registry())
    assert [errors.view.title for errors in partial.errors] == ["one"]
    assert partial.comparisons[0].errors == {}
    none = gather([run], registry())
    assert (none.errors, error_tables(none), error_bars(none)) == ((), (), ())
    assert 'id="errors"' not in page(none, tables(none))


def test_sequences_of_moved_lines_are_those_of_their_beginnings(tmp_path: Path) -> None:
    """Predictions in another order keep their clusters: the states with the same first sentence."""
    states = finished_runs.first_states(52)
    folder = finished_runs.write_run(tmp_path / "run", "x/y", states, finished_runs.mixed_answer)
    (before,) = gather([folder], registry()).errors
    lines = (folder / "predictions.jsonl").read_text().splitlines(keepends=True)
    (folder / "predictions.jsonl").write_text("".join(lines[26:] + lines[:26]))
    document = (folder / "result.json").read_text()
    (folder / "result.json").write_text(document.replace('"exact"', '"earlier"', 1))
    (after,) = gather([folder], registry()).errors
    documents = [errors.summary.as_json() for errors in (before, after)]
    for name in ("by", "whole_states", "types"):  # intervals are rounded there
        assert documents[0][name] == documents[1][name]
