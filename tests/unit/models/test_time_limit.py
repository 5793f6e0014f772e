"""The time limit of a block."""

import time
from threading import Thread

import pytest

from benchmark.models.time_limit import TimeLimitError, time_limit


def _loop() -> None:
    with time_limit(0.05):
        while True:
            pass


def test_a_loop_is_stopped() -> None:
    """An endless loop is interrupted soon after the limit."""
    started = time.monotonic()
    with pytest.raises(TimeLimitError):
        _loop()
    assert time.monotonic() - started < 30


def test_a_loop_in_another_thread_is_stopped() -> None:
    """The limit also works outside the main thread."""
    raised: list[bool] = []

    def run() -> None:
        try:
            _loop()
        except TimeLimitError:
            raised.append(True)

    thread = Thread(target=run)
    thread.start()
    thread.join(30)
    assert raised == [True]


def test_a_short_block_is_not_stopped() -> None:
    """A block within the limit ends normally, and nothing is raised later."""
    with time_limit(0.05):
        pass
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        pass
