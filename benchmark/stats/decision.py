"""Statistical decisions: the claim, its figures, the verdict and its reason in one frozen record.

==================  ==================================================  ===================
claim               supported if                                        test
==================  ==================================================  ===================
difference          the two models differ                               two-sided
gain                the second model is better                          one-sided
equivalence         they differ by less than a margin, in either        two one-sided tests
                    direction
non-inferiority     the second model is worse by less than a margin     one-sided
==================  ==================================================  ===================

A claim with a margin is supported if the interval of coverage 1 - 2 * level is within the margin,
which is the same as both one-sided tests rejecting at that level (Schuirmann, "A comparison of the
two one-sided tests procedure and the power approach", J. Pharmacokinet. Biopharm. 15, 1987).

The constructors are pure and need the standard library alone. The figures come from
:class:`benchmark.stats.paired.PairedTest` and the other tests of this package.
"""

from dataclasses import dataclass
from math import inf
from typing import Literal

from benchmark.stats.constants import LEVEL, POWER
from benchmark.stats.intervals import Interval
from benchmark.stats.points import POINTS, Unit

DecisionClaim = Literal["difference", "gain", "equivalence", "non-inferiority"]
Verdict = Literal["supported", "not supported", "undecided"]

WITHIN_ERROR = "within clustered error"
"""The reason of an undecided difference."""

_NOUNS: dict[DecisionClaim, str] = {"gain": "a gain", "non-inferiority": "a loss"}
_AT_POWER = f"power {100 * POWER:.0f} %"


@dataclass(frozen=True, slots=True)
class Effect:
    """A measured difference with its error.

    Attributes:
        value: the difference, second model minus first: of shares (-1..1), or in another unit.
        interval: interval of the difference, of the coverage that the claim needs; None for the
            reason in ``no_interval``.
        detectable: smallest difference that the test would find with a power of 80 %; None for the
            reason in ``no_detectable``.
        unit: how the difference, and a margin for it, is written.
    """

    value: float
    interval: Interval | None
    no_interval: str = ""
    detectable: float | None = None
    no_detectable: str = "unknown"
    unit: Unit = POINTS

    @property
    def interval_words(self) -> str:
        """Return the interval, or why there is none."""
        if self.interval is None:
            return f"no interval: {self.no_interval}"
        return " to ".join(map(self.unit.signed, self.interval))


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict on a claim about a difference, with the figures that it rests on.

    Attributes:
        claim: the kind of claim.
        level: level of the test; two-sided for a difference, else one-sided.
        effect: the difference, its interval, and the smallest detectable one.
        p: p-value of the test.
        verdict: a difference is never *not supported*: what the data exclude needs a margin.
        reason: why, in words.
        margin: largest difference that does not matter, at least 0; None for a claim without one.
        doubt: why the test may not decide at any p-value; empty if it may.
    """

    claim: DecisionClaim
    level: float
    effect: Effect
    p: float
    verdict: Verdict
    reason: str
    margin: float | None = None
    doubt: str = ""

    def power(self, noun: str = "") -> str:
        """Return the smallest effect, called ``noun``, that the test would find, in words."""
        noun = noun or _NOUNS.get(self.claim, "a difference")
        if self.effect.detectable is None:
            return f"how small {noun} would be found: {self.effect.no_detectable}"
        size = self.effect.unit.size(self.effect.detectable)
        return f"{noun} of {size} would be found ({_AT_POWER})"

    @property
    def coverage(self) -> str:
        """Return the kind of interval, such as ``95 % interval``."""
        share = 0.95 if self.margin is None else 1 - 2 * self.level
        return f"{100 * share:g} % interval"

    @property
    def words(self) -> str:
        """Return the claim in words, such as ``equal within 1 point``."""
        if self.margin is None:
            return f"a {self.claim}"
        margin = self.effect.unit.margin(self.margin)
        return f"equal within {margin}" if self.claim == "equivalence" else f"no loss of {margin}"

    def summary(self) -> str:
        """Return claim, verdict and interval, or why nothing may be decided."""
        return f"{self.words}: {self.verdict_words}"

    @property
    def verdict_words(self) -> str:
        """Return verdict and interval, or why nothing may be decided."""
        if self.doubt:
            return f"{self.verdict} ({self.doubt})"
        share = self.coverage.removesuffix(" interval")
        return f"{self.verdict} ({share}: {self.effect.interval_words})"

    def report(self) -> str:
        """Return claim, verdict, figures and reason in one line."""
        interval = self.effect.interval_words
        if self.effect.interval:
            interval = f"{self.coverage} {interval}"
        value = self.effect.unit.difference(self.effect.value)
        figures = f"{value} ({interval}), p = {self.p:.2g}"
        line = f"{self.words}: {self.verdict}; {figures}; {self.reason}"
        return line if self.verdict == "supported" else f"{line}; {self.power()}"

    def with_p(self, p: float) -> "Decision":
        """Return the decision about a difference by a p-value adjusted for multiple testing.

        Raises:
            ValueError: for a claim with a margin, which the interval decides.
        """
        if self.claim != "difference":
            raise ValueError(f"the p-value of a claim of {self.claim} is not adjusted")
        return difference(self.effect, p, self.level, self.doubt)

    def as_json(self) -> dict[str, object]:
        """Return the decision, with the same keys for every claim.

        Differences are in the unit that it names: points to two decimals, scores to six significant
        digits. p has three.
        """
        low, high = self.effect.interval or (None, None)
        number = self.effect.unit.number
        return {
            "claim": self.claim,
            "verdict": self.verdict,
            "reason": self.reason,
            "level": self.level,
            "unit": self.effect.unit.name,
            "margin": number(self.margin),
            "difference": number(self.effect.value),
            "low": number(low),
            "high": number(high),
            "no_interval": self.effect.no_interval or None,
            "p": float(f"{self.p:.3g}"),
            "detectable": number(self.effect.detectable),
            "no_detectable": self.effect.no_detectable or None,
        }


def difference(effect: Effect, p: float, level: float = LEVEL, doubt: str = "") -> Decision:
    """Decide whether two models differ: by a two-sided p-value below the level."""
    if p < level and not doubt:
        return Decision("difference", level, effect, p, "supported", "beyond clustered error")
    return Decision("difference", level, effect, p, "undecided", doubt or WITHIN_ERROR, doubt=doubt)


def gain(
    effect: Effect, p: float, *, is_loss: bool, level: float = LEVEL, doubt: str = ""
) -> Decision:
    """Decide whether the second model is better: by a one-sided p-value below the level.

    A gain that the test does not find is refuted only if the data exclude it: by the 95 % interval,
    or without one by ``is_loss``, whether the two-sided test finds a loss.
    """
    loss = effect.interval.high <= 0 if effect.interval else is_loss
    verdict: Verdict = "undecided"
    reason = doubt
    if not doubt and p < level:
        verdict, reason = "supported", "a gain beyond clustered error"
    elif not doubt and loss:
        verdict, reason = "not supported", "a loss beyond clustered error"
    elif not doubt:
        reason = f"no gain beyond clustered error, and none excluded ({effect.interval_words})"
    return Decision("gain", level, effect, p, verdict, reason, doubt=doubt)


def equivalence(
    effect: Effect, p: float, margin: float, level: float = LEVEL, doubt: str = ""
) -> Decision:
    """Decide whether two models differ by less than a margin, by two one-sided tests.

    Args:
        effect: the difference with its interval of coverage 1 - 2 * level.
        p: the larger p-value of the two tests.
        margin: above 0, a share or in the unit of the effect.
        level: one-sided level of each test.
        doubt: why nothing may be decided; empty if it may.
    """
    return _with_margin("equivalence", effect, p, margin, level, doubt)


def non_inferiority(
    effect: Effect, p: float, margin: float, level: float = LEVEL, doubt: str = ""
) -> Decision:
    """Decide whether the second model is worse by less than a margin, by a one-sided test.

    Arguments are those of :func:`equivalence`; ``p`` is that of the one test.
    """
    return _with_margin("non-inferiority", effect, p, margin, level, doubt)


def _with_margin(
    claim: DecisionClaim,
    effect: Effect,
    p: float,
    margin: float,
    level: float,
    doubt: str,
) -> Decision:
    if doubt or effect.interval is None:
        reason = doubt or f"no interval: {effect.no_interval}"
        return Decision(claim, level, effect, p, "undecided", reason, margin, doubt)
    verdict = within(effect.interval, -margin, margin if claim == "equivalence" else inf)
    where = {"supported": "is within", "not supported": "is beyond", "undecided": "crosses"}
    reason = f"the interval {where[verdict]} the margin of {effect.unit.margin(margin)}"
    return Decision(claim, level, effect, p, verdict, reason, margin)


def within(interval: Interval, lowest: float, highest: float) -> Verdict:
    """Decide whether a difference is within limits: if the whole interval is, or none of it."""
    if interval.high < lowest or interval.low > highest:
        return "not supported"
    inside = lowest <= interval.low and interval.high <= highest
    return "supported" if inside else "undecided"
