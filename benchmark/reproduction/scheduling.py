"""Distribute models to the nodes of a cluster, and try those of a lost node again.

Models start in the order of the jobs. One that has to wait keeps a node from later ones, so that a
model of many GPUs is not starved by small ones. A model takes the least memory that holds it, so
that large cards stay free for large models.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from benchmark.reproduction.cluster import (
    Advanced,
    Cluster,
    Ended,
    Lost,
    Measured,
    ModelJob,
    Node,
    NotMeasured,
    Said,
)

RETRIES = 2
"""How often a model is tried again after its node or process was lost."""

PATIENCE = 60.0
"""Seconds to wait for a node that may hold a model, after the last one that did is lost."""

Outcome = Measured | NotMeasured


class Start(NamedTuple):
    """A model that starts on a node, and the slots that it takes there."""

    job: ModelJob
    node: Node
    slots: int


class View(Protocol):
    """Shows what happens on a cluster."""

    def say(self, text: str) -> None:
        """Show one line of text."""

    def started(self, start: Start) -> None:
        """Show that a model starts."""

    def advanced(self, event: Advanced) -> None:
        """Show how far a model is."""

    def ended(self, name: str, words: str, waiting: int) -> None:
        """Show that a model ended; ``waiting`` models have not started."""


def starts(
    waiting: Iterable[ModelJob],
    nodes: Sequence[Node],
    free: Mapping[str, int],
    avoided: Mapping[str, AbstractSet[str]] = {},
) -> Iterator[Start]:
    """Yield the models that start now, in order.

    Args:
        waiting: the models, the first to start first.
        nodes: the nodes.
        free: the number of free slots by the id of the node.
        avoided: the ids of nodes by the name of a model that was lost there: they come last.
    """
    left, kept = dict(free), set[str]()
    for job in waiting:
        holding = _holding(job, nodes)
        worse = avoided.get(job.name, frozenset())
        ready = [s for s in holding if s.node.id not in kept and s.slots <= left[s.node.id]]
        if ready:
            start = min(ready, key=lambda s: (s.node.id in worse, *_cost(s, left)))
            left[start.node.id] -= start.slots
            yield start
        elif others := [s for s in holding if s.node.id not in kept]:
            kept.add(min(others, key=lambda s: (s.slots - left[s.node.id], s.node.name)).node.id)


def _holding(job: ModelJob, nodes: Sequence[Node]) -> list[Start]:
    """Return a possible start on each node that holds the model."""
    slots = ((node, job.slots_on(node.slots, node.memory)) for node in nodes)
    return [Start(job, node, count) for node, count in slots if count is not None]


def _cost(start: Start, left: Mapping[str, int]) -> tuple[int, int, str]:
    """Return what makes a place worse: the memory it takes, then how few slots are free there."""
    return start.slots * (start.node.memory or 0), -left[start.node.id], start.node.name


def run_jobs(
    jobs: Sequence[ModelJob], cluster: Cluster, view: View, *, retries: int = RETRIES
) -> dict[str, Outcome]:
    """Measure models on a cluster, and return the outcome of each by its name.

    Args:
        jobs: the models in the order in which they start.
        cluster: where they are measured.
        view: shows what happens.
        retries: how often a model is tried again after it was lost.
    """
    queue = _Queue(deque(jobs), cluster, view, retries)
    while queue.waiting or queue.running:
        queue.start()
        for event in cluster.events() if queue.running else ():
            queue.take(event)
    return queue.outcomes


@dataclass
class _Queue:
    """The models that wait and run, and the outcomes of the others."""

    waiting: deque[ModelJob]
    cluster: Cluster
    view: View
    retries: int
    running: dict[str, Start] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    lost_on: dict[str, set[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    """The names of the models that a node of this run has held."""
    idle_since: float | None = None

    def start(self) -> None:
        """Start what can be started, and give up what no node can hold."""
        self._look()
        for start in [*starts(self.waiting, [*self.nodes.values()], self._free(), self.lost_on)]:
            self.waiting.remove(start.job)
            self.running[start.job.name] = start
            self.view.started(start)
            self.cluster.start(*start)
        if self.running:
            self.idle_since = None
        elif self.waiting:
            self._give_up()

    def take(self, event: Ended | Advanced | Said) -> None:
        """Take an event of the cluster."""
        match event:
            case Advanced():
                self.view.advanced(event)
            case Said(name, text):
                self.view.say(f"{name}: {text}")
            case Ended(name, Lost(reason)):
                self._lose(self.running.pop(name), reason)
            case Ended(name, Measured() | NotMeasured() as outcome):
                del self.running[name]
                self._end(name, outcome)

    def _look(self) -> None:
        """Look at the nodes, and say which are new or gone."""
        nodes = {node.id: node for node in self.cluster.nodes()}
        for node in (node for key, node in nodes.items() if key not in self.nodes):
            self.view.say(f"node {node.words} is here")
        for node in (node for key, node in self.nodes.items() if key not in nodes):
            self.view.say(f"node {node.words} is lost")
        self.nodes = nodes
        for job in self.waiting:
            if _holding(job, [*nodes.values()]):
                self.held.add(job.name)

    def _free(self) -> dict[str, int]:
        free = {node.id: node.slots for node in self.nodes.values()}
        for start in self.running.values():
            if start.node.id in free:
                free[start.node.id] -= start.slots
        return free

    def _lose(self, start: Start, reason: str) -> None:
        name = start.job.name
        self.lost[name] += 1
        self.lost_on.setdefault(name, set()).add(start.node.id)
        if self.lost[name] > self.retries:
            times = f"lost {self.lost[name]} times, the last time"
            self._end(name, NotMeasured(f"{times} on {start.node.name}: {reason}"))
            return
        self.waiting.appendleft(start.job)
        again = f"try {self.lost[name] + 1} of {self.retries + 1} follows"
        self.view.ended(name, f"lost on {start.node.name} ({reason}); {again}", len(self.waiting))

    def _end(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        words = "measured"
        if isinstance(outcome, NotMeasured):
            words = f"{'skipped' if outcome.skipped else 'failed'}: {outcome.reason}"
        self.view.ended(name, words, len(self.waiting))

    def _give_up(self) -> None:
        """Give up what nothing holds: at once if no node ever did, else after some time."""
        now = self.cluster.now()
        self.idle_since = now if self.idle_since is None else self.idle_since
        expired = now - self.idle_since >= PATIENCE
        for job in [job for job in self.waiting if expired or job.name not in self.held]:
            self.waiting.remove(job)
            self._end(job.name, NotMeasured(self._too_large(job), skipped=True))
        if self.waiting:
            self.cluster.events()

    def _too_large(self, job: ModelJob) -> str:
        nodes = ", ".join(sorted({node.words for node in self.nodes.values()})) or "no node"
        if job.name in self.held:
            return f"no node that holds it is left after {PATIENCE:.0f} s; there is {nodes}"
        return f"one prompt needs more memory than a node has; there is {nodes}"
