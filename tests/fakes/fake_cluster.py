"""A cluster in virtual time: models take their planned seconds, and nodes are lost on command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.models.registry_types import RegisteredModel
from benchmark.reproduction.cluster import (
    Advanced,
    Ended,
    Event,
    Lost,
    Measured,
    ModelJob,
    Node,
    NotMeasured,
)
from benchmark.reproduction.scheduling import Start
from benchmark.runs.requests import RunRequest

EIGHTY, TWENTY_FOUR = 80 * 10**9, 24 * 10**9


def fake_model(key: str) -> RegisteredModel:
    """Return a registered model of code, in the repository ``owner/KEY``."""
    return RegisteredModel(
        key=key,
        name=key,
        huggingface_id=f"owner/{key}",
        architecture="llama",
        size="7B",
        added=("code",),
        format="completion",
        paper=False,
    )


def fake_job(name: str, seconds: float, size: float = 10) -> ModelJob:
    """Return a job of a model of ``size`` GB, which is split evenly between GPUs."""

    def slots_on(slots: int, memory: int | None) -> int | None:
        if memory is None:
            return 1
        count = -(-size * 10**9 // memory)
        return int(count) if count <= slots else None

    return ModelJob(fake_model(name), RunRequest(name, Path()), seconds, slots_on)


@dataclass
class FakeCluster:
    """Nodes in virtual time.

    Attributes:
        present: the nodes by id.
        losses: when which nodes are lost, in seconds.
        arrivals: when which nodes come, in seconds.
        crashes: how often the process of a model crashes, by the model's name.
        outcomes: what becomes of a model, if it is not measured.
    """

    present: dict[str, Node]
    losses: Mapping[float, str] = field(default_factory=dict)
    arrivals: Mapping[float, Node] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    outcomes: Mapping[str, NotMeasured] = field(default_factory=dict)
    time: float = 0.0
    running: dict[str, tuple[float, Start]] = field(default_factory=dict)
    log: list[tuple[float, float, Start]] = field(default_factory=list)
    """When each try began and ended, and where."""

    @classmethod
    def of(cls, *nodes: Node, **options: object) -> "FakeCluster":
        """Return a cluster of these nodes."""
        return cls({node.id: node for node in nodes}, **options)  # type: ignore[arg-type]

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there now."""
        return tuple(self.present.values())

    def start(self, job: ModelJob, node: Node, slots: int) -> None:
        """Begin a model; its slots must be free, and its node there."""
        used = sum(s.slots for _, s in self.running.values() if s.node.id == node.id)
        assert node.id in self.present
        assert used + slots <= node.slots
        assert job.name not in self.running
        self.running[job.name] = (self.time, Start(job, node, slots))

    def events(self) -> Sequence[Event]:
        """Go on to what happens next."""
        ends = [(began + s.job.seconds, name) for name, (began, s) in self.running.items()]
        changes = [(t, "") for t in (*self.losses, *self.arrivals) if t > self.time]
        self.time, name = min([*ends, *changes] if ends else [*changes, (self.time + 1, "")])
        if not name:
            return self._change()
        if self.crashes.get(name, 0):
            self.crashes[name] -= 1
            return [self._end(name, Lost("the process ended"))]
        outcome = self.outcomes.get(name, Measured(Path(name)))
        return [Advanced(name, 1, 2), self._end(name, outcome)]

    def now(self) -> float:
        """Return the virtual time."""
        return self.time

    def _change(self) -> list[Event]:
        if node := self.arrivals.get(self.time):
            self.present[node.id] = node
        lost = self.present.pop(self.losses.get(self.time, ""), None)
        if lost is None:
            return []
        names = [name for name, (_, start) in self.running.items() if start.node.id == lost.id]
        return [self._end(name, Lost("the node is gone")) for name in names]

    def _end(self, name: str, outcome: Measured | NotMeasured | Lost) -> Ended:
        began, start = self.running.pop(name)
        self.log.append((began, self.time, start))
        return Ended(name, outcome)


@dataclass
class Lines:
    """A view that keeps its lines."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def started(self, start: Start) -> None:
        """Keep which model starts where."""
        self.lines.append(f"{start.job.name} starts on {start.node.name}")

    def advanced(self, event: Advanced) -> None:
        """Keep nothing."""

    def ended(self, name: str, words: str, waiting: int) -> None:
        """Keep how a model ended."""
        self.lines.append(f"{name}: {words}")
