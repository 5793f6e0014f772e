"""What harnesses ask, and how they count: against the data, and against our own counts."""

import re
from math import isnan
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.errors import DataError
from benchmark.export.harness import boxes, lm_eval_task
from benchmark.prompts.rendering import completion
from benchmark.runs.data import load_states
from benchmark.runs.requests import DataRequest
from benchmark.scoring.counts import count
from benchmark.tasks import DEFAULT, task_named

YAML = Path(boxes.__file__).parent / "entity_tracking_boxes.yaml"


def test_documents_are_the_states_of_a_run() -> None:
    """The same states in the same order, each with the prompt of the completion format."""
    documents = boxes.documents(seed=1, states=20)
    states = load_states(DataRequest(seed=1, states=20))
    assert [d["description"] for d in documents] == [s.description for s in states]
    assert [d["prompt"] for d in documents] == [completion(s.description) for s in states]
    assert [d["sample_id"] for d in documents] == [s.sample_id for s in states]
    assert len({d["id"] for d in documents}) == 20
    for document in documents:
        told = boxes.queries(document["sample_id"], document["description"], document["answer"])
        assert {right for _, *rights in told for right in rights} == {1}


def test_accuracies_are_our_counts(finished_runs: ModuleType) -> None:
    """Every group's accuracy is what the counts by numops give for the same texts."""
    states = finished_runs.some_states(65)
    texts = [
        (finished_runs.backwards if n % 3 else finished_runs.copied)(state)
        for n, state in enumerate(states)
    ]
    scored = [
        boxes.queries(state.sample_id, state.description, text)
        for state, text in zip(states, texts, strict=True)
    ]
    for by, name in (("set", "acc"), ("exact", "exact")):
        counts = count(task_named(DEFAULT).outcomes(states, texts)[by])
        assert boxes.accuracy(scored, name) == counts.overall.accuracy
        assert boxes.accuracy(scored, f"{name}_nontrivial") == counts.nontrivial.accuracy
        for numops in range(8):
            mine = boxes.accuracy(scored, f"{name}_numops_{numops}")
            tally = counts.by_numops.get(numops)
            assert isnan(mine) if tally is None else mine == tally.accuracy
    assert boxes.accuracy(scored, "exact") < boxes.accuracy(scored, "acc")


def test_no_such_accuracy() -> None:
    """Is an error that names those there are."""
    with pytest.raises(DataError, match="acc_nontrivial"):
        boxes.accuracy([], "f1")


def test_the_task_of_lm_eval_names_every_accuracy() -> None:
    """Its file, its module and the groups have the same names: a metric each."""
    text = YAML.read_text()
    metrics = re.findall(r"metric: (\w+)\n    aggregation: !function lm_eval_task\.(\w+)", text)
    assert metrics == [(group, group) for group in boxes.GROUPS]
    (document,) = boxes.documents(states=1)
    results = lm_eval_task.process_results(document, [document["answer"]])
    for group in boxes.GROUPS:
        found = getattr(lm_eval_task, group)([results[group]])
        assert found == 1 or isnan(found)


def test_the_task_of_lm_eval_decodes_as_the_protocol_does() -> None:
    """Greedy, as many tokens as the default protocol, no stop of its own."""
    from benchmark.decoding.protocols import protocol

    text = YAML.read_text()
    assert f"max_gen_toks: {protocol('default').limits.max_new_tokens}" in text
    assert "do_sample: false" in text
    assert "until: []" in text
