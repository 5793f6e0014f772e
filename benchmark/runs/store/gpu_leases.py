"""Lease GPUs to processes, one process per GPU, with locks in a shared folder."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import sleep

from benchmark.locking import LockHeldError, locked
from benchmark.writing import ensure_folder, host_name

_SECONDS_BETWEEN_LOOKS = 0.2
_PURPOSE = "using the same GPU"
_REMEDY = "set XDG_CACHE_HOME to a folder on a local disk"


class GpuLeases:
    """The GPUs that the processes of one test run share.

    A process holds the queue lock while it waits for GPUs, and a process that holds GPUs asks for
    no more. So there is no deadlock, and a process that needs many GPUs is not starved. Each
    machine has a queue of its own, as several may share the folder, but no GPUs.
    """

    def __init__(self, folder: Path, gpus: Mapping[int, str]) -> None:
        """Share GPUs through a folder.

        Args:
            folder: holds the locks.
            gpus: the identity of each GPU by its number in this process. With
                ``CUDA_VISIBLE_DEVICES`` processes may see different GPUs under the same number.
        """
        self.gpus = tuple(gpus)
        self._identities = dict(gpus)
        self._folder = folder
        self._held: dict[int, ExitStack] = {}

    @contextmanager
    def take(self, count: int, first: Sequence[int] = ()) -> Iterator[tuple[int, ...]]:
        """Wait for ``count`` GPUs and hold them; those in ``first`` are preferred.

        Raises:
            ValueError: when ``count`` is more than there are.
            NoLocksError: when the file system of the folder has no locks.
        """
        if not 1 <= count <= len(self.gpus):
            raise ValueError(f"{count} GPUs requested, of {len(self.gpus)}")
        order = [*first, *(gpu for gpu in self.gpus if gpu not in first)]
        ensure_folder(self._folder)
        held = dict[int, ExitStack]()
        with ExitStack() as locks:
            with locked(self._folder / f"queue-{host_name()}.lock", _PURPOSE, _REMEDY):
                while len(held) < count:
                    self._gather(count, order, held, locks)
            self._held |= held
            yield tuple(sorted(held))

    def keep(self, gpus: Collection[int]) -> None:
        """Release all GPUs but these, of those that are held."""
        for gpu in [gpu for gpu in self._held if gpu not in gpus]:
            self._held.pop(gpu).close()

    def _gather(
        self, count: int, order: Sequence[int], held: dict[int, ExitStack], locks: ExitStack
    ) -> None:
        """Lock GPUs in order until there are enough; wait a moment if there are not."""
        for gpu in order:
            if len(held) < count and gpu not in held and (lock := self._lock(gpu)):
                held[gpu] = locks.enter_context(lock)
        if len(held) < count:
            sleep(_SECONDS_BETWEEN_LOOKS)

    def _lock(self, gpu: int) -> ExitStack | None:
        """Return the lock of a GPU, None if another process holds it."""
        path = self._folder / f"{self._identities[gpu]}.lock"
        with ExitStack() as lock:
            try:
                lock.enter_context(locked(path, _PURPOSE, _REMEDY, wait=False))
            except LockHeldError:
                return None
            return lock.pop_all()


def lease_folder() -> Path:
    """Return the folder of the locks of all runs of this user."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "entity-tracking-benchmark" / "gpus"


def share(worker: str | None, workers: int, gpus: Sequence[int]) -> tuple[int, ...]:
    """Return the GPUs that a pytest-xdist worker (``gw0``, ``gw1``, ...) prefers.

    Shares are as even as possible and cover all GPUs; with more workers than GPUs some shares are
    empty. Without xdist (None) one process has all.
    """
    if worker is None:
        return tuple(gpus)
    number = int(worker.removeprefix("gw"))
    start, end = (len(gpus) * n // workers for n in (number, number + 1))
    return tuple(gpus[start:end])
