"""How many requests are open at a time, found by trying."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

_FIRST, _MOST = 4, 64
_GAIN = 1.1
"""More requests are kept open only if answers come at least this much faster."""

_ROUNDS = 2
"""The number of answers that a rate is measured on, per open request."""


@dataclass
class Concurrency:
    """The number of open requests: a fixed one, or doubled while that makes answers faster.

    Attributes:
        fixed: the number that was asked for; None to try.
        most: the largest number that is tried, such as the server's slots.
    """

    fixed: int | None = None
    most: int = _MOST
    clock: Callable[[], float] = field(default=time.monotonic)

    def __post_init__(self) -> None:
        self.number = self.fixed or min(_FIRST, self.most)
        self._settled = self.fixed is not None
        self._rate = 0.0
        self._before = self.number
        self._answers = 0
        self._started = self.clock()

    def answered(self) -> None:
        """Count an answer, and change the number if enough is known."""
        self._answers += 1
        if self._settled or self._answers < _ROUNDS * self.number:
            return
        now = self.clock()
        rate = self._answers / max(now - self._started, 1e-9)
        if rate < _GAIN * self._rate:
            self.number = self._before
            self._settled = True
        elif self.number >= self.most:
            self._settled = True
        else:
            self._before, self.number = self.number, min(2 * self.number, self.most)
        self._rate, self._answers, self._started = rate, 0, now
