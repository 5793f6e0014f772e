"""What a reproduction runs on: nodes that measure models, and what they report.

This machine (:mod:`benchmark.reproduction.this_machine`), a Ray cluster
(:mod:`benchmark.reproduction.ray_cluster`) and the fake of the tests are clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmark.models.registry_types import RegisteredModel
from benchmark.runs.gpu_fit import gpus_of
from benchmark.runs.requests import RunRequest


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that measures models.

    Attributes:
        id: unique in its cluster; a node that was lost and comes back has another one.
        name: its name for people.
        slots: its GPUs, or the number of models that it measures at a time on CPUs.
        memory: of each GPU in bytes; None if it has none or it is unknown, and then each model
            takes one slot.
    """

    id: str
    name: str
    slots: int
    memory: int | None = None

    @property
    def words(self) -> str:
        """The node with its GPUs in words."""
        if self.memory is None:
            return f"{self.name} ({self.slots} at a time)"
        return f"{self.name} ({gpus_of(self.slots, self.memory)})"


class SlotsOn(Protocol):
    """Says how many slots of a node a model takes."""

    def __call__(self, slots: int, memory: int | None) -> int | None:
        """Return the number, None if the node does not hold the model."""


@dataclass(frozen=True, slots=True)
class ModelJob:
    """A model to measure.

    Attributes:
        model: the model.
        request: its request.
        seconds: the planned time, which decides on order and shards; of GPUs that are the same for
            all machines.
        slots_on: the slots that it takes on a node.
    """

    model: RegisteredModel
    request: RunRequest
    seconds: float
    slots_on: SlotsOn

    @property
    def name(self) -> str:
        """The model's key in the registry."""
        return self.model.key


@dataclass(frozen=True, slots=True)
class Measured:
    """A model is measured; ``folder`` is that of its run."""

    folder: Path


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A model is not measured, and why.

    ``skipped`` is whether it is unavailable or too large, and not an error.
    """

    reason: str
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The process that measured a model, or its node, is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a model on a node."""

    name: str
    outcome: Measured | NotMeasured | Lost


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far a model is: finished states of all, and the share of right answers in 0..1."""

    name: str
    done: int
    total: int
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A line about a model."""

    name: str
    text: str


Event = Ended | Advanced | Said


class Cluster(Protocol):
    """Nodes that measure models."""

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there now."""

    def start(self, job: ModelJob, node: Node, slots: int) -> None:
        """Begin to measure a model on slots of a node that are free."""

    def events(self) -> Sequence[Event]:
        """Return what happened since the last call; wait a moment if nothing did."""

    def now(self) -> float:
        """Return the time in seconds since any moment."""
