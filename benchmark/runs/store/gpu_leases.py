"""GPUs lent to processes, one process a GPU, by locks in a folder that they share."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep

from filelock import FileLock, Timeout

_SECONDS_BETWEEN_LOOKS = 0.2


class GpuLeases:
    """The GPUs that the processes of one test run share.

    Whoever gathers GPUs holds the queue while it waits, and whoever holds GPUs asks for no
    more: so nobody waits in a circle, and who needs many is not starved by those who need one.
    """

    def __init__(self, folder: Path, gpus: Mapping[int, str]) -> None:
        """Share GPUs through the folder.

        Args:
            folder: where the locks are.
            gpus: the identity of each by its number here. Processes that see other GPUs under
                the same numbers, by ``CUDA_VISIBLE_DEVICES``, tell them apart by that.
        """
        self.gpus = tuple(gpus)
        self._identities = dict(gpus)
        self._folder = folder

    @contextmanager
    def take(self, count: int, first: Sequence[int] = ()) -> Iterator[tuple[int, ...]]:
        """Hold so many GPUs, of the given ones first, once they are free.

        Raises:
            ValueError: when there are not so many.
        """
        if not 1 <= count <= len(self.gpus):
            raise ValueError(f"{count} GPUs asked for, of {len(self.gpus)}")
        order = [*first, *(gpu for gpu in self.gpus if gpu not in first)]
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with FileLock(self._folder / "queue.lock"):
                taken = self._gather(count, order, held)
            yield tuple(sorted(taken))

    def _gather(self, count: int, order: Sequence[int], held: ExitStack) -> list[int]:
        taken: list[int] = []
        while True:
            for gpu in order:
                if len(taken) < count and gpu not in taken and self._lock(gpu, held):
                    taken.append(gpu)
            if len(taken) == count:
                return taken
            sleep(_SECONDS_BETWEEN_LOOKS)

    def _lock(self, gpu: int, held: ExitStack) -> bool:
        lock = FileLock(
            self._folder / f"{self._identities[gpu]}.lock", timeout=0, is_singleton=False
        )
        try:
            held.enter_context(lock)
        except Timeout:
            return False
        return True


def lease_folder() -> Path:
    """Where the locks of all runs of this user are."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "entity-tracking-benchmark" / "gpus"


def share(worker: str | None, workers: int, gpus: Sequence[int]) -> tuple[int, ...]:
    """The GPUs that a pytest-xdist worker (``gw0``, ``gw1``, ...) calls its own.

    Shares are as even as can be and cover all GPUs; with more workers than GPUs some have none
    of their own and take what is free. Without xdist (None) one process has all.
    """
    if worker is None:
        return tuple(gpus)
    number = int(worker.removeprefix("gw"))
    start, end = (len(gpus) * n // workers for n in (number, number + 1))
    return tuple(gpus[start:end])
