"""A history as text for a terminal."""

from collections.abc import Sequence

from rich.table import Table

from benchmark.history.trends import History, Trend
from benchmark.terminal import plain_table, shortened

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24
_NAME = 28

HEADS = ("figure", "runs", "first", "last", "trend", "drift")


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Return the last values as bars, the lowest and the highest as wide apart as bars can be."""
    shown = values[-width:]
    low, high = min(shown), max(shown)
    if low == high:
        return _BARS[0] * len(shown)
    step = len(_BARS) - 1
    return "".join(_BARS[round(step * ((v / 2 - low / 2) / (high / 2 - low / 2)))] for v in shown)


def drift_words(trend: Trend) -> str:
    """Return ``down`` or ``up`` for a drift, else how near the threshold the sums are."""
    return trend.alarm or f"{100 * trend.level:.0f} %"


def history_table(history: History, title: str) -> Table:
    """Return the table of trends, with the alarms below it."""
    table = plain_table(title)
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="right" if number in {1, 2, 3} else "left")
    for trend in history.trends:
        first, last = (f"{value:.4g}" for value in (trend.values[0], trend.values[-1]))
        table.add_row(
            *(shortened(trend.name, _NAME), str(len(trend.values)), first, last),
            *(sparkline(trend.values), drift_words(trend)),
        )
    table.caption = "\n".join(alarm_lines(history))
    return table


def alarm_lines(history: History) -> list[str]:
    """Return a line per alarm, and the number of runs."""
    lines = [
        f"{alarm.state}: {alarm.name}, since {history.entries[alarm.since].time}"
        for alarm in history.book.alarms
    ]
    return [*(lines or ["no alarm is open"]), f"runs: {len(history.entries)}"]
