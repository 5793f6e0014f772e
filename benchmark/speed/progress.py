"""Which engine is at work: a live line on a terminal, plain lines elsewhere, all on stderr."""

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class EnginesProgress:
    """Measurements done, and the engine and round at work."""

    def __init__(self, console: Console) -> None:
        """Write to the console."""
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._done = self._total = 0

    def __enter__(self) -> Self:
        """Nothing is shown before there is something to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last line standing."""
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line about what is being done."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def start(self, total: int) -> None:
        """So many measurements begin."""
        self._total = total
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("measuring", total=total)
            self._bar.start()

    def begin(self, label: str, round_number: int) -> None:
        """An engine begins a round, counted from 0."""
        text = f"round {round_number + 1}, {label}"
        if self._bar:
            self._bar.update(self._task, description=text)
        else:
            self.say(f"{self._done + 1}/{self._total}: {text}")

    def advance(self) -> None:
        """It has ended it."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done)
