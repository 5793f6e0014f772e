"""Paired comparison of two measurements: model pairs, prompt formats, the ablation."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.runs.run_result import RunResult
from benchmark.scoring.counts import groups_as_json
from benchmark.scoring.outcomes import MAIN, main_first
from benchmark.stats.constants import fresh_rng
from benchmark.stats.paired import PairedTest, PairedTests, paired_tests
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Scored, summaries_as_json
from benchmark.tasks import task_of


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Base and variant with the paired tests of each group of queries, by every score.

    Groups are ``overall``, ``nontrivial`` (numops >= 1) and each numops that occurs. Properties
    of these names return the tests by the main score.
    """

    base: RunResult
    variant: RunResult
    tests: Mapping[str, PairedTests]

    @property
    def overall(self) -> PairedTest:
        """Return the test of all queries by the main score."""
        return self.tests[MAIN].overall

    @property
    def nontrivial(self) -> PairedTest:
        """Return the test of the queries with numops >= 1 by the main score."""
        return self.tests[MAIN].nontrivial

    @property
    def by_numops(self) -> dict[int, PairedTest]:
        """Return the test of each numops by the main score."""
        return self.tests[MAIN].by_numops

    def as_json(self) -> dict[str, object]:
        """Return counts of both models, differences in points of accuracy, p-values, and a warning.

        Values by ``set`` are at the top level, values by another score under its name.
        """
        differences = {by: groups_as_json(tests, _as_json) for by, tests in self.tests.items()}
        return {
            "base": _summaries_as_json(self.base),
            "variant": _summaries_as_json(self.variant),
            "difference": main_first(differences),
            "warning": few_states_warning(self.nontrivial.states) or None,
        }


def compare(base: RunResult, variant: RunResult) -> PairedComparison:
    """Compare two measurements of the same states by clustered paired tests.

    Raises:
        ValueError: if they are of different states, or no query has numops >= 1.
    """
    return PairedComparison(base, variant, paired_tests_of(base.scores, variant.scores))


def paired_tests_of(
    base: Mapping[str, Scored], variant: Mapping[str, Scored]
) -> dict[str, PairedTests]:
    """Compare what two models got right on the same states, by every score of the base.

    Raises:
        ValueError: as :func:`compare`.
    """
    return {
        by: paired_tests(scored.outcomes, variant[by].outcomes, fresh_rng)
        for by, scored in base.items()
    }


def better_format(comparison: PairedComparison) -> tuple[str, bool]:
    """Return the format with more correct queries, and whether significantly (two-sided, 5 %).

    In a tie it is completion, the simpler format.
    """
    test = comparison.overall
    return "chat" if test.difference > 0 else "completion", test.sign != 0


def broken_answers(measured: RunResult) -> int:
    """Count the answers that do not begin with a match of the answer expression."""
    task = task_of(measured.identity)
    return sum(not task.keeps_format(text) for text in measured.texts)


def _summaries_as_json(measured: RunResult) -> dict[str, object]:
    return summaries_as_json({by: scored.summary for by, scored in measured.scores.items()})


def _as_json(test: PairedTest) -> dict[str, object]:
    interval = test.interval
    low, high = (round(100 * end, 2) for end in interval) if interval else (None, None)
    detectable = test.detectable
    return {
        "points": round(100 * test.difference, 2),
        "low": low,
        "high": high,
        **({"no_interval": test.no_interval} if test.no_interval else {}),
        "detectable": None if detectable is None else round(100 * detectable, 2),
        "gained": test.gained,
        "lost": test.lost,
        "queries": test.queries,
        "clusters": test.clusters,
        "p_greater": test.greater,
        "p_two_sided": test.two_sided,
    }
