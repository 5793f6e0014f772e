"""When a pair counts as equal to its snapshot: within clustered error, paired if possible."""

import json

import numpy as np
import pytest

from benchmark.errors import DataError
from benchmark.pytest_plugin.snapshots.pairs import PairExtension
from benchmark.records import Outcome
from benchmark.scoring.outcomes import outcomes_as_json


def _document(accuracy: float, seed: int, data: str = "a", flips: int = 0) -> dict[str, object]:
    """Return 500 states of 250 sequences with this accuracy, then flip that many whole states."""
    rng = np.random.default_rng(seed)
    right = rng.random((500, 7)) < accuracy
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


@pytest.mark.parametrize(("accuracy", "same"), [(0.41, True), (0.55, False), (0.25, False)])
def test_other_data_are_compared_by_counts(accuracy: float, same: bool) -> None:  # noqa: FBT001
    """On other data the counts may differ by what sampling does."""
    assert _matches(_document(accuracy, 2, data="b"), _document(0.4, 1)) is same


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
