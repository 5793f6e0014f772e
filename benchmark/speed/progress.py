"""Progress of a speed comparison: a live line on a terminal, plain lines elsewhere."""

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
    """Shows the measurements done, and the present engine and round."""

    def __init__(self, console: Console) -> None:
        """Take the console to write to."""
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._done = self._total = 0

    def __enter__(self) -> Self:
        """Return the progress; nothing is shown before it starts."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the live line and leave it on the screen."""
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """Print a line about the present step."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def start(self, total: int) -> None:
        """Begin a number of measurements."""
        self._total = total
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("measuring", total=total)
            self._bar.start()

    def begin(self, label: str, round_number: int) -> None:
        """Show that an engine begins a round, counted from 0."""
        text = f"round {round_number + 1}, {label}"
        if self._bar:
            self._bar.update(self._task, description=text)
        else:
            self.say(f"{self._done + 1}/{self._total}: {text}")

    def advance(self) -> None:
        """Count a measurement as done."""
        self._done += 1
        if self._bar:
            self._bar.update(self._task, completed=self._done)
