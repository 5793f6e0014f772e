"""Fakes of engine processes, which record requests and fail on demand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self

from benchmark.decoding.external.messages import (
    DecodeReply,
    DecodeRequest,
    EngineSetup,
    LimitReply,
    LimitRequest,
    MarginReply,
    MarginRequest,
)
from benchmark.errors import BenchmarkError

Fault = BenchmarkError | KeyboardInterrupt | None


def _fine(*_: object) -> Fault:
    return None


@dataclass
class FakeEngines(SimpleNamespace):
    """Answers are the reversed prompts, plus one token for the engines in ``odd``.

    ``seconds`` depends on label and batch size. ``fault`` returns what a request raises, given the
    engine's label, the kind of request and the number of such requests before. ``log`` has all
    requests.
    """

    seconds: Callable[[str, int], float] = lambda label, size: 1.0
    fault: Callable[[str, str, int], Fault] = _fine
    odd: Mapping[str, int] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def process(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], setup: EngineSetup
    ) -> "FakeProcess":
        """Return a fake instead of ``EngineProcess``."""
        return FakeProcess(self, name, setup)

    def request(self, label: str, kind: str) -> None:
        """Record a request; raise its fault if it has one."""
        before = self.log.count((label, kind))
        self.log.append((label, kind))
        if error := self.fault(label, kind, before):
            raise error


class FakeProcess:
    """A fake process; a request after it was closed fails the test."""

    def __init__(self, engines: FakeEngines, name: str, setup: EngineSetup) -> None:
        """Open the engine."""
        self._engines, self._name = engines, name
        engines.request(name, "open")
        engines.open.append(name)

    def __enter__(self) -> Self:
        """Return the open process."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the process."""
        self.close()

    def measure(self, work: DecodeRequest) -> DecodeReply:
        """Return the answers."""
        self._check_open("measure")
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

    def limit(self, work: LimitRequest) -> LimitReply:
        """Return fixed times."""
        self._check_open("limit")
        choices = float(len(work["answers"]))
        return {
            "layers": 0.01,
            "attention": [(None, 1e-6)],
            "head": 0.1,
            "reading": 0.5,
            "choices": choices,
        }

    def margins(self, work: MarginRequest) -> MarginReply:
        """Return a margin of 0.25 for each position."""
        self._check_open("margins")
        count = len(work["differences"])
        return {"margins": [0.25] * count, "certified": [True] * len(work.get("answers", ()))}

    def close(self) -> None:
        """End the process."""
        if self._name in self._engines.open:
            self._engines.open.remove(self._name)

    kill = close

    def _check_open(self, kind: str) -> None:
        assert self._name in self._engines.open, f"{self._name} has ended and got a request"
        self._engines.request(self._name, kind)
