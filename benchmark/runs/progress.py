"""Show progress on stderr: a live line on a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
)

from benchmark.records import Tally

_SECONDS_BETWEEN_LINES = 10.0
_LONGEST = 18
_GB = 1e9
_MINUTE, _HOUR = 60, 3600

_BATCHES_BEFORE_ESTIMATE = 3
"""The first batch takes longer than others, and two intervals are the least to go by."""

_SHARE_BEFORE_ESTIMATE = 0.05
"""The share of the states that must be measured before the time left is estimated."""


class RunProgress:
    """Shows finished states, states per second, and the estimated time left."""

    def __init__(self, console: Console, *, named: bool = False, interleaved: bool = False) -> None:
        """Write to a console.

        Args:
            console: where to write.
            named: whether each plain line begins with the model's name.
            interleaved: whether other processes write parts of lines to the same place, so that
                each line begins on a new one.
        """
        self._console = console
        self._named = named
        self._before_line = "\n" if interleaved else ""
        self._name = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total = self._done = self._before = 0
        self._started = self._last_line = 0.0
        self._batches = self._first_done = 0
        self._first_at = 0.0
        self._forecast: float | None = None

    def __enter__(self) -> Self:
        """Show nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the live line, and leave its last state on the screen."""
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(self._before_line + text, highlight=False, soft_wrap=True)

    def start(self, total: int, done: int, name: str = "", forecast: float | None = None) -> None:
        """Show that decoding begins, and how many seconds it is expected to take."""
        self._total, self._done, self._before = total, done, done
        self._forecast = forecast
        self._name = f"{_short(name)}: " if self._named and name else ""
        self._started = self._last_line = time.monotonic()
        self._batches = 0
        if done:
            self.say(f"resuming: {done} of {total} done")
        if not self._console.is_terminal:
            self.say(f"decoding {total - done} states" + (f" by {name}" if name else ""))
        if forecast:
            self.say(f"{self._name}forecast: about {_duration(forecast)}")
        if self._bar:  # of the model before
            self._bar.stop()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),  # a name may hold brackets
                BarColumn(bar_width=16),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                console=self._console,
            )
            self._task = self._bar.add_task(_short(name), total=total, completed=done, rate="-")
            self._bar.start()

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Show that more states are finished, the accuracy so far, and the used GPU memory."""
        self._done += states
        self._batches += 1
        now = time.monotonic()
        if self._batches == 1:
            self._first_done, self._first_at = self._done, now
        pace = f"{self._pace(now)}{_details(right, memory)}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=pace)
        elif self._done == self._total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"{self._name}{self._done}/{self._total} states, {pace}")
        if self._forecast and self._done == self._total:
            self.say(f"{self._name}the forecast was {_duration(self._forecast)}")

    def _pace(self, now: float) -> str:
        """Return states per second, with the time taken at the end, and before it the time left.

        The time left goes by the batches after the first one, which takes longer than others, and
        so does the rate next to it.
        """
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        if self._done == self._total:
            return f"{rate:.2f} a second, took {_duration(now - self._started)}"
        measured = self._done - self._first_done
        enough = measured >= _SHARE_BEFORE_ESTIMATE * (self._total - self._before)
        if self._batches < _BATCHES_BEFORE_ESTIMATE or not enough:
            return f"{rate:.2f} a second"
        rate = measured / max(now - self._first_at, 1e-9)
        left = _duration((self._total - self._done) / rate)
        return f"{rate:.2f} a second, about {left} left"


def _duration(seconds: float) -> str:
    """Return a duration with its unit: seconds, minutes or hours."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def _short(name: str) -> str:
    """Shorten a name to leave room for the rest of the line."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _details(right: Tally | None, memory: int | None) -> str:
    words = f", {100 * right.accuracy:.1f} % right" if right and right.total else ""
    return words + (f", GPU {memory / _GB:.1f} GB" if memory else "")
