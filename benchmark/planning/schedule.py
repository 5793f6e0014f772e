"""Schedule models on several GPUs; models of the same pairs run one after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A model to measure: its number of GPUs, its time in seconds, and its group."""

    name: str
    group: str
    gpus: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Slot:
    """A job with its start in seconds from the beginning, and the indices of its GPUs."""

    job: Job
    start: float
    gpus: tuple[int, ...]

    @property
    def end(self) -> float:
        """The end of the job in seconds from the beginning."""
        return self.start + self.job.seconds


def schedule(jobs: Sequence[Job], gpus: int) -> list[Slot]:
    """Return the slots of all jobs, in order of start.

    The jobs of a group run one after the other on the same GPUs, as many as its widest job needs.
    Its pairs are then finished early and each model is loaded once, as with one worker of
    pytest-xdist. Groups start by width, then by length, so that small ones fill the end.

    Raises:
        ValueError: if a job needs more GPUs than ``gpus``.
    """
    if any(not 1 <= job.gpus <= gpus for job in jobs):
        raise ValueError(f"a job does not fit on {gpus} GPUs")
    free = [0.0] * gpus
    slots: list[Slot] = []
    for group in sorted(_groups(jobs), key=_size, reverse=True):
        width = max(job.gpus for job in group)
        assigned = sorted(range(gpus), key=lambda gpu: (free[gpu], gpu))[:width]
        start = max(free[gpu] for gpu in assigned)
        for job in group:
            slots.append(Slot(job, start, tuple(sorted(assigned)[: job.gpus])))
            start = slots[-1].end
        for gpu in assigned:
            free[gpu] = start
    return sorted(slots, key=lambda slot: (slot.start, slot.gpus))


def makespan(slots: Iterable[Slot]) -> float:
    """Return the end of the last job in seconds."""
    return max((slot.end for slot in slots), default=0.0)


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return the jobs by group, both in their original order."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return list(groups.values())


def _size(group: Sequence[Job]) -> tuple[int, float]:
    return max(job.gpus for job in group), sum(job.seconds for job in group)
