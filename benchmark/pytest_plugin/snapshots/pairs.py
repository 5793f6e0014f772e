"""The syrupy extension for a pair: base and variant score as recorded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.shown import shown
from benchmark.pytest_plugin.snapshots.confirmation import place
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.kinds import of_kind
from benchmark.pytest_plugin.snapshots.tolerance import outcomes_agree
from benchmark.reading.documents import json_object
from benchmark.records import Outcome, Tally
from benchmark.scoring.counts import Counts, count
from benchmark.scoring.outcomes import read_scores
from benchmark.stats.constants import CLOSE_MARGIN, MIN_CLUSTERS_TO_BE_SURE, RECORD_LEVEL
from benchmark.stats.decision import Verdict
from benchmark.stats.differences import too_few
from benchmark.stats.published import unpaired_equality, unpaired_test


class PairExtension(MeasurementExtension):
    """Compares each model of a pair with its record at numops 0 and >= 1, by every score.

    On the same data the outcomes are compared query by query (:func:`outcomes_agree`). On other
    data counts are compared unpaired, with the stated design effect: all must be equal within
    :attr:`margin`. A pair for which that is undecided does not match; :func:`undecided` says so.
    """

    margin = CLOSE_MARGIN

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether base and variant both score as recorded."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        return measured.keys() == recorded.keys() and all(
            one.verdict == "supported"
            for role in measured
            for one in _compared(recorded[role], measured[role], self.margin)
        )

    def diff_lines(self, serialized_data: str | bytes, snapshot_data: str | bytes) -> Iterator[str]:
        """Yield what is not equal on other data; otherwise the lines of the documents."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        lines = [
            f"{role}, {one}"
            for role in measured
            if role in recorded and not _same_data(recorded[role], measured[role])
            for one in _compared(recorded[role], measured[role], self.margin)
            if one.verdict != "supported"
        ]
        yield from (
            map(shown, lines) if lines else super().diff_lines(serialized_data, snapshot_data)
        )


@cache
def pair_extension(kind: str, margin: float = CLOSE_MARGIN) -> type[PairExtension]:
    """Return the extension for a kind of run, whose records are in its own folder.

    So runs of another kind are not compared with these records, and do not count them as unused.
    ``margin`` is the largest difference (0..1) from a record of other data that counts as none.
    """

    class PairExtensionOfKind(PairExtension):
        @classmethod
        def dirname(cls, *, test_location: PyTestLocation) -> str:
            folder = Path(PairExtension.dirname(test_location=test_location))
            return str(of_kind(folder, "pairs", kind))

    PairExtensionOfKind.margin = margin
    return PairExtensionOfKind


def is_recorded(item: pytest.Item, extension: type[PairExtension]) -> bool:
    """Return whether the test has a snapshot of that extension."""
    location = extension.get_location(test_location=PyTestLocation(item), index=0)
    return place(Path(location)).is_file()


def undecided(
    item: pytest.Item, extension: type[PairExtension], record: Mapping[str, object]
) -> list[str]:
    """Return what is undecided about a pair on other data than its snapshot's.

    Nothing is if the snapshot is of the same data, if all counts are equal within the margin, or if
    some depart from the record: the pair then does not match.

    Args:
        item: the test of the pair.
        extension: that of :func:`pair_extension`.
        record: the measured documents by role, ``base`` and ``variant``.
    """
    location = extension.get_location(test_location=PyTestLocation(item), index=0)
    recorded = _load(place(Path(location)).read_text("utf-8"))
    measured = {role: part for role, part in record.items() if isinstance(part, dict)}
    if measured.keys() != recorded.keys() or all(
        _same_data(recorded[role], measured[role]) for role in measured
    ):
        return []
    compared = [
        (role, one)
        for role in measured
        for one in _compared(recorded[role], measured[role], extension.margin)
    ]
    if any(one.verdict == "not supported" for _, one in compared):
        return []
    return [f"{role}, {one}" for role, one in compared if one.verdict == "undecided"]


def _load(text: object) -> dict[str, dict[str, object]]:
    """Return the documents by role; the roles without a document are left out."""
    if not isinstance(text, str):
        return {}
    documents = json_object(text, "the snapshot or the result of a pair")
    return {role: part for role, part in documents.items() if isinstance(part, dict)}


class _Group(NamedTuple):
    """Queries that are compared by counts."""

    name: str
    tally: Callable[[Counts], Tally]


_GROUPS = (
    _Group("numops 0", lambda counts: counts.by_numops.get(0, Tally(0, 0))),
    _Group("numops >= 1", lambda counts: counts.nontrivial),
)


class _Comparison(NamedTuple):
    """Whether a model scores as recorded; ``words`` say what was compared, and the figures."""

    words: str
    verdict: Verdict

    def __str__(self) -> str:
        return self.words


def _same_data(recorded: Mapping[str, object], measured: Mapping[str, object]) -> bool:
    return recorded.get("data") == measured.get("data")


def _compared(
    recorded: dict[str, object], measured: dict[str, object], margin: float
) -> Iterator[_Comparison]:
    """Compare a model with its record by every score that both documents have."""
    before, after = read_scores(recorded), read_scores(measured)
    for by in before:
        if by not in after:
            continue
        if _same_data(recorded, measured):
            agree = outcomes_agree(before[by], after[by])
            yield _Comparison(by, "supported" if agree else "not supported")
        else:
            yield from _counts_compared(by, before[by], after[by], margin)


def _counts_compared(
    by: str, before: Sequence[Outcome], after: Sequence[Outcome], margin: float
) -> Iterator[_Comparison]:
    """Compare the counts of both groups of queries: departing, equal, or undecided.

    They depart at the level of all records; being beyond the margin at 5 % would be too many false
    alarms over the pairs.
    """
    sequences = min(len({o.sample_id for o in outcomes}) for outcomes in (before, after))
    few = sequences < MIN_CLUSTERS_TO_BE_SURE
    doubt = too_few(sequences, MIN_CLUSTERS_TO_BE_SURE) if few else ""
    old, new = count(before), count(after)
    for group in _GROUPS:
        tallies = group.tally(old), group.tally(new)
        if not all(tally.total for tally in tallies):
            continue
        departs = unpaired_test(*tallies).differs(RECORD_LEVEL, doubt)
        equal = unpaired_equality(*tallies, margin, doubt=doubt)
        accuracies = " -> ".join(f"{100 * tally.accuracy:.1f}" for tally in tallies)
        words = (
            f"{group.name} by {by}: {accuracies}, {equal.summary()}; a departure: "
            f"p = {departs.p:.2g}, level {RECORD_LEVEL:g}"
        )
        verdict: Verdict = "supported" if equal.verdict == "supported" else "undecided"
        yield _Comparison(words, "not supported" if departs.verdict == "supported" else verdict)
