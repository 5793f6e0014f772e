"""When a pair counts as equal to its snapshot: within clustered error, paired if possible."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.pytest_plugin.snapshots.pairs import PairExtension, undecided
from benchmark.records import Outcome, Tally
from benchmark.scoring.outcomes import outcomes_as_json
from benchmark.stats.published import unpaired_equality


def _document(
    accuracy: float, seed: int, data: str = "a", flips: int = 0, states: int = 500
) -> dict[str, object]:
    """Return states with this accuracy, two per sequence, then flip that many whole ones."""
    rng = np.random.default_rng(seed)
    right = rng.random((states, 7)) < accuracy
    right[:flips] = ~right[:flips]
    outcomes = [
        Outcome(n // 2, (0, 1, 2, 1, 0, 3, 1), tuple(map(bool, row))) for n, row in enumerate(right)
    ]
    return {**outcomes_as_json(outcomes), "data": {"sha256": data}}


def _matches(measured: dict[str, object], recorded: dict[str, object]) -> bool:
    other = _document(0.5, 9)
    return PairExtension().matches(
        serialized_data=json.dumps({"base": other, "variant": measured}),
        snapshot_data=json.dumps({"base": other, "variant": recorded}),
    )


def test_equal_pair_matches() -> None:
    """An equal pair passes."""
    assert _matches(_document(0.4, 1), _document(0.4, 1))


@pytest.mark.parametrize(("flips", "same"), [(5, True), (6, False), (40, False)])
def test_one_per_cent_may_flip(flips: int, same: bool) -> None:  # noqa: FBT001
    """On the same data at most 1 % of outcomes may change, also if they balance."""
    assert _matches(_document(0.5, 1, flips=flips), _document(0.5, 1)) is same


def test_damaged_snapshot_is_named() -> None:
    """A snapshot that is not JSON, or is nested too deeply, is an error of one line."""
    for text, reason in (("{", "not JSON"), ('{"a":' * 200_000, "nested too deeply|not JSON")):
        with pytest.raises(DataError, match=f"^the snapshot .*: ({reason})"):
            PairExtension().matches(serialized_data="{}", snapshot_data=text)


@pytest.mark.parametrize(
    ("accuracy", "states", "same", "doubts"),
    [
        (0.40, 4000, True, 0),  # equal within 5 points
        (0.55, 500, False, 0),  # departs
        (0.40, 500, False, 1),  # equal at numops >= 1; at 0 there are too few queries
        (0.25, 64, False, 2),  # neither: 64 states show next to nothing
        (0.40, 30, False, 2),  # 15 sequences
    ],
)
def test_other_data_are_compared_by_counts(
    accuracy: float,
    states: int,
    same: bool,  # noqa: FBT001
    doubts: int,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """On other data all counts must be equal within 5 points; what is undecided is no match."""
    recorded = _document(0.4, 1, states=states)
    measured = _document(accuracy, 2, data="b", states=states)
    assert _matches(measured, recorded) is same
    (tmp_path / "pair.json").write_text(json.dumps({"variant": recorded}))

    class Extension(PairExtension):
        @classmethod
        def get_location(cls, **_: object) -> str:
            return str(tmp_path / "pair.json")

    lines = undecided(request.node, Extension, {"variant": measured})
    assert len(lines) == doubts
    for line in lines:
        assert line.startswith("variant, numops ")
        assert "equal within 5 points: " in line
        assert line.endswith(", level 0.001")
    texts = [json.dumps({"variant": document}) for document in (measured, recorded)]
    shown = list(Extension().diff_lines(*texts))
    assert doubts == 0 or shown == lines


def test_counts_of_other_data_are_seldom_called_equal() -> None:
    """With a true difference of the margin, at most 5 % of clustered samples show equality."""
    rng = np.random.default_rng(5)
    equal = 0
    for _ in range(400):
        old, new = (
            int(rng.binomial(7, rng.beta(3 * rate, 3 * (1 - rate), 300)).sum())
            for rate in (0.40, 0.45)
        )
        decision = unpaired_equality(Tally(old, 2100), Tally(new, 2100))
        equal += decision.verdict == "supported"
    assert equal <= 0.05 * 400 + 9  # two Monte-Carlo standard errors
    assert unpaired_equality(Tally(2100, 2100), Tally(2100, 2100)).verdict == "supported"
    assert unpaired_equality(Tally(50, 50), Tally(50, 50)).verdict == "undecided"


def test_change_by_exact_only_is_found() -> None:
    """The other score is compared too, if the record has it."""
    base, recorded, low = (_document(accuracy, 1) for accuracy in (0.5, 0.4, 0.2))
    before = {**base, "exact": {"outcomes": recorded["outcomes"]}}
    after = {**base, "exact": {"outcomes": low["outcomes"]}}
    assert _matches(before, before)
    assert not _matches(after, before)
    assert _matches(after, base)  # a record of when there was one score


def test_other_forms_do_not_match() -> None:
    """A record of another form does not pass."""
    text = json.dumps({"base": _document(0.4, 1)})
    assert not PairExtension().matches(serialized_data=text, snapshot_data="{}")
    assert not PairExtension().matches(serialized_data=text, snapshot_data=None)
