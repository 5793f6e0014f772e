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

    Each job starts on the GPUs that are free first. Jobs start by width, then by length, so that
    small ones fill the end.

    Raises:
        ValueError: if a job needs more GPUs than ``gpus``.
    """
    if any(not 1 <= job.gpus <= gpus for job in jobs):
        raise ValueError(f"a job does not fit on {gpus} GPUs")
    free = [0.0] * gpus
    slots: list[Slot] = []
    for job in sorted(jobs, key=lambda job: (job.gpus, job.seconds), reverse=True):
        assigned = sorted(range(gpus), key=lambda gpu: (free[gpu], gpu))[: job.gpus]
        slot = Slot(job, max(free[gpu] for gpu in assigned), tuple(sorted(assigned)))
        slots.append(slot)
        for gpu in assigned:
            free[gpu] = slot.end
    return sorted(slots, key=lambda slot: (slot.start, slot.gpus))


def makespan(slots: Iterable[Slot]) -> float:
    """Return the end of the last job in seconds."""
    return max((slot.end for slot in slots), default=0.0)
