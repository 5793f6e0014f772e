"""Two measurements of the same states, side by side: pairs, prompt formats, the ablation."""

from dataclasses import dataclass

import numpy as np

from benchmark.boxes.world import BOXES
from benchmark.pipeline.measure import Measured
from benchmark.scoring.parsing import keeps_format
from benchmark.stats.paired import PairedTest, paired_tests

LEVEL = 0.05

SEED = 20240531
"""Of signs and resamples, so that the same outcomes give the same p-values."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Base and variant with the paired test of each group of queries.

    Groups are ``overall``, ``nontrivial`` (numops >= 1) and each numops that occurs.
    """

    base: Measured
    variant: Measured
    overall: PairedTest
    nontrivial: PairedTest
    by_numops: dict[int, PairedTest]

    def as_json(self) -> dict[str, object]:
        """Counts of both, differences in points of accuracy, p-values."""
        return {
            "base": self.base.summary.as_json(),
            "variant": self.variant.summary.as_json(),
            "difference": {
                "overall": _as_json(self.overall),
                "nontrivial": _as_json(self.nontrivial),
                "by_numops": {str(n): _as_json(test) for n, test in self.by_numops.items()},
            },
        }


def compare(base: Measured, variant: Measured) -> Comparison:
    """Compare two measurements of the same states, by clustered paired tests.

    Raises:
        ValueError: when they are not of the same states, or no query has numops >= 1.
    """
    tests = paired_tests(base.outcomes, variant.outcomes, fresh_rng)
    return Comparison(base, variant, tests.overall, tests.nontrivial, tests.by_numops)


def fresh_rng() -> np.random.Generator:
    """A generator for one test, always the same."""
    return np.random.Generator(np.random.PCG64(SEED))


def better_format(comparison: Comparison) -> tuple[str, bool]:
    """The format with more correct queries, and whether by more than chance (two-sided, 5 %).

    Completion, the simpler one, where they are equal.
    """
    test = comparison.overall
    return "chat" if test.difference > 0 else "completion", test.two_sided < LEVEL


def broken_answers(measured: Measured) -> int:
    """How many answers do not begin with what the answer expression describes."""
    return sum(not keeps_format(text, BOXES) for text in measured.texts)


def _as_json(test: PairedTest) -> dict[str, object]:
    low, high = test.interval
    return {
        "points": round(100 * test.difference, 2),
        "low": round(100 * low, 2),
        "high": round(100 * high, 2),
        "gained": test.gained,
        "lost": test.lost,
        "queries": test.queries,
        "clusters": test.clusters,
        "p_greater": test.greater,
        "p_two_sided": test.two_sided,
    }
