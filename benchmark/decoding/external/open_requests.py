"""Several requests to a server at a time."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class OpenRequests(Generic[T]):
    """Open requests, each in a thread.

    A thread that waits for a server cannot be ended, and a pool's threads are waited for when the
    interpreter ends: for minutes after Ctrl-C. These are not.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self._open: dict[Future[T], int] = {}

    def __len__(self) -> int:
        """Return the number of open requests."""
        return len(self._open)

    def start(self, index: int, ask: Callable[[], T]) -> None:
        """Begin a request for the prompt of an index."""
        future: Future[T] = Future()
        self._open[future] = index
        threading.Thread(target=_ask_into, args=(future, ask), daemon=True).start()

    def finished(self) -> Iterator[tuple[int, T]]:
        """Wait for an answer, and yield all that are finished.

        After a failure the open requests are waited for, as their answers are not lost.

        Raises:
            BenchmarkError: the first failure.
        """
        ended, _ = wait(self._open, return_when=FIRST_COMPLETED)
        failure = next(filter(None, (future.exception() for future in ended)), None)
        if failure is not None:
            ended, _ = wait(self._open)
        for future in ended:
            index = self._open.pop(future)
            if future.exception() is None:
                yield index, future.result()
        if failure is not None:
            raise failure


def _ask_into(future: Future[T], ask: Callable[[], T]) -> None:
    try:
        future.set_result(ask())
    except BaseException as error:  # noqa: BLE001  # raised where the answer is waited for
        future.set_exception(error)
