"""Two measurements of the same states, side by side: pairs, prompt formats, the ablation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.runs.measure import RunResult
from benchmark.scoring.outcomes import MAIN, main_first
from benchmark.stats.paired import LEVEL, PairedTest, PairedTests, paired_tests
from benchmark.stats.summary import summaries_as_json
from benchmark.tasks import task_of

SEED = 20240531
"""Of signs and resamples, so that the same outcomes give the same p-values."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Base and variant with the paired tests of each group of queries, by every score.

    Groups are ``overall``, ``nontrivial`` (numops >= 1) and each numops that occurs. The main
    score's are at hand under these names.
    """

    base: RunResult
    variant: RunResult
    tests: Mapping[str, PairedTests]

    @property
    def overall(self) -> PairedTest:
        """The test of all queries by the main score."""
        return self.tests[MAIN].overall

    @property
    def nontrivial(self) -> PairedTest:
        """The test of the queries with numops >= 1 by the main score."""
        return self.tests[MAIN].nontrivial

    @property
    def by_numops(self) -> dict[int, PairedTest]:
        """The test of each numops by the main score."""
        return self.tests[MAIN].by_numops

    def as_json(self) -> dict[str, object]:
        """Counts of both, differences in points of accuracy, p-values.

        Those by ``set`` are there as they are, those by other scores under their names.
        """
        differences = {by: _tests_as_json(tests) for by, tests in self.tests.items()}
        return {
            "base": _summaries_as_json(self.base),
            "variant": _summaries_as_json(self.variant),
            "difference": main_first(differences),
        }


def compare(base: RunResult, variant: RunResult) -> PairedComparison:
    """Compare two measurements of the same states, by clustered paired tests.

    Raises:
        ValueError: when they are not of the same states, or no query has numops >= 1.
    """
    pairs = {by: (base.scores[by], variant.scores[by]) for by in base.scores}
    tests = {
        by: paired_tests(one.outcomes, other.outcomes, fresh_rng)
        for by, (one, other) in pairs.items()
    }
    return PairedComparison(base, variant, tests)


def fresh_rng() -> np.random.Generator:
    """A generator for one test, always the same."""
    return np.random.Generator(np.random.PCG64(SEED))


def better_format(comparison: PairedComparison) -> tuple[str, bool]:
    """The format with more correct queries, and whether by more than chance (two-sided, 5 %).

    Completion, the simpler one, where they are equal.
    """
    test = comparison.overall
    return "chat" if test.difference > 0 else "completion", test.two_sided < LEVEL


def broken_answers(measured: RunResult) -> int:
    """How many answers do not begin with what the answer expression describes."""
    task = task_of(measured.identity)
    return sum(not task.keeps_format(text) for text in measured.texts)


def _summaries_as_json(measured: RunResult) -> dict[str, object]:
    return summaries_as_json({by: scored.summary for by, scored in measured.scores.items()})


def _tests_as_json(tests: PairedTests) -> dict[str, object]:
    return {
        "overall": _as_json(tests.overall),
        "nontrivial": _as_json(tests.nontrivial),
        "by_numops": {str(n): _as_json(test) for n, test in tests.by_numops.items()},
    }


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
