"""Engines' processes that are none: what they answer, and when they fail, is written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self

from benchmark.errors import BenchmarkError
from benchmark.speed.messages import (
    LimitTaken,
    LimitWork,
    MarginTaken,
    MarginWork,
    Setup,
    Taken,
    Work,
)

Fault = BenchmarkError | KeyboardInterrupt | None


def _fine(*_: object) -> Fault:
    return None


@dataclass
class FakeEngines(SimpleNamespace):
    """Answers are the prompts turned round; ``odd`` engines answer one token more.

    ``seconds`` is by label and batch size. ``fault`` says what a request to an engine raises, by
    its label, the kind of request and how many it had before. ``log`` has all requests.
    """

    seconds: Callable[[str, int], float] = lambda label, size: 1.0
    fault: Callable[[str, str, int], Fault] = _fine
    odd: Mapping[str, int] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], setup: Setup
    ) -> "FakeProcess":
        """In the place of ``EngineProcess``."""
        return FakeProcess(self, name, setup)

    def happens(self, label: str, what: str) -> None:
        """Write a request down; raise what it is to raise."""
        before = self.log.count((label, what))
        self.log.append((label, what))
        if error := self.fault(label, what, before):
            raise error


class FakeProcess:
    """One of them; a request to one that was ended is a mistake of whoever asks."""

    def __init__(self, engines: FakeEngines, name: str, setup: Setup) -> None:
        """Open it."""
        self._engines, self._name = engines, name
        engines.happens(name, "open")
        engines.open.append(name)

    def __enter__(self) -> Self:
        """It is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def measure(self, work: Work) -> Taken:
        """Answer."""
        self._asked("measure")
        more = [self._engines.odd[self._name]] if self._name in self._engines.odd else []
        count = len(work["prompts"])
        seconds = self._engines.seconds(self._name, work["batch_size"]) * count
        return {
            "seconds": seconds,
            "processor": 2 * seconds,
            "passes": 3 * count,
            "tokens": 5 * count,
            "answers": [ids[::-1] + more for ids in work["prompts"]],
            "peak_memory": 7,
        }

    def limit(self, work: LimitWork) -> LimitTaken:
        """Time nothing."""
        self._asked("limit")
        choices = float(len(work["answers"]))
        return {"layers": 0.01, "head": 0.1, "reading": 0.5, "choices": choices}

    def margins(self, work: MarginWork) -> MarginTaken:
        """A quarter for each."""
        self._asked("margins")
        return {"margins": [0.25] * len(work["differences"])}

    def close(self) -> None:
        """End it."""
        if self._name in self._engines.open:
            self._engines.open.remove(self._name)

    kill = close

    def _asked(self, what: str) -> None:
        assert self._name in self._engines.open, f"{self._name} was ended, and is asked"
        self._engines.happens(self._name, what)
