"""Long work as it goes: a live line on a terminal, plain lines elsewhere, all on stderr."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from benchmark.records import Tally

_SECONDS_BETWEEN_LINES = 10.0
_LONGEST = 18
_GB = 1e9


class RunProgress:
    """States done, states a second and time left."""

    def __init__(self, console: Console, *, named: bool = False) -> None:
        """Write to the console; where several write there, each plain line names the model."""
        self._console = console
        self._named = named
        self._name = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._total = self._done = self._before = 0
        self._started = self._last_line = 0.0

    def __enter__(self) -> Self:
        """Nothing is shown before there is something to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last line standing."""
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line about what is being done."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def start(self, total: int, done: int, name: str = "") -> None:
        """Show that decoding begins."""
        self._total, self._done, self._before = total, done, done
        self._name = f"{_short(name)}: " if self._named and name else ""
        self._started = self._last_line = time.monotonic()
        if done:
            self.say(f"{done} of {total} states were already there")
        if not self._console.is_terminal:
            self.say(f"decoding {total - done} states" + (f" by {name}" if name else ""))
        if self._bar:  # of the model before
            self._bar.stop()
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),  # a name may hold brackets
                BarColumn(bar_width=16),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}", markup=False),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                console=self._console,
                # Batches may be minutes apart; rich looks back 30 seconds unless told otherwise.
                speed_estimate_period=3600,
            )
            self._task = self._bar.add_task(_short(name), total=total, completed=done, rate="-")
            self._bar.start()

    def advance(self, states: int, right: Tally | None = None, memory: int | None = None) -> None:
        """Show that more states are done, how much is right so far, and what a GPU holds."""
        self._done += states
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        if self._bar:
            words = f"{rate:.1f} a second{_found(right, memory)}"
            self._bar.update(self._task, completed=self._done, rate=words)
        elif self._done == self._total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (self._total - self._done) / rate
            self.say(
                f"{self._name}{self._done}/{self._total} states, {rate:.2f} a second, "
                f"about {left:.0f} s left{_found(right, memory)}"
            )


def _short(name: str) -> str:
    """A name that leaves room for the rest of the line."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _found(right: Tally | None, memory: int | None) -> str:
    words = f", {100 * right.accuracy:.1f} % right" if right and right.total else ""
    return words + (f", GPU {memory / _GB:.1f} GB" if memory else "")
