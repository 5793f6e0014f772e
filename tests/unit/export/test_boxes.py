"""The task for harnesses, compared with the data and with this benchmark's own counts."""

import re
from math import isnan
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.export.harness import boxes, lm_eval_task
from benchmark.prompts.rendering import completion
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.scoring.counts import count
from benchmark.tasks import DEFAULT, task_named
from fakes import finished_runs

YAML = Path(boxes.__file__).parent / "entity_tracking_boxes.yaml"


def test_documents_are_the_states_of_a_run() -> None:
    """The documents are the same states in the same order, with the completion prompts."""
    documents = boxes.documents(seed=1, states=20)
    states = load_states(DataRequest(seed=1, states=20))
    assert [d["description"] for d in documents] == [s.description for s in states]
    assert [d["prompt"] for d in documents] == [completion(s.description) for s in states]
    assert [d["sample_id"] for d in documents] == [s.sample_id for s in states]
    assert len({d["id"] for d in documents}) == 20
    for document in documents:
        scored = boxes.score_text(
            document["sample_id"], document["description"], document["answer"]
        )
        assert {right for _, *by_score in scored for right in by_score} == {1}


def test_accuracies_equal_our_counts() -> None:
    """Every group's accuracy follows from the counts by numops of the same texts."""
    states = finished_runs.first_states(65)
    texts = [
        (finished_runs.reversed_answer if n % 3 else finished_runs.initial_answer)(state)
        for n, state in enumerate(states)
    ]
    scored = [
        boxes.score_text(state.sample_id, state.description, text)
        for state, text in zip(states, texts, strict=True)
    ]
    for score, name in (("set", "acc"), ("exact", "exact")):
        counts = count(task_named(DEFAULT).outcomes(states, texts)[score])
        assert boxes.accuracy(scored, name) == counts.overall.accuracy
        assert boxes.accuracy(scored, f"{name}_nontrivial") == counts.nontrivial.accuracy
        for numops in range(8):
            accuracy = boxes.accuracy(scored, f"{name}_numops_{numops}")
            tally = counts.by_numops.get(numops)
            assert isnan(accuracy) if tally is None else accuracy == tally.accuracy
    assert boxes.accuracy(scored, "exact") < boxes.accuracy(scored, "acc")


def test_unknown_accuracy() -> None:
    """An unknown accuracy is an error that lists the available ones."""
    with pytest.raises(DataError, match="acc_nontrivial"):
        boxes.accuracy([], "f1")


def test_the_task_of_lm_eval_names_every_accuracy() -> None:
    """The task's file and module have one metric per group, with the same name."""
    text = YAML.read_text()
    metrics = re.findall(r"metric: (\w+)\n    aggregation: !function lm_eval_task\.(\w+)", text)
    assert metrics == [(group, group) for group in boxes.GROUPS]
    (document,) = boxes.documents(states=1)
    results = lm_eval_task.process_results(document, [document["answer"]])
    for group in boxes.GROUPS:
        accuracy = getattr(lm_eval_task, group)([results[group]])
        assert accuracy == 1 or isnan(accuracy)


def test_the_task_of_lm_eval_decodes_as_the_protocol_does() -> None:
    """Decoding is greedy, up to the default protocol's number of tokens, without stop texts."""
    from benchmark.decoding.protocols import protocol

    text = YAML.read_text()
    assert f"max_gen_toks: {protocol('default').limits.max_new_tokens}" in text
    assert "do_sample: false" in text
    assert "until: []" in text
