"""Fork a process, and limit what it has and may take. Only Linux has all of it."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_STANDARD_ERROR = 2


@contextmanager
def quiet_fork() -> Iterator[None]:
    """Keep Python and the library tokenizers from warning that a process with threads forks."""
    name = "TOKENIZERS_PARALLELISM"
    unset = name not in os.environ
    if unset:
        os.environ[name] = "true"  # its default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        if unset:
            del os.environ[name]


def close_others(*kept: int) -> None:
    """Close all descriptors of this process but these and the standard ones.

    A lock of the parent is held until the copies of its descriptor are closed.
    """
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  # far faster
        if descriptor > _STANDARD_ERROR and descriptor not in kept:
            with suppress(OSError):  # that of the list itself
                os.close(descriptor)


def limit_memory(more: int) -> None:
    """Limit the memory to this number of bytes more than now, and have it leave no core file."""
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    for kind, value in (
        (resource.RLIMIT_AS, pages * resource.getpagesize() + more),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (soft, hard))
