"""The noise floor: how far results move when nothing that matters is changed.

Measured with the record by repeating it in other batches, other orders and on other numbers of
threads, all of which only round otherwise.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmark.fingerprints.logits import RESOLUTION

SAFETY = 4.0
"""The next repeat exceeds the largest of n in one case of n + 1, so the largest is no limit yet.

Rounding of sums has light tails: four times the largest was not seen to be exceeded.
"""


@dataclass(frozen=True, slots=True)
class Repeat:
    """A repeat without a fault: what was varied, and how far it moved.

    ``largest`` is in nats, ``divergence`` the mean KL a position, ``outputs`` the states whose
    tokens changed, ``flips`` the queries whose outcome by any score did.
    """

    batch_size: int
    threads: int
    order: str
    largest: float
    divergence: float
    outputs: int
    flips: int

    def as_json(self) -> dict[str, object]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Floor:
    """What counts as noise: differences up to ``largest`` nats.

    ``measured`` is the largest difference that repeats showed; None where there were none, and
    only the resolution of the record counts as noise.
    """

    measured: float | None

    @property
    def largest(self) -> float:
        """Nats; never below what two roundings to the record's resolution make."""
        return max(RESOLUTION, SAFETY * (self.measured or 0.0))


def floor(repeats: Sequence[Repeat]) -> Floor:
    """The floor that the repeats of a record show."""
    if not repeats:
        return Floor(None)
    return Floor(max(r.largest for r in repeats))
