"""Write a difference with its sign and unit, as all tables, figures and lines do."""

from dataclasses import dataclass


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign; a value that rounds to zero has a plus.

    ``signed(-0.04)`` is ``+0.0``: a minus in front of a zero would show a direction that the digits
    do not.
    """
    return f"{value:+z.{digits}f}"


def signed_points(share: float, digits: int = 1) -> str:
    """Return a difference of shares in points, with its sign: ``signed_points(0.1)`` is ``+10.0``.

    ``share`` is between -1 and 1.
    """
    return signed(100 * share, digits)


@dataclass(frozen=True, slots=True)
class Unit:
    """How differences are written: in points, or in the unit of a score.

    Attributes:
        name: the unit in JSON.
        factor: what a difference is multiplied by.
        digits: decimal places in words.
        noun: the unit in words, in the singular; empty if a number stands alone.
        decimals: decimal places in JSON; None for six significant digits.
    """

    name: str
    factor: float
    digits: int
    noun: str = ""
    decimals: int | None = None

    def signed(self, value: float) -> str:
        """Return a difference with its sign, without the unit."""
        return signed(self.factor * value, self.digits)

    def difference(self, value: float) -> str:
        """Return a difference with its sign and unit: ``+0.5 points``, ``+0.005``."""
        return f"{self.signed(value)}{self._plural}"

    def size(self, value: float) -> str:
        """Return a size without a sign: ``2.1 points``, ``0.021``."""
        return f"{self.factor * value:.{self.digits}f}{self._plural}"

    def margin(self, value: float) -> str:
        """Return a round number with its unit: ``1 point``, ``0.01``."""
        number = f"{self.factor * value:g}"
        return f"{number} {self.noun}" if self.noun and number == "1" else number + self._plural

    def number(self, value: float | None) -> float | None:
        """Return a difference for JSON; None for None."""
        if value is None:
            return None
        scaled = self.factor * value
        return (
            float(f"{scaled:.6g}") if self.decimals is None else round(scaled, self.decimals)
        ) + 0.0

    @property
    def _plural(self) -> str:
        return f" {self.noun}s" if self.noun else ""


POINTS = Unit("points", 100, 1, "point", 2)
"""Percentage points, of differences of shares."""

DISTANCE = Unit("distance", 1, 3)
"""The unit of a distance between records, from 0 (equal) to 1."""

SCORE = Unit("score", 1, 3)
"""The unit of a score, which need not be a share."""
