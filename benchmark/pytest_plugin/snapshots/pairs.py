"""The syrupy extension for a pair: base and variant are equal within clustered error."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from syrupy.location import PyTestLocation

from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.pytest_plugin.snapshots.kinds import of_kind
from benchmark.records import Outcome, Tally
from benchmark.scoring.counts import Counts, count
from benchmark.scoring.outcomes import read_scores
from benchmark.stats.constants import RECORD_LEVEL, fresh_rng
from benchmark.stats.paired import paired_test
from benchmark.stats.published import unpaired_test


class PairExtension(MeasurementExtension):
    """Compares each model of a pair with its record at numops 0 and >= 1, by every score.

    On the same data the test is paired and clustered by sequence; otherwise counts are compared
    unpaired, with the stated design effect.
    """

    def matches(self, *, serialized_data: object, snapshot_data: object) -> bool:
        """Return whether base and variant both score as recorded."""
        measured, recorded = _load(serialized_data), _load(snapshot_data)
        return measured.keys() == recorded.keys() and all(
            p_value >= RECORD_LEVEL
            for role in measured
            for p_value in _p_values(recorded[role], measured[role])
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
    return Path(location).is_file()


def _load(text: object) -> Mapping[str, Mapping[str, object]]:
    data = json.loads(text) if isinstance(text, str | bytes) else {}
    return data if isinstance(data, dict) else {}


def _p_values(recorded: Mapping[str, object], measured: Mapping[str, object]) -> list[float]:
    """Return the p-values of both groups of queries by every score that both documents have."""
    before, after = read_scores(recorded), read_scores(measured)
    same_data = recorded["data"] == measured["data"]
    return [
        p_value
        for by in before
        if by in after
        for p_value in _p_values_of(before[by], after[by], same_data=same_data)
    ]


def _p_values_of(
    before: Sequence[Outcome], after: Sequence[Outcome], *, same_data: bool
) -> list[float]:
    old, new = count(before), count(after)
    groups = [g for g in _GROUPS if all(g.of(counts).total for counts in (old, new))]
    if same_data:
        rng = fresh_rng()
        return [paired_test(before, after, rng, group.counts_numops).two_sided for group in groups]
    return [unpaired_test(group.of(old), group.of(new)).two_sided for group in groups]


class _QueryGroup(NamedTuple):
    counts_numops: Callable[[int], bool]
    of: Callable[[Counts], Tally]


_GROUPS = (
    _QueryGroup(lambda numops: numops == 0, lambda counts: counts.by_numops.get(0, Tally(0, 0))),
    _QueryGroup(lambda numops: numops >= 1, lambda counts: counts.nontrivial),
)
