"""Schedule models on several GPUs, as the workers of pytest-xdist do with ``pytest -m gpu``."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A model to measure: its number of GPUs, and its time in seconds."""

    name: str
    gpus: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Slot:
    """A job with its start in seconds from the beginning, and its GPUs on one node.

    GPUs and nodes are numbered from 0.
    """

    job: Job
    start: float
    gpus: tuple[int, ...]
    node: int = 0

    @property
    def end(self) -> float:
        """The end of the job in seconds from the beginning."""
        return self.start + self.job.seconds


def schedule(jobs: Sequence[Job], gpus: int, nodes: int = 1) -> list[Slot]:
    """Return the slots of all jobs, in order of start.

    Each job starts on the node and the GPUs that are free first, of several nodes on the one with
    most free GPUs. Jobs start by width, then by
    length, so that small ones fill the end.

    Args:
        jobs: the jobs.
        gpus: the number of GPUs of each node.
        nodes: the number of nodes; the GPUs of a job are on one of them.

    Raises:
        ValueError: if a job needs more GPUs than ``gpus``.
    """
    if any(not 1 <= job.gpus <= gpus for job in jobs):
        raise ValueError(f"a job does not fit on {gpus} GPUs")
    free = [[0.0] * gpus for _ in range(nodes)]
    slots: list[Slot] = []
    for job in sorted(jobs, key=lambda job: (job.gpus, job.seconds), reverse=True):
        possible = (_slot(job, node, times) for node, times in enumerate(free))
        slot = min(possible, key=lambda slot: (slot.start, _busy(free[slot.node], slot.start)))
        slots.append(slot)
        for gpu in slot.gpus:
            free[slot.node][gpu] = slot.end
    return sorted(slots, key=_by_start)


def _slot(job: Job, node: int, free: Sequence[float]) -> Slot:
    """Return the earliest slot of a job on a node whose GPUs are free from these times on."""
    assigned = sorted(range(len(free)), key=lambda gpu: (free[gpu], gpu))[: job.gpus]
    start = max(free[gpu] for gpu in assigned)
    return Slot(job, start, tuple(sorted(assigned)), node)


def _busy(free: Sequence[float], start: float) -> int:
    """Return how many GPUs of a node are not free at that time."""
    return sum(time > start for time in free)


def _by_start(slot: Slot) -> tuple[float, int, tuple[int, ...]]:
    return slot.start, slot.node, slot.gpus


def makespan(slots: Iterable[Slot]) -> float:
    """Return the end of the last job in seconds."""
    return max((slot.end for slot in slots), default=0.0)
