"""Comparisons of small records: severity, stage, flips, margins and alignment."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.fingerprints.compare import EXIT_STATUSES, Severity, compare
from benchmark.fingerprints.digests import StageRecord, failure_digest
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint
from benchmark.fingerprints.scores import outcome_digests
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.terminal import headline, rendered, summary_lines
from benchmark.records import Outcome
from fakes.fake_fingerprints import by_all_scores, fake_logits, with_changed_stage


def _flipped(record: Fingerprint, token: int = 9) -> Fingerprint:
    """Return the record with another second token in state 1, whose first query flips."""
    output = (record.output[0], (5, token, 1), record.output[2])
    outcomes = (record.outcomes[0], Outcome(1, (0, 2), (False, True)), record.outcomes[2])
    changed = replace(record, output=output, scores=by_all_scores(outcomes))
    for stage in ("generated_ids", "answer", "outcome"):
        changed = with_changed_stage(changed, stage, (1,))
    changed = with_changed_stage(changed, "counts", (0,))
    assert isinstance(changed, Fingerprint)
    return changed


def test_equal_records(record: Fingerprint) -> None:
    """A record is equal to itself, with exit status 0 and no stage."""
    comparison = compare(record, record)
    assert (comparison.severity, comparison.stage, comparison.exit_status) == (
        Severity.SAME,
        None,
        0,
    )
    assert not comparison.stage_diffs


def test_exit_statuses() -> None:
    """Drift and regression differ from each other, from failed tests (1) and from errors (2)."""
    assert set(EXIT_STATUSES) == set(Severity)
    assert EXIT_STATUSES[Severity.SAME] == EXIT_STATUSES[Severity.NOISE] == 0
    bad = {EXIT_STATUSES[Severity.DRIFT], EXIT_STATUSES[Severity.REGRESSION]}
    assert len(bad) == 2
    assert not bad & {0, 1, 2}


@pytest.mark.parametrize(("change", "severity"), [(0.03, "noise"), (0.05, "drift")])
def test_noise_floor_separates_noise_from_drift(
    record: Fingerprint, change: float, severity: str
) -> None:
    """Up to four times the largest repeat, 0.04 nats, is noise; more is drift."""
    new = replace(with_changed_stage(record, "logits", (0, 1, 2)), logits=fake_logits(change))
    comparison = compare(record, new)
    assert comparison.severity == severity
    assert comparison.largest == pytest.approx(change, abs=0.001)
    assert comparison.stage == (None if severity == "noise" else "logits")


@pytest.mark.parametrize(
    "stage", [s for s in STAGES if s not in {"constraint", "logits", "counts"}]
)
def test_single_changed_stage_is_drift(record: Fingerprint, stage: str) -> None:
    """A changed stage without a changed outcome is drift, and is named."""
    comparison = compare(record, with_changed_stage(record, stage, (0,)))
    assert (comparison.severity, comparison.stage) == (Severity.DRIFT, stage)


def test_first_changed_stage_is_named(record: Fingerprint) -> None:
    """If several stages changed, the first in the pipeline is named."""
    new = with_changed_stage(with_changed_stage(record, "answer", (0,)), "prompt_ids", (0, 2))
    comparison = compare(record, new)
    assert comparison.stage == "prompt_ids"
    assert [(diff.stage, len(diff.states)) for diff in comparison.changed] == [
        ("prompt_ids", 2),
        ("answer", 1),
    ]


def test_flip_is_a_regression(record: Fingerprint) -> None:
    """A flip is counted by numops, with the margin of its token and a test."""
    comparison = compare(record, _flipped(record))
    assert (comparison.severity, comparison.stage) == (Severity.REGRESSION, "generated_ids")
    assert comparison.flips_by_numops() == {0: (0, 1)}
    (change,) = comparison.answer_changes
    assert (change.old, change.position, change.old_token, change.new_token) == (1, 1, 7, 9)
    assert change.margin == pytest.approx(2.9, abs=0.001)
    assert comparison.test is not None
    assert (comparison.test.gained, comparison.test.lost, comparison.test.clusters) == (0, 1, 2)


def _flipped_by_exact_only(record: Fingerprint) -> Fingerprint:
    """Return the record with the first query of state 1 wrong by ``exact`` only."""
    exact = (record.outcomes[0], Outcome(1, (0, 2), (False, True)), record.outcomes[2])
    changed = with_changed_stage(with_changed_stage(record, "outcome", (1,)), "counts", (1,))
    flipped: Fingerprint = replace(changed, scores={**record.scores, "exact": exact})
    return flipped


def test_flip_by_exact_only_is_drift(record: Fingerprint) -> None:
    """The main score did not change, so it is not a regression; the flip is shown."""
    comparison = compare(record, _flipped_by_exact_only(record))
    assert (comparison.severity, comparison.stage) == (Severity.DRIFT, "outcome")
    assert comparison.flips == ()
    assert comparison.flipped_scores == ("exact",)
    assert comparison.flips_by_numops("exact") == {0: (0, 1)}
    assert [(diff.stage, diff.note) for diff in comparison.changed] == [
        ("outcome", "by exact only"),
        ("counts", "by exact only"),
    ]
    (example,) = comparison.examples
    assert example.where == "right (+) and wrong (-) by box, score exact"
    document = comparison.as_json()
    assert document["flips"] == {"gained": 0, "lost": 0, "by_numops": {}}
    exact = document["exact"]
    assert isinstance(exact, dict)
    assert exact["flips"] == {
        "gained": 0,
        "lost": 1,
        "by_numops": {"0": {"gained": 0, "lost": 1}},
    }
    decisions = [exact["test"][name] for name in ("decision", "equality", "not_worse")]
    claims = [decision["claim"] for decision in decisions]
    assert claims == ["difference", "equivalence", "non-inferiority"]
    assert {*map(frozenset, decisions)} == {frozenset(decisions[0])}
    text = " ".join(rendered(comparison).split())
    assert "outcomes: 0 gained, 0 lost of 6 queries" in text
    assert "outcomes by exact: 0 gained, 1 lost of 6 queries" in text


def test_flip_by_both_scores_is_shown_once(record: Fingerprint) -> None:
    """If the same queries flip by both scores, the second score is not listed."""
    comparison = compare(record, _flipped(record))
    assert comparison.all_flips["exact"] == comparison.all_flips["set"]
    assert comparison.flipped_scores == ("set",)
    assert "by exact" not in rendered(comparison)


def _older(record: Fingerprint) -> Fingerprint:
    """Return the record as it was made before there was a second score."""
    outcomes = {"set": record.scores["set"]}
    stages = {
        **record.stages,
        "outcome": StageRecord(tuple(outcome_digests(outcomes))),
        "counts": StageRecord(record.stages["counts"].digests[:1]),
    }
    return replace(record, scores=outcomes, stages=stages)


def test_record_without_exact_is_compared_by_set(record: Fingerprint) -> None:
    """Only scores that both records have are compared, and a line says so."""
    for old, new, where in ((_older(record), record, "new"), (record, _older(record), "old")):
        comparison = compare(old, new)
        assert comparison.severity is Severity.SAME
        assert comparison.as_json()["not_compared"] == {"exact": where}
        assert f"outcomes by exact (only {where})" in "\n".join(summary_lines(comparison))
    assert compare(_older(record), _flipped_by_exact_only(record)).severity is Severity.SAME
    lost = compare(_older(record), _flipped(record))
    assert lost.severity is Severity.REGRESSION
    assert [len(diff.states) for diff in lost.changed if diff.stage == "outcome"] == [1]


def test_unrecorded_token_has_no_margin(record: Fingerprint) -> None:
    """A token that is less likely than the recorded ones is not a near tie."""
    comparison = compare(record, _flipped(record, token=99))
    assert comparison.answer_changes[0].margin is None
    assert comparison.severity == Severity.REGRESSION


def test_near_tie_is_noise(record: Fingerprint) -> None:
    """An answer that changes between two tokens closer than twice the floor is noise."""
    tied = record.logits
    assert tied is not None
    steps = tied.steps.copy()
    steps[4, 1] = steps[4, 0] - 100  # a fortieth of a nat; the floor is 0.04
    old = replace(record, logits=Logits(tied.ids, steps, tied.lengths))
    new = _flipped(old)
    comparison = compare(old, new)
    assert (comparison.severity, comparison.excused) == (Severity.NOISE, frozenset({1}))
    steps = steps.copy()
    steps[4, 1] = steps[4, 0] - 400  # a tenth
    distant = replace(record, logits=Logits(tied.ids, steps, tied.lengths))
    assert compare(distant, _flipped(distant)).severity == Severity.REGRESSION


def test_new_failure_is_a_regression(record: Fingerprint) -> None:
    """A failure that both records have is no difference."""
    stages = {
        **record.stages,
        "constraint": StageRecord(failed="TypeError: no (outlines_core/x.py:3)"),
    }
    broken = replace(record, stages=stages, allowed=None)
    comparison = compare(record, broken)
    assert (comparison.severity, comparison.stage) == (Severity.REGRESSION, "constraint")
    assert comparison.failed == {"constraint": "TypeError: no (outlines_core/x.py:3)"}
    assert compare(broken, broken).severity == Severity.SAME
    assert (compare(broken, record).severity, compare(broken, record).stage) == (
        Severity.DRIFT,
        "constraint",
    )


def test_example_names_the_missing_token(record: Fingerprint) -> None:
    """If one token is missing from a set, the example has its id."""
    assert record.allowed is not None
    first, second = record.allowed.sets
    fewer = Allowed(
        (AllowedSet("cc", first.size - 1, first.total - 7), second), record.allowed.along
    )
    comparison = compare(record, replace(record, allowed=fewer))
    assert (comparison.severity, comparison.stage) == (Severity.DRIFT, "constraint")
    assert comparison.examples[0].new == "4 tokens allowed (missing id 7)"
    assert len(comparison.examples) == 3


def test_states_are_found_again_in_another_order(record: Fingerprint) -> None:
    """A shuffled set is still compared state by state: only its order changed."""

    def reverse(stage: StageRecord) -> StageRecord:
        return StageRecord(stage.digests[::-1])

    assert record.logits is not None
    rows = [record.logits.state(n) for n in (2, 1, 0)]
    assert record.allowed is not None
    new = replace(
        record,
        stages={
            name: stage if name == "counts" else reverse(stage)
            for name, stage in record.stages.items()
        },
        path=record.path[::-1],
        output=record.output[::-1],
        texts=record.texts[::-1],
        scores={by: scored[::-1] for by, scored in record.scores.items()},
        allowed=Allowed(record.allowed.sets, record.allowed.along[::-1]),
        logits=Logits(
            np.concatenate([ids for ids, _ in rows]),
            np.concatenate([steps for _, steps in rows]),
            record.logits.lengths[::-1],
        ),
    )
    comparison = compare(record, new)
    assert [diff.stage for diff in comparison.changed] == ["dataset"]
    assert comparison.changed[0].note == "different order"
    assert comparison.largest == 0.0


def test_permuted_outcomes_change_the_outcome_stage(record: Fingerprint) -> None:
    """No other stage changes."""
    stage = record.stages["outcome"]
    stages = {**record.stages, "outcome": StageRecord(stage.digests[::-1])}
    scores = {by: scored[::-1] for by, scored in record.scores.items()}
    comparison = compare(record, replace(record, stages=stages, scores=scores))
    assert comparison.stage == "outcome"


def test_missing_states_are_a_regression(record: Fingerprint) -> None:
    """Missing states change the dataset stage, regardless of outcomes."""
    stages = {
        name: StageRecord(stage.digests[:2] if len(stage.digests) > 1 else stage.digests)
        for name, stage in record.stages.items()
    }
    comparison = compare(record, replace(record, stages=stages))
    assert (comparison.severity, comparison.stage) == (Severity.REGRESSION, "dataset")
    assert comparison.changed[0].note == "1 states missing"
    assert headline(comparison).endswith("first changed stage: dataset (1 states missing)")


def test_constraint_in_one_record_only(record: Fingerprint) -> None:
    """All states differ, though each record follows its own answers."""
    free = tuple((n + 40, 1) for n in range(3))
    none = replace(record, path=free, output=free, allowed=Allowed((), ((),) * 3))
    for old, new, note in (
        (record, none, "the new record has no constraint"),
        (none, record, "the old record has no constraint"),
    ):
        comparison = compare(old, new)
        changed = next(diff for diff in comparison.changed if diff.stage == "constraint")
        assert (changed.states, changed.note) == ((0, 1, 2), note)
        assert comparison.stage == "constraint"
        assert "no constraint" in (comparison.examples[0].old, comparison.examples[0].new)


def test_stage_of_one_record_is_reported(record: Fingerprint) -> None:
    """A stage that only one record has is reported as not compared."""
    stages = {name: stage for name, stage in record.stages.items() if name != "logits"}
    less = replace(record, stages=stages, logits=None)
    for old, new, where in ((record, less, "old"), (less, record, "new")):
        comparison = compare(old, new)
        assert comparison.severity == Severity.SAME
        assert comparison.as_json()["not_compared"] == {"logits": where}
        assert headline(comparison) == "same: nothing differs in the stages that both records have"
        assert f"logits (only {where})" in "\n".join(summary_lines(comparison))
    assert compare(record, record).uncompared == {}
    changed = compare(
        record, replace(less, stages={**stages, "prompt_ids": StageRecord(("x",) * 3)})
    )
    assert "only in the old record" in rendered(changed)


def test_example_is_at_the_largest_logit_difference(record: Fingerprint) -> None:
    """It may be at a token other than the recorded one."""
    logits = fake_logits()
    steps = logits.steps.copy()
    steps[8, 1] += 4096
    changed = replace(record, logits=replace(logits, steps=steps))
    (example,) = compare(record, changed).examples
    assert (example.state, example.where) == (2, "answer token 2, ids with log-probabilities")
    assert "9: -3.0000" in example.old
    assert "9: -2.0000" in example.new


def test_repeated_states_are_paired_in_order(record: Fingerprint) -> None:
    """A record with repeated states is equal to itself."""
    digests = record.stages["dataset"].digests
    twice = StageRecord((digests[0], digests[0], digests[2]))
    doubled = replace(record, stages={**record.stages, "dataset": twice})
    assert compare(doubled, doubled).severity is Severity.SAME


@pytest.mark.parametrize("stage", list(STAGES)[1:])
def test_stage_that_fails_in_both_records(record: Fingerprint, stage: str) -> None:
    """There is no difference, also if the text of the error changed."""
    one, other = (
        replace(record, stages={**record.stages, stage: StageRecord(failed=text)})
        for text in ("a", "b")
    )
    assert compare(one, one).severity is Severity.SAME
    assert compare(one, other).severity is Severity.SAME
    assert compare(one, other).stage_diffs == ()


def test_other_families_are_compared_if_one_fails(record: Fingerprint) -> None:
    """The first tokenizer fails in both records; a change of the second one is found."""
    old = _with_prompt_ids(record, failure_digest(), "one", "z", failed="a: no")
    new = _with_prompt_ids(record, failure_digest(), "two", "z", failed="a: never")
    (stage_diff,) = compare(old, new).stage_diffs
    assert (stage_diff.stage, stage_diff.states, stage_diff.failed) == ("prompt_ids", (1,), None)
    assert compare(old, new).severity is Severity.DRIFT


def test_one_family_that_fails_now(record: Fingerprint) -> None:
    """Only its state differs, and the stage fails; in the opposite direction it is fixed."""
    old = _with_prompt_ids(record, "x", "y", "z")
    new = _with_prompt_ids(record, "x", failure_digest(), "z", failed="b: no")
    comparison = compare(old, new)
    (stage_diff,) = comparison.stage_diffs
    assert (stage_diff.states, stage_diff.failed) == ((1,), "b: no")
    assert comparison.severity is Severity.REGRESSION
    assert headline(comparison).endswith("prompt_ids (fails in 1 of 3 states)")
    (stage_diff,) = compare(new, old).stage_diffs
    assert (stage_diff.states, stage_diff.failed) == ((1,), None)
    assert stage_diff.note == "fixed; it failed with: b: no"
    assert compare(new, old).severity is Severity.DRIFT


def test_another_family_that_fails_now(record: Fingerprint) -> None:
    """A failure in the old record does not hide a new one of another family."""
    old = _with_prompt_ids(record, failure_digest(), "y", "z", failed="a: no")
    new = _with_prompt_ids(record, failure_digest(), failure_digest(), "z", failed="a: no; b: no")
    (stage_diff,) = compare(old, new).stage_diffs
    assert (stage_diff.states, stage_diff.failed) == ((1,), "a: no; b: no")
    assert compare(old, new).severity is Severity.REGRESSION
    everything = replace(
        record, stages={**record.stages, "prompt_ids": StageRecord(failed="all: no")}
    )
    assert compare(old, everything).failed == {"prompt_ids": "all: no"}


def _with_prompt_ids(record: Fingerprint, *digests: str, failed: str | None = None) -> Fingerprint:
    return replace(record, stages={**record.stages, "prompt_ids": StageRecord(digests, failed)})


@pytest.mark.parametrize(
    ("old", "new", "names", "line"),
    [
        ({"name": "a", "fingerprint": "1"}, {"name": "a", "fingerprint": "1"}, None, ""),
        ({"name": "a", "fingerprint": "1"}, {"name": "b", "fingerprint": "1"}, None, ""),
        (
            {"name": "a", "fingerprint": "1"},
            {"name": "b", "fingerprint": "2"},
            ["a", "b"],
            "different models (a and b); ",
        ),
        (
            {"name": "a", "fingerprint": "1"},
            {"name": "a", "fingerprint": "2"},
            ["a", "a"],
            "different files of the model a; ",
        ),
        ({"name": "a"}, {"name": "b"}, ["a", "b"], "different models (a and b); "),
        (
            {"name": "a", "fingerprint": "sha256:1"},
            {"name": "a", "fingerprint": "sha256-tree:2"},
            None,
            "",
        ),
    ],
)
def test_different_models_are_reported(
    old: dict[str, str],
    new: dict[str, str],
    names: list[str] | None,
    line: str,
    record: Fingerprint,
) -> None:
    """The headline and the JSON say so; a model's folder may have any name."""
    before, after = (
        replace(one, environment=replace(record.environment, model=model))
        for one, model in ((record, old), (with_changed_stage(record, "prompt", (0,)), new))
    )
    comparison = compare(before, after)
    assert comparison.as_json()["different_models"] == names
    assert headline(comparison) == f"drift: {line}first changed stage: prompt (1 of 3 states)"
    assert headline(compare(before, replace(before, environment=after.environment))) == (
        f"same: {line}nothing differs"
    )
