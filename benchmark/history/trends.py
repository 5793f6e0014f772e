"""The series of a history: their trend, and whether they drift."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.history.alarms import Alarm, AlarmBook, follow
from benchmark.history.entries import Entry, read_history
from benchmark.stats.sequential import Drift, find_drift

MOST_SERIES = 1000
"""Series that are followed; a history has a handful."""


@dataclass(frozen=True, slots=True)
class Trend:
    """One figure over time.

    Attributes:
        name: the verb and the figure, and the watch if the verb has several.
        runs: the numbers of the runs that have it, from 0.
        values: its values.
        drift: the sums of the sequential test.
    """

    name: str
    runs: Sequence[int]
    values: Sequence[float]
    drift: Drift

    @property
    def alarm(self) -> str:
        """``down`` or ``up`` if the last value is in a drift, else empty."""
        return self.drift.alarms[-1]

    @property
    def level(self) -> float:
        """The larger sum after the last value, as a share of the threshold."""
        return max(self.drift.down[-1], self.drift.up[-1]) / self.drift.threshold


@dataclass(frozen=True, slots=True)
class History:
    """A history, evaluated.

    Attributes:
        entries: its runs, the oldest first.
        trends: the figures over time.
        book: the alarms after the last run, of runs and of drifts.
    """

    entries: Sequence[Entry]
    trends: Sequence[Trend]
    book: AlarmBook

    def as_json(self) -> dict[str, object]:
        """Return alarms, the action and the trends as JSON."""
        return {
            "runs": len(self.entries),
            "action": self.book.action,
            "alarms": [self._alarm_json(alarm) for alarm in self.book.alarms],
            "trends": [
                {
                    "name": trend.name,
                    "runs": len(trend.values),
                    "first": trend.values[0],
                    "last": trend.values[-1],
                    "drift": trend.alarm or None,
                    "level": trend.level,
                }
                for trend in self.trends
            ],
        }

    def _alarm_json(self, alarm: Alarm) -> dict[str, object]:
        since = self.entries[alarm.since].time
        return {"name": alarm.name, "state": alarm.state, "since": since, "clean": alarm.clean}


def evaluate(entries: Sequence[Entry]) -> History:
    """Follow the alarms and the figures of a history."""
    series = dict[tuple[str, str, str], list[tuple[int, float]]]()
    counts = list[int]()
    for number, entry in enumerate(entries):
        for figure, value in entry.figures.items():
            key = (entry.verb, entry.watch, figure)
            if key in series or len(series) < MOST_SERIES:
                series.setdefault(key, []).append((number, value))
        counts.append(len(series))
    labels = _labels(entries)
    trends = [
        _trend(f"{verb} {figure}", labels[verb, watch], watch, points, counts)
        for (verb, watch, figure), points in series.items()
    ]
    raised = [
        {f"{alarm}{labels[entry.verb, entry.watch]}" for alarm in entry.alarms} for entry in entries
    ]
    for trend in trends:
        for number, direction in zip(trend.runs, trend.drift.alarms, strict=True):
            if direction:
                raised[number].add(f"drift {direction}: {trend.name}")
    watches = [f"{entry.verb} {entry.watch}" for entry in entries]
    return History(entries, trends, follow(raised, watches))


def _labels(entries: Sequence[Entry]) -> dict[tuple[str, str], str]:
    """Return what tells the watches of a verb apart in names; empty if there is only one."""
    pairs = {(entry.verb, entry.watch) for entry in entries}
    count = Counter(verb for verb, _ in pairs)
    return {(verb, w): f" ({w or 'unnamed'})" if count[verb] > 1 else "" for verb, w in pairs}


def evaluate_file(path: Path) -> History:
    """Return the history of a file, evaluated.

    Raises:
        DataError: as :func:`benchmark.history.entries.read_history`.
    """
    return evaluate(read_history(path))


def _trend(
    name: str,
    label: str,
    watch: str,
    points: Sequence[tuple[int, float]],
    counts: Sequence[int],
) -> Trend:
    """Return a trend; ``counts`` is the number of series that were known after each run."""
    runs, values = zip(*points, strict=True)
    drift = find_drift(values, f"{name}{watch}", [counts[run] for run in runs])
    return Trend(f"{name}{label}", runs, values, drift)
