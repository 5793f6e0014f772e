"""In which order models run on several GPUs, those that share pairs one after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A model to be measured: the GPUs it takes, for how long, and the group it belongs to."""

    name: str
    group: str
    gpus: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Slot:
    """When a job starts and ends, in seconds from the beginning, and on which GPUs, from 0."""

    job: Job
    start: float
    gpus: tuple[int, ...]

    @property
    def end(self) -> float:
        """When it is done."""
        return self.start + self.job.seconds


def schedule(jobs: Sequence[Job], gpus: int) -> list[Slot]:
    """When each job runs, in order of start.

    A group's jobs run one after the other on the same GPUs, as many as its widest job takes, so
    that its pairs are done early and each of its models is loaded once: one worker of pytest-xdist
    does the same. Widest groups first, then longest: what is left at the end is small.

    Raises:
        ValueError: when a job takes more GPUs than there are.
    """
    if any(not 1 <= job.gpus <= gpus for job in jobs):
        raise ValueError(f"a job does not fit on {gpus} GPUs")
    free = [0.0] * gpus
    slots: list[Slot] = []
    for group in sorted(_groups(jobs), key=_size, reverse=True):
        wanted = max(job.gpus for job in group)
        held = sorted(range(gpus), key=lambda gpu: (free[gpu], gpu))[:wanted]
        start = max(free[gpu] for gpu in held)
        for job in group:
            slots.append(Slot(job, start, tuple(sorted(held)[: job.gpus])))
            start = slots[-1].end
        for gpu in held:
            free[gpu] = start
    return sorted(slots, key=lambda slot: (slot.start, slot.gpus))


def makespan(slots: Iterable[Slot]) -> float:
    """When the last job is done."""
    return max((slot.end for slot in slots), default=0.0)


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs by group, both in their given order."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return list(groups.values())


def _size(group: Sequence[Job]) -> tuple[int, float]:
    return max(job.gpus for job in group), sum(job.seconds for job in group)
