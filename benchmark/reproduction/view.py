"""Show a reproduction on stderr: the running models together, and one line for each that ends."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from benchmark.reproduction.cluster import Advanced
from benchmark.reproduction.scheduling import Start

_SECONDS_BETWEEN_LINES = 10.0


class ReproductionView:
    """The models of a reproduction: those that run with a bar on a terminal, elsewhere in a line.

    ``bars`` is whether the running models are shown here; one that is measured in this process has
    a progress of its own.
    """

    def __init__(self, console: Console, total: int, *, bars: bool = True) -> None:
        """Show nothing yet of ``total`` models."""
        self._console = console
        self._total, self._ended = total, 0
        self._bars = bars
        self._running: dict[str, Advanced] = {}
        self._last_line = 0.0
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),  # a name may hold brackets
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
        )

    def __enter__(self) -> Self:
        """Begin to show bars on a terminal."""
        if self._live:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the bars."""
        if self._live:
            self._progress.stop()

    @property
    def _live(self) -> bool:
        return self._bars and self._console.is_terminal

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def started(self, start: Start) -> None:
        """Show that a model starts."""
        name, node = start.job.name, start.node
        if not self._bars:
            return
        self._running[name] = Advanced(name, 0, 0)
        gpus = f"{start.slots} GPU{'s' * (start.slots > 1)} of " if node.memory else ""
        self.say(f"{name}: starts on {gpus}{node.name}")
        if self._live:
            self._tasks[name] = self._progress.add_task(name, total=None, words=node.name)

    def advanced(self, event: Advanced) -> None:
        """Show how far a model is."""
        if event.name not in self._running:
            return  # it has ended, and this was late
        self._running[event.name] = event
        if self._live:
            task = self._tasks[event.name]
            self._progress.update(task, completed=event.done, total=event.total)
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            parts = [f"{e.name} {e.done}/{e.total}" for e in self._running.values() if e.total]
            self.say(f"{self._ended} of {self._total} ended; running: {', '.join(parts)}")

    def ended(self, name: str, words: str, waiting: int) -> None:
        """Show that a model ended; ``waiting`` models have not started."""
        last = self._running.pop(name, None)
        if self._live and (task := self._tasks.pop(name, None)) is not None:
            self._progress.remove_task(task)
        right = f", {100 * last.accuracy:.1f} % right" if last and last.accuracy else ""
        if words.startswith("lost"):
            self.say(f"{name}: {words}")
            return
        self._ended += 1
        rest = f"; {waiting} wait" if waiting else ""
        self.say(f"{name}: {words}{right} ({self._ended} of {self._total}{rest})")
