"""The syrupy extension for a pair: base and variant are equal within clustered error."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.confirmation import place
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.kinds import of_kind
from benchmark.pytest_plugin.snapshots.tolerance import outcomes_agree
from benchmark.reading.documents import json_object
from benchmark.records import Outcome, Tally
from benchmark.scoring.counts import Counts, count
from benchmark.scoring.outcomes import read_scores
from benchmark.stats.constants import RECORD_LEVEL
from benchmark.stats.published import unpaired_test


class PairExtension(MeasurementExtension):
    """Compares each model of a pair with its record at numops 0 and >= 1, by every score.

    On the same data the outcomes are compared query by query (:func:`outcomes_agree`); otherwise
    counts are compared unpaired, with the stated design effect.
    """

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether base and variant both score as recorded."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        return measured.keys() == recorded.keys() and all(
            _model_matches(recorded[role], measured[role]) for role in measured
        )


@cache
def pair_extension(kind: str) -> type[PairExtension]:
    """Return the extension for a kind of run, whose records are in its own folder.

    So runs of another kind are not compared with these records, and do not count them as unused.
    """

    class PairExtensionOfKind(PairExtension):
        @classmethod
        def dirname(cls, *, test_location: PyTestLocation) -> str:
            folder = Path(PairExtension.dirname(test_location=test_location))
            return str(of_kind(folder, "pairs", kind))

    return PairExtensionOfKind


def is_recorded(item: pytest.Item, extension: type[PairExtension]) -> bool:
    """Return whether the test has a snapshot of that extension."""
    location = extension.get_location(test_location=PyTestLocation(item), index=0)
    return place(Path(location)).is_file()


def _load(text: object) -> dict[str, dict[str, object]]:
    """Return the documents by role; the roles without a document are left out."""
    if not isinstance(text, str):
        return {}
    documents = json_object(text, "the snapshot or the result of a pair")
    return {role: part for role, part in documents.items() if isinstance(part, dict)}


def _model_matches(recorded: dict[str, object], measured: dict[str, object]) -> bool:
    """Return whether a model matches its record by every score that both documents have."""
    before, after = read_scores(recorded), read_scores(measured)
    agree = outcomes_agree if recorded.get("data") == measured.get("data") else _counts_agree
    return all(agree(before[by], after[by]) for by in before if by in after)


def _counts_agree(before: Sequence[Outcome], after: Sequence[Outcome]) -> bool:
    """Return whether the counts of both groups of queries agree within clustered error."""
    old, new = count(before), count(after)
    groups = [(group(old), group(new)) for group in _GROUPS]
    return all(
        unpaired_test(*tallies).differs(RECORD_LEVEL).verdict == "undecided"
        for tallies in groups
        if all(tally.total for tally in tallies)
    )


_GROUPS: tuple[Callable[[Counts], Tally], ...] = (
    lambda counts: counts.by_numops.get(0, Tally(0, 0)),
    lambda counts: counts.nontrivial,
)
