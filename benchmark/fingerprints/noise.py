"""The noise floor: how much results differ between runs that differ only in rounding.

It is measured by repeating a record with different batches, orders and numbers of threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.fingerprints.logits import RESOLUTION

SAFETY = 4.0
"""The factor from the largest measured difference to the noise floor.

The next repeat exceeds the largest of n with probability 1 / (n + 1), so the largest itself is not
a bound. Rounding errors of sums have light tails: no difference beyond four times the largest was
seen (docs/log.md).
"""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeat of a record: its settings, and how much it differs.

    ``largest`` is in nats, ``divergence`` the mean KL per position, ``outputs`` the number of
    states whose tokens changed, ``flips`` the number of queries whose outcome by any score did.
    """

    batch_size: int
    threads: int
    order: str
    largest: float
    divergence: float
    outputs: int
    flips: int


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """The bound of differences that count as noise, ``largest`` nats.

    ``measured`` is the largest difference between repeats; None if there were no repeats, so that
    only the record's resolution counts as noise.
    """

    measured: float | None

    @property
    def largest(self) -> float:
        """The bound in nats; at least the record's resolution."""
        return max(RESOLUTION, SAFETY * (self.measured or 0.0))


def noise_floor(repeats: Sequence[Repeat]) -> NoiseFloor:
    """Return the noise floor of a record's repeats."""
    if not repeats:
        return NoiseFloor(None)
    return NoiseFloor(max(r.largest for r in repeats))
