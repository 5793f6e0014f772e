"""A reproduction on this machine, in this process: one model after the other."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from benchmark.reproduction.cluster import Ended, Event, ModelJob, Node
from benchmark.reproduction.measuring import measure_model
from benchmark.runs.model_store import ModelStore
from benchmark.runs.requests import Progress


@dataclass
class ThisMachine:
    """A cluster of one node, whose GPUs the store's placement gives to one model at a time.

    Attributes:
        store: where models are measured.
        progress: returns the progress of one model.
    """

    store: ModelStore
    progress: Callable[[], AbstractContextManager[Progress]]
    _events: list[Event] = field(default_factory=list)

    def nodes(self) -> Sequence[Node]:
        """Return this machine. Whether its GPUs hold a model is found when it is measured."""
        return (Node("this", socket.gethostname(), 1),)

    def start(self, job: ModelJob, node: Node, slots: int) -> None:  # noqa: ARG002  # of one
        """Measure a model, and return when it is measured."""
        with self.progress() as progress:
            outcome = measure_model(replace(self.store, progress=progress), job.request)
        self._events.append(Ended(job.name, outcome))

    def events(self) -> Sequence[Event]:
        """Return the end of the model that was started."""
        events, self._events = self._events, []
        return events

    def now(self) -> float:
        """Return the time in seconds."""
        return time.monotonic()
