"""Gathering the data of a report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.scoring.outcomes import SCORES, read_outcomes
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import paired_test
from fakes import finished_runs

BASE, VARIANT = "meta-llama/Llama-2-7b-hf", "codellama/CodeLlama-7b-hf"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write a base that copies, its variant, and a run of an unregistered model."""
    states, folder = finished_runs.first_states(60), tmp_path_factory.mktemp("runs")
    answers_by_model = {
        BASE: finished_runs.initial_answer,
        VARIANT: finished_runs.correct_answer,
        "x/y": finished_runs.mixed_answer,
    }
    return [
        finished_runs.write_run(folder / str(number), model, states, answers)
        for number, (model, answers) in enumerate(answers_by_model.items())
    ]


@pytest.fixture(scope="module")
def report(folders: list[Path]) -> ReportData:
    """Return the report data of the three runs."""
    return gather(folders, registry())


def test_without_runs() -> None:
    """Without runs there are the paper's 29 models, 21 pairs and claims, and no states."""
    report = gather([], registry())
    assert len(report.models) == 29
    assert len(report.pairs) == 21
    assert [len(audit.judged) for audit in report.audits] == [22]
    assert (report.runs, report.states, report.comparisons) == ((), (), ())
    assert all(view.published and not view.measured for view in report.models)


def test_a_measured_pair(report: ReportData, folders: list[Path]) -> None:
    """A pair has a paired test if its models were measured on the same states."""
    view = report.pairs["code-llama2-7b"]
    documents = [json.loads((folder / "result.json").read_text()) for folder in folders[:2]]
    for by in SCORES:
        before, after = (read_outcomes(document, by=by) for document in documents)
        naive = paired_test(before, after, fresh_rng(), lambda numops: numops >= 1)
        assert view.tests[by].nontrivial == naive
    assert view.verdict
    assert view.verdict.holds is True
    assert view.base.measured
    assert view.base.measured.nontrivial.tally.total == naive.queries
    assert report.pairs["code-gemma-7b"].measured is None


def test_runs_are_compared_with_the_first(report: ReportData) -> None:
    """Of three runs on the same states, the second and third are compared with the first."""
    labels = [(c.base.run.label, c.variant.run.label) for c in report.comparisons]
    assert labels == [("Llama 2 7B", "CodeLlama 7B"), ("Llama 2 7B", "y")]
    assert {tests.overall.lost for tests in report.comparisons[0].tests.values()} == {0}


def test_exact_is_comparable_with_published_figures(tmp_path: Path) -> None:
    """A model that lists the objects in another order is right by set but not by exact."""
    states = finished_runs.first_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.reversed_answer)
    report = gather([run], registry())
    (view,) = (view for view in report.models if view.scores)
    assert view.scores["set"].overall.tally.accuracy == 1
    assert view.measured == view.scores["exact"]
    assert view.measured.overall.tally.accuracy < 0.8
    assert report.runs[0].summaries == view.scores
    for state in report.states:
        (answer,) = state.answers
        assert answer
        assert all(answer.outcome.correct)
        single = tuple(len(query.gold) <= 1 for query in state.state.queries)
        assert answer.outcomes["exact"].correct == single


def test_an_older_result_gets_its_exact_score_from_its_predictions(tmp_path: Path) -> None:
    """The counts equal those of a result of this version."""
    states = finished_runs.first_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.reversed_answer)
    new = gather([run], registry()).runs[0].summaries
    document = json.loads((run / "result.json").read_text())
    del document["exact"]
    (run / "result.json").write_text(json.dumps(document))
    counts = {
        by: summary.overall.tally
        for by, summary in gather([run], registry()).runs[0].summaries.items()
    }
    assert counts == {by: summary.overall.tally for by, summary in new.items()}


def test_other_data(folders: list[Path], tmp_path: Path) -> None:
    """Runs on other states are not compared with these."""
    other = finished_runs.write_run(
        tmp_path / "o", VARIANT, finished_runs.first_states(7), finished_runs.correct_answer,
        data={"sha256": "d2", "states": 7},
    )  # fmt: skip
    report = gather([folders[0], other], registry())
    assert report.comparisons == ()
    assert report.pairs["code-llama2-7b"].measured is None


def test_states_and_answers(report: ReportData) -> None:
    """Every state occurs once, with the gold contents and each run's answer and outcome."""
    gold = {state.description: state for state in finished_runs.first_states(60)}
    assert {view.state.description for view in report.states} == set(gold)
    for view in report.states:
        state = gold[view.state.description]
        assert view.state.queries == state.queries
        copied, right, _ = view.answers
        assert copied
        assert right
        assert right.text == finished_runs.correct_answer(state)
        assert all(right.outcome.correct)
        first = finished_runs.initial_contents(view.state.description)
        assert copied.outcome.correct == tuple(
            objects == set(query.gold) for objects, query in zip(first, state.queries, strict=True)
        )


def test_notes_say_what_is_left_out(report: ReportData, folders: list[Path]) -> None:
    """Notes name a model outside the registry and a run without predictions."""
    assert report.notes == ("y: not in the registry; in no claim, pair or table of the paper",)
    (folders[2] / "predictions.jsonl").rename(folders[2] / "away")
    notes = gather([folders[2]], registry()).notes
    (folders[2] / "away").rename(folders[2] / "predictions.jsonl")
    assert "y: no predictions.jsonl next to its result; not among the states" in notes


def test_a_note_names_each_unfinished_run(tmp_path: Path) -> None:
    """A run that was interrupted is in no table; a folder that is named twice is noted once."""
    states = finished_runs.first_states(5)
    finished_runs.write_run(tmp_path / "done", VARIANT, states, finished_runs.correct_answer)
    (tmp_path / "done" / "run.json").write_text("{}")
    (tmp_path / "begun.1").mkdir()  # its --out was not this, if --set-aside has moved it
    (tmp_path / "begun.1" / "run.json").write_text("{}")
    notes = gather([tmp_path, tmp_path / "done", tmp_path], registry()).notes
    begun = [note for note in notes if "not finished" in note]
    path = tmp_path / "begun.1"
    assert begun == [f"{path}: not finished; to resume, repeat its command with --out {path}"]


def test_audit_of_the_runs(report: ReportData) -> None:
    """The claims are decided on the published results and on runs of the paper's models."""
    published, measured = report.audits
    assert (published.source, len(measured.judged)) == ("the published results (Table 6)", 22)
    assert {judged.verdict.status for judged in measured.judged} >= {"undecided"}


def test_predictions_must_lead_to_the_result(tmp_path: Path) -> None:
    """Predictions that do not match the result are refused; the error names the run."""
    states = finished_runs.first_states(20)
    folder = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.correct_answer)
    other = finished_runs.write_run(tmp_path / "other", BASE, states, finished_runs.initial_answer)
    (other / "predictions.jsonl").rename(folder / "predictions.jsonl")
    with pytest.raises(DataError, match=r"run: predictions.jsonl does not lead to result.json"):
        gather([folder], registry())


def test_an_older_result_may_have_been_scored_by_other_rules(tmp_path: Path) -> None:
    """Its counts are kept and a note counts the differing answers; other states are refused."""
    states = finished_runs.first_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.correct_answer)
    document = json.loads((run / "result.json").read_text())
    del document["exact"]
    (run / "result.json").write_text(json.dumps(document))
    lines = (run / "predictions.jsonl").read_text().splitlines(keepends=True)
    edited = json.loads(lines[0]) | {"prediction": "Statement: Box 0"}
    (run / "predictions.jsonl").write_text(json.dumps(edited) + "\n" + "".join(lines[1:]))
    report = gather([run], registry())
    (note,) = report.notes
    assert "1 of 20 answers would now be scored differently by set" in note
    assert report.runs[0].summaries["set"].overall.tally.accuracy == 1
    (run / "predictions.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="does not lead to"):
        gather([run], registry())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [*lines, lines[-1]], r"predictions\.jsonl:21: a second line for the same"),
        (lambda lines: lines[1:], r"does not lead to result\.json"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], r"does not lead to result\.json"),
        (lambda lines: lines[::-1], r"does not lead to result\.json"),
    ],
    ids=["doubled", "missing", "swapped", "reversed"],
)
def test_changed_lines_are_refused(
    tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    """Doubled, missing and reordered lines of finished predictions are errors."""
    states = finished_runs.first_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.mixed_answer)
    lines = (run / "predictions.jsonl").read_text().splitlines(keepends=True)
    (run / "predictions.jsonl").write_text("".join(change(lines)))
    with pytest.raises(DataError, match=message):
        gather([run], registry())


def test_descriptions_must_be_of_the_task(tmp_path: Path) -> None:
    """A prediction that is not about a state is an error that names the file."""
    states = finished_runs.first_states(3)
    folder = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.correct_answer)
    with (folder / "predictions.jsonl").open("a") as file:
        file.write('{"input": "Once upon a time.", "prediction": ""}\n')
    with pytest.raises(DataError, match=r"predictions.jsonl: not a statement"):
        gather([folder], registry())


def test_each_group_has_its_own_generator() -> None:
    """A test's generator does not depend on previous tests."""
    first, second = fresh_rng(), fresh_rng()
    assert np.array_equal(first.random(3), second.random(3))


def test_runs_without_a_comparison_are_named(folders: list[Path], tmp_path: Path) -> None:
    """A run on other states is named, and so is a pair that was measured on different states."""
    other = finished_runs.write_run(
        tmp_path / "o", VARIANT, finished_runs.first_states(7), finished_runs.correct_answer,
        data={"sha256": "d2", "states": 7},
    )  # fmt: skip
    report = gather([folders[0], folders[2], other], registry())
    labels = [(c.base.run.label, c.variant.run.label) for c in report.comparisons]
    assert labels == [("Llama 2 7B", "y")]
    assert report.notes == (
        "y: not in the registry; in no claim, pair or table of the paper",
        "CodeLlama 7B: not compared with another run: no other run has the same states",
        (
            "Llama 2 7B and CodeLlama 7B: not compared as the pair code-llama2-7b: they were "
            "measured on different states"
        ),
    )
    assert gather([folders[0]], registry()).notes == ()


def test_runs_without_operations_are_named(tmp_path: Path) -> None:
    """Runs on states without operations are not compared, and are named."""
    generated = finished_runs.first_states(60)
    states = [state for state in generated if state.description.count(".") == 1]
    assert states
    folders = [
        finished_runs.write_run(tmp_path / name, f"x/{name}", states, finished_runs.correct_answer)
        for name in ("a", "b")
    ]
    report = gather(folders, registry())
    assert report.comparisons == ()
    reason = "not compared with another run: no query of its states has one or more operations"
    assert [note for note in report.notes if "compared" in note] == [f"{n}: {reason}" for n in "ab"]


def test_every_registered_run_that_is_left_out_is_named(
    folders: list[Path], tmp_path: Path
) -> None:
    """A run of another task and one with another prompt are named, with the reason."""
    states = finished_runs.first_states(7)
    task = finished_runs.write_run(
        tmp_path / "task", VARIANT, states, finished_runs.correct_answer,
        data={"sha256": "d2", "states": 7, "task": "move-contents"},
    )  # fmt: skip
    (task / "predictions.jsonl").unlink()
    prompt = finished_runs.write_run(
        tmp_path / "prompt", VARIANT, finished_runs.first_states(60), finished_runs.correct_answer,
        protocol={
            "name": "default", "engine": "outlines", "prompt_format": "completion",
            "prompt_variant": "table2", "changed": ["prompt_variant"],
        },
    )  # fmt: skip
    report = gather([folders[0], task, prompt], registry())
    left_out = [
        note
        for note in report.notes
        if note.startswith("in no claim, pair or table of the paper: ")
    ]
    assert [
        str(tmp_path / name) in note
        for name, note in zip(("task", "prompt"), left_out, strict=True)
    ]
    assert "task move-contents" in left_out[0]
    assert "prompt_variant table2" in left_out[1]
    titles = [view.title for view in report.runs]
    assert titles == [
        "Llama 2 7B",
        "CodeLlama 7B (task), task move-contents",
        "CodeLlama 7B (prompt)",
    ]
