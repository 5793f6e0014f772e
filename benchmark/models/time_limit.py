"""Bound the time of code that comes from a model's repository, such as a chat template."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer, get_ident


class TimeLimitError(Exception):
    """The time limit of a block has passed."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitError in the block after this time, in whichever thread it runs.

    A single operation in C is not interrupted, only loops of Python code are. For such operations
    see :mod:`benchmark.models.template_process`.
    """
    thread, lock, finished = get_ident(), Lock(), False

    def interrupt() -> None:
        with lock:
            if not finished:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TimeLimitError)
                )

    timer = Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            finished = True
        timer.cancel()
