"""What a comparison says of records made by hand: severity, stage, flips, margins, alignment."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from benchmark.fingerprints.compare import EXIT_STATUSES, Severity, compare
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint
from benchmark.fingerprints.scores import outcome_digests
from benchmark.fingerprints.stages import STAGES
from benchmark.fingerprints.terminal import headline, rendered, summary_lines
from benchmark.records import Outcome


def _flipped(record: Fingerprint, hand: ModuleType, token: int = 9) -> Fingerprint:
    """State 1 answers with another second token, and its first query turns round."""
    output = (record.output[0], (5, token, 1), record.output[2])
    outcomes = (record.outcomes[0], Outcome(1, (0, 2), (False, True)), record.outcomes[2])
    moved = replace(record, output=output, scores=hand.by_all_scores(outcomes))
    for stage in ("generated_ids", "answer", "outcome"):
        moved = hand.restaged(moved, stage, (1,))
    moved = hand.restaged(moved, "counts", (0,))
    assert isinstance(moved, Fingerprint)
    return moved


def test_nothing_differs(record: Fingerprint) -> None:
    """The same record is the same, with exit status 0 and no stage."""
    found = compare(record, record)
    assert (found.severity, found.stage, found.exit_status) == (Severity.SAME, None, 0)
    assert not found.stage_diffs


def test_each_severity_has_its_exit_status() -> None:
    """Nothing to do is 0; drift and regression differ, and are neither crash (1) nor misuse (2)."""
    assert set(EXIT_STATUSES) == set(Severity)
    assert EXIT_STATUSES[Severity.SAME] == EXIT_STATUSES[Severity.NOISE] == 0
    bad = {EXIT_STATUSES[Severity.DRIFT], EXIT_STATUSES[Severity.REGRESSION]}
    assert len(bad) == 2
    assert not bad & {0, 1, 2}


@pytest.mark.parametrize(("moved", "severity"), [(0.03, "noise"), (0.05, "drift")])
def test_the_floor_parts_noise_from_drift(
    record: Fingerprint, hand: ModuleType, moved: float, severity: str
) -> None:
    """Four times the largest difference of the repeats, 0.04 nats, is noise and more is not."""
    new = replace(hand.restaged(record, "logits", (0, 1, 2)), logits=hand.fake_logits(moved))
    found = compare(record, new)
    assert found.severity == severity
    assert found.largest == pytest.approx(moved, abs=0.001)
    assert found.stage == (None if severity == "noise" else "logits")


@pytest.mark.parametrize(
    "stage", [s for s in STAGES if s not in {"constraint", "logits", "counts"}]
)
def test_a_stage_that_moved_alone_is_drift(
    record: Fingerprint, hand: ModuleType, stage: str
) -> None:
    """As long as no outcome changes, what moved is drift, and named."""
    found = compare(record, hand.restaged(record, stage, (0,)))
    assert (found.severity, found.stage) == (Severity.DRIFT, stage)


def test_the_earliest_stage_is_named(record: Fingerprint, hand: ModuleType) -> None:
    """Where several moved, it began at the one that comes first in the pipeline."""
    new = hand.restaged(hand.restaged(record, "answer", (0,)), "prompt_ids", (0, 2))
    found = compare(record, new)
    assert found.stage == "prompt_ids"
    assert [(each.stage, len(each.states)) for each in found.moved] == [
        ("prompt_ids", 2),
        ("answer", 1),
    ]


def test_a_flip_is_a_regression_with_its_figures(record: Fingerprint, hand: ModuleType) -> None:
    """A query that turned round is counted by numops, with the margin of its token and a test."""
    found = compare(record, _flipped(record, hand))
    assert (found.severity, found.stage) == (Severity.REGRESSION, "generated_ids")
    assert found.flips_by_numops() == {0: (0, 1)}
    (change,) = found.changes
    assert (change.old, change.position, change.old_token, change.new_token) == (1, 1, 7, 9)
    assert change.margin == pytest.approx(2.9, abs=0.001)
    assert found.test is not None
    assert (found.test.gained, found.test.lost, found.test.clusters) == (0, 1, 2)


def _by_exact_alone(record: Fingerprint, hand: ModuleType) -> Fingerprint:
    """Of state 1 the first query is wrong by ``exact`` now, and right by ``set`` as before."""
    exact = (record.outcomes[0], Outcome(1, (0, 2), (False, True)), record.outcomes[2])
    moved = hand.restaged(hand.restaged(record, "outcome", (1,)), "counts", (1,))
    made: Fingerprint = replace(moved, scores={**record.scores, "exact": exact})
    return made


def test_a_flip_by_exact_alone_is_drift_and_shown(record: Fingerprint, hand: ModuleType) -> None:
    """The main measure did not change, so it is no regression; it is named all the same."""
    found = compare(record, _by_exact_alone(record, hand))
    assert (found.severity, found.stage) == (Severity.DRIFT, "outcome")
    assert found.flips == ()
    assert found.turned_scores == ("exact",)
    assert found.flips_by_numops("exact") == {0: (0, 1)}
    assert [(each.stage, each.note) for each in found.moved] == [
        ("outcome", "by exact alone"),
        ("counts", "by exact alone"),
    ]
    (example,) = found.examples
    assert example.where == "right (+) and wrong (-) by box, score exact"
    document = found.as_json()
    assert document["flips"] == {"gained": 0, "lost": 0, "by_numops": {}}
    exact = document["exact"]
    assert isinstance(exact, dict)
    assert exact["flips"] == {
        "gained": 0,
        "lost": 1,
        "by_numops": {"0": {"gained": 0, "lost": 1}},
    }
    text = " ".join(rendered(found).split())
    assert "outcomes: 0 gained, 0 lost of 6 queries" in text
    assert "outcomes by exact: 0 gained, 1 lost of 6 queries" in text


def test_a_flip_by_both_scores_is_told_once(record: Fingerprint, hand: ModuleType) -> None:
    """Where the same queries turned round by both, the second says nothing new."""
    found = compare(record, _flipped(record, hand))
    assert found.all_flips["exact"] == found.all_flips["set"]
    assert found.turned_scores == ("set",)
    assert "by exact" not in rendered(found)


def _older(record: Fingerprint) -> Fingerprint:
    """The record as it was made before there was a second score."""
    outcomes = {"set": record.scores["set"]}
    stages = {
        **record.stages,
        "outcome": StageRecord(tuple(outcome_digests(outcomes))),
        "counts": StageRecord(record.stages["counts"].digests[:1]),
    }
    return replace(record, scores=outcomes, stages=stages)


def test_a_record_without_exact_is_compared_by_set(record: Fingerprint, hand: ModuleType) -> None:
    """Against an older record only what both have is compared, and that is said."""
    for old, new, where in ((_older(record), record, "new"), (record, _older(record), "old")):
        found = compare(old, new)
        assert found.severity is Severity.SAME
        assert found.as_json()["not_compared"] == {"exact": where}
        assert f"outcomes by exact (only {where})" in "\n".join(summary_lines(found))
    assert compare(_older(record), _by_exact_alone(record, hand)).severity is Severity.SAME
    lost = compare(_older(record), _flipped(record, hand))
    assert lost.severity is Severity.REGRESSION
    assert [len(each.states) for each in lost.moved if each.stage == "outcome"] == [1]


def test_a_token_that_was_not_kept_has_no_margin(record: Fingerprint, hand: ModuleType) -> None:
    """The margin to a token less likely than those kept is not known, and no near tie."""
    found = compare(record, _flipped(record, hand, token=99))
    assert found.changes[0].margin is None
    assert found.severity == Severity.REGRESSION


def test_a_near_tie_is_noise(record: Fingerprint, hand: ModuleType) -> None:
    """An answer that turns where two tokens were nearer than twice the floor is no alarm."""
    tied = record.logits
    assert tied is not None
    steps = tied.steps.copy()
    steps[4, 1] = steps[4, 0] - 100  # a fortieth of a nat; the floor is 0.04
    old = replace(record, logits=Logits(tied.ids, steps, tied.lengths))
    new = _flipped(old, hand)
    found = compare(old, new)
    assert (found.severity, found.excused) == (Severity.NOISE, frozenset({1}))
    steps = steps.copy()
    steps[4, 1] = steps[4, 0] - 400  # a tenth
    apart = replace(record, logits=Logits(tied.ids, steps, tied.lengths))
    assert compare(apart, _flipped(apart, hand)).severity == Severity.REGRESSION


def test_a_stage_that_fails_now_is_a_regression(record: Fingerprint) -> None:
    """An error where there was none is a regression at its stage; once known it is no news."""
    stages = {
        **record.stages,
        "constraint": StageRecord(failed="TypeError: no (outlines_core/x.py:3)"),
    }
    broken = replace(record, stages=stages, allowed=None)
    found = compare(record, broken)
    assert (found.severity, found.stage) == (Severity.REGRESSION, "constraint")
    assert found.failed == {"constraint": "TypeError: no (outlines_core/x.py:3)"}
    assert compare(broken, broken).severity == Severity.SAME
    assert (compare(broken, record).severity, compare(broken, record).stage) == (
        Severity.DRIFT,
        "constraint",
    )


def test_a_set_that_lost_one_token_names_it(record: Fingerprint) -> None:
    """The example of a constraint off by one token says which id is gone."""
    assert record.allowed is not None
    first, second = record.allowed.sets
    fewer = Allowed(
        (AllowedSet("cc", first.size - 1, first.total - 7), second), record.allowed.along
    )
    found = compare(record, replace(record, allowed=fewer))
    assert (found.severity, found.stage) == (Severity.DRIFT, "constraint")
    assert found.examples[0].new == "4 tokens allowed (id 7 fewer)"
    assert len(found.examples) == 3


def test_states_are_found_again_in_another_order(record: Fingerprint) -> None:
    """A shuffled set is still compared state by state: nothing but its order moved."""

    def turned(stage: StageRecord) -> StageRecord:
        return StageRecord(stage.digests[::-1])

    assert record.logits is not None
    rows = [record.logits.state(n) for n in (2, 1, 0)]
    assert record.allowed is not None
    new = replace(
        record,
        stages={
            name: stage if name == "counts" else turned(stage)
            for name, stage in record.stages.items()
        },
        path=record.path[::-1],
        output=record.output[::-1],
        texts=record.texts[::-1],
        scores={by: some[::-1] for by, some in record.scores.items()},
        allowed=Allowed(record.allowed.sets, record.allowed.along[::-1]),
        logits=Logits(
            np.concatenate([ids for ids, _ in rows]),
            np.concatenate([steps for _, steps in rows]),
            record.logits.lengths[::-1],
        ),
    )
    found = compare(record, new)
    assert [each.stage for each in found.moved] == ["dataset"]
    assert found.moved[0].note == "in another order"
    assert found.largest == 0.0


def test_outcomes_of_other_states_are_noticed_where_they_are(record: Fingerprint) -> None:
    """A snapshot whose outcomes were shuffled among states moves at outcome, and nowhere else."""
    stage = record.stages["outcome"]
    stages = {**record.stages, "outcome": StageRecord(stage.digests[::-1])}
    scores = {by: some[::-1] for by, some in record.scores.items()}
    found = compare(record, replace(record, stages=stages, scores=scores))
    assert found.stage == "outcome"


def test_lost_states_are_a_regression(record: Fingerprint) -> None:
    """Fewer states are noticed at the data, whatever their outcomes."""
    stages = {
        name: StageRecord(stage.digests[:2] if len(stage.digests) > 1 else stage.digests)
        for name, stage in record.stages.items()
    }
    found = compare(record, replace(record, stages=stages))
    assert (found.severity, found.stage) == (Severity.REGRESSION, "dataset")
    assert found.moved[0].note == "1 states are not there any more"
    assert headline(found).endswith("dataset, which differs: 1 states are not there any more")


def test_a_constraint_in_one_record_only(record: Fingerprint) -> None:
    """Is said for every state, though each record follows answers of its own."""
    free = tuple((n + 40, 1) for n in range(3))
    none = replace(record, path=free, output=free, allowed=Allowed((), ((),) * 3))
    for old, new, note in (
        (record, none, "the new record has no constraint"),
        (none, record, "the old record has none"),
    ):
        found = compare(old, new)
        moved = next(each for each in found.moved if each.stage == "constraint")
        assert (moved.states, moved.note) == ((0, 1, 2), note)
        assert found.stage == "constraint"
        assert "no constraint" in (found.examples[0].old, found.examples[0].new)


def test_stages_of_one_record_are_not_passed_over(record: Fingerprint) -> None:
    """What only one record has cannot be compared, and that is said, not left out."""
    stages = {name: stage for name, stage in record.stages.items() if name != "logits"}
    less = replace(record, stages=stages, logits=None)
    for old, new, where in ((record, less, "old"), (less, record, "new")):
        found = compare(old, new)
        assert found.severity == Severity.SAME
        assert found.as_json()["not_compared"] == {"logits": where}
        assert headline(found) == "same: nothing differs in the stages that both have"
        assert f"logits (only {where})" in "\n".join(summary_lines(found))
    assert compare(record, record).uncompared == {}
    moved = compare(record, replace(less, stages={**stages, "prompt_ids": StageRecord(("x",) * 3)}))
    assert "only in the old record" in rendered(moved)


def test_the_example_is_where_log_probabilities_moved_most(
    record: Fingerprint, hand: ModuleType
) -> None:
    """Not only that of the recorded token: another one's, at the third place of the third state."""
    logits = hand.fake_logits()
    steps = logits.steps.copy()
    steps[8, 1] += 4096
    moved = replace(record, logits=replace(logits, steps=steps))
    (example,) = compare(record, moved).examples
    assert (example.state, example.where) == (2, "answer token 2, ids with log-probabilities")
    assert "9: -3.0000" in example.old
    assert "9: -2.0000" in example.new


def test_states_that_are_there_twice_are_paired_in_their_order(record: Fingerprint) -> None:
    """The same record is the same, whatever its states."""
    digests = record.stages["dataset"].digests
    twice = StageRecord((digests[0], digests[0], digests[2]))
    doubled = replace(record, stages={**record.stages, "dataset": twice})
    assert compare(doubled, doubled).severity is Severity.SAME


@pytest.mark.parametrize("stage", list(STAGES)[1:])
def test_a_stage_that_fails_in_both(record: Fingerprint, stage: str) -> None:
    """In the same words it has not moved; in others it says the new ones."""
    one, other = (
        replace(record, stages={**record.stages, stage: StageRecord(failed=words)})
        for words in ("a", "b")
    )
    assert compare(one, one).severity is Severity.SAME
    (stage_diff,) = compare(one, other).stage_diffs
    assert (stage_diff.stage, stage_diff.failed, stage_diff.states) == (stage, "b", ())


def test_what_others_do_beside_one_that_fails_in_both(record: Fingerprint) -> None:
    """One family fails as before, and the tokens of another one move: that is seen."""
    old, new = (
        replace(
            record, stages={**record.stages, "prompt_ids": StageRecord(("x", each, "z"), "a: no")}
        )
        for each in ("one", "two")
    )
    (stage_diff,) = compare(old, new).stage_diffs
    assert (stage_diff.stage, stage_diff.states, stage_diff.failed) == ("prompt_ids", (1,), None)
