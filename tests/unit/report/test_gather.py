"""What a report is made of."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.models.registry import registry
from benchmark.report.data import ReportData
from benchmark.report.gather import gather
from benchmark.scoring.outcomes import SCORES, read_outcomes
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import paired_test

BASE, VARIANT = "meta-llama/Llama-2-7b-hf", "codellama/CodeLlama-7b-hf"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, finished_runs: ModuleType) -> list[Path]:
    """A base that copies, its variant, and a run of a model that nobody knows."""
    states, place = finished_runs.some_states(60), tmp_path_factory.mktemp("runs")
    kinds = {BASE: finished_runs.copied, VARIANT: finished_runs.right, "x/y": finished_runs.mixed}
    return [
        finished_runs.write_run(place / str(number), model, states, answers)
        for number, (model, answers) in enumerate(kinds.items())
    ]


@pytest.fixture(scope="module")
def material(folders: list[Path]) -> ReportData:
    """The material of the three runs."""
    return gather(folders, registry())


def test_published_alone() -> None:
    """Without runs there are the paper's 29 models, 21 pairs and claims, and no state."""
    material = gather([], registry())
    assert len(material.models) == 29
    assert len(material.pairs) == 21
    assert [len(audit.judged) for audit in material.audits] == [22]
    assert (material.runs, material.states, material.compared) == ((), (), ())
    assert all(view.published and not view.measured for view in material.models)


def test_a_measured_pair(material: ReportData, folders: list[Path]) -> None:
    """A pair whose models were measured on the same states has their paired test."""
    view = material.pairs["code-llama2-7b"]
    documents = [json.loads((folder / "result.json").read_text()) for folder in folders[:2]]
    for by in SCORES:
        before, after = (read_outcomes(document, by=by) for document in documents)
        naive = paired_test(before, after, fresh_rng(), lambda numops: numops >= 1)
        assert view.tests[by].nontrivial == naive
    assert view.holds is True
    assert view.base.measured
    assert view.base.measured.nontrivial.tally.total == naive.queries
    assert material.pairs["code-gemma-7b"].measured is None


def test_runs_are_compared_with_the_first(material: ReportData) -> None:
    """Of three runs on the same states the second and the third are held against the first."""
    labels = [(c.base.run.label, c.variant.run.label) for c in material.compared]
    assert labels == [("Llama 2 7B", "CodeLlama 7B"), ("Llama 2 7B", "y")]
    assert {tests.overall.lost for tests in material.compared[0].tests.values()} == {0}


def test_what_is_beside_published_figures_is_exact(
    tmp_path: Path, finished_runs: ModuleType
) -> None:
    """A model that names every object in another order is right by set alone."""
    states = finished_runs.some_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.backwards)
    material = gather([run], registry())
    (view,) = (view for view in material.models if view.scores)
    assert view.scores["set"].overall.tally.accuracy == 1
    assert view.measured == view.scores["exact"]
    assert view.measured.overall.tally.accuracy < 0.8
    assert material.runs[0].summaries == view.scores
    for state in material.states:
        (answer,) = state.answers
        assert answer
        assert all(answer.outcome.correct)
        several = tuple(len(query.gold) > 1 for query in state.state.queries)
        assert answer.outcomes["exact"].correct == tuple(not many for many in several)


def test_an_older_result_gets_its_exact_score_from_its_predictions(
    tmp_path: Path, finished_runs: ModuleType
) -> None:
    """The figures are those that a result of now would have."""
    states = finished_runs.some_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.backwards)
    new = gather([run], registry()).runs[0].summaries
    document = json.loads((run / "result.json").read_text())
    del document["exact"]
    (run / "result.json").write_text(json.dumps(document))
    counts = {
        by: summary.overall.tally
        for by, summary in gather([run], registry()).runs[0].summaries.items()
    }
    assert counts == {by: summary.overall.tally for by, summary in new.items()}


def test_other_data(folders: list[Path], tmp_path: Path, finished_runs: ModuleType) -> None:
    """Runs on other states are not compared with these."""
    other = finished_runs.write_run(
        tmp_path / "o", VARIANT, finished_runs.some_states(7), finished_runs.right,
        data={"sha256": "d2", "states": 7},
    )  # fmt: skip
    material = gather([folders[0], other], registry())
    assert material.compared == ()
    assert material.pairs["code-llama2-7b"].measured is None


def test_states_and_answers(material: ReportData, finished_runs: ModuleType) -> None:
    """Every state is there once, with the gold contents and each run's answer and outcome."""
    gold = {state.description: state for state in finished_runs.some_states(60)}
    assert {view.state.description for view in material.states} == set(gold)
    for view in material.states:
        state = gold[view.state.description]
        assert view.state.queries == state.queries
        copied, right, _ = view.answers
        assert copied
        assert right
        assert right.text == finished_runs.right(state)
        assert all(right.outcome.correct)
        first = finished_runs.first_contents(view.state.description)
        assert copied.outcome.correct == tuple(
            objects == set(query.gold) for objects, query in zip(first, state.queries, strict=True)
        )


def test_notes_say_what_is_left_out(material: ReportData, folders: list[Path]) -> None:
    """A model outside the registry and a run without predictions are named."""
    assert material.notes == ("y: not in the registry; in no claim, pair or table",)
    (folders[2] / "predictions.jsonl").rename(folders[2] / "away")
    notes = gather([folders[2]], registry()).notes
    (folders[2] / "away").rename(folders[2] / "predictions.jsonl")
    assert "y: no predictions.jsonl beside its result; not among the states" in notes


def test_audit_of_the_runs(material: ReportData) -> None:
    """Runs of the paper's models are audited beside the published results."""
    published, measured = material.audits
    assert (published.source, len(measured.judged)) == ("the published results (Table 6)", 22)
    assert {judged.verdict.status for judged in measured.judged} >= {"not decidable"}


def test_predictions_must_lead_to_the_result(tmp_path: Path, finished_runs: ModuleType) -> None:
    """Predictions that were changed since are refused by name."""
    states = finished_runs.some_states(20)
    folder = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.right)
    other = finished_runs.write_run(tmp_path / "other", BASE, states, finished_runs.copied)
    (other / "predictions.jsonl").rename(folder / "predictions.jsonl")
    with pytest.raises(DataError, match=r"run: predictions.jsonl does not lead to result.json"):
        gather([folder], registry())


def test_an_older_result_may_have_been_scored_by_other_rules(
    tmp_path: Path, finished_runs: ModuleType
) -> None:
    """Its counts stay, a note says how many answers differ; other states are refused."""
    states = finished_runs.some_states(20)
    run = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.right)
    document = json.loads((run / "result.json").read_text())
    del document["exact"]
    (run / "result.json").write_text(json.dumps(document))
    lines = (run / "predictions.jsonl").read_text().splitlines(keepends=True)
    lines.reverse()  # into the order of the states, as run leaves them
    edited = json.loads(lines[0]) | {"prediction": "Statement: Box 0"}
    (run / "predictions.jsonl").write_text(json.dumps(edited) + "\n" + "".join(lines[1:]))
    material = gather([run], registry())
    (note,) = material.notes
    assert "1 of 20 answers would now be scored otherwise by set" in note
    assert material.runs[0].summaries["set"].overall.tally.accuracy == 1
    (run / "predictions.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(DataError, match="does not lead to"):
        gather([run], registry())


def test_descriptions_must_be_of_the_task(tmp_path: Path, finished_runs: ModuleType) -> None:
    """A prediction about something else is an error that names the file."""
    states = finished_runs.some_states(3)
    folder = finished_runs.write_run(tmp_path / "run", BASE, states, finished_runs.right)
    with (folder / "predictions.jsonl").open("a") as file:
        file.write('{"input": "Once upon a time.", "prediction": ""}\n')
    with pytest.raises(DataError, match=r"predictions.jsonl: not a statement"):
        gather([folder], registry())


def test_each_group_has_its_own_generator() -> None:
    """The generator of a test does not hang on the tests before it."""
    first, second = fresh_rng(), fresh_rng()
    assert np.array_equal(first.random(3), second.random(3))
