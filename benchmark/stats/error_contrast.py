"""Which types of error became more or less frequent between two sets of answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from benchmark.records import Outcome
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.stats.paired import PairedTest, paired_test
from benchmark.stats.published import holm


@dataclass(frozen=True, slots=True)
class TypeContrast:
    """The change of one type of error from base to variant.

    ``test`` is the paired test of "the answer has this type": its ``gained`` are the queries that
    have it only in the variant. ``adjusted`` is its two-sided p-value by Holm over all types.
    """

    test: PairedTest
    adjusted: float

    @property
    def changed(self) -> bool:
        """Whether any query got or lost the type."""
        return bool(self.test.gained or self.test.lost)

    @property
    def growth(self) -> int:
        """Queries with this type in the variant minus those in the base."""
        return self.test.gained - self.test.lost

    @property
    def detectable(self) -> int | None:
        """The smallest growth or decline, in queries, that the test finds with a power of 80 %.

        By a p-value that is not adjusted; None if it is unknown.
        """
        share = self.test.detectable
        return None if share is None else ceil(share * self.test.queries)

    def as_json(self) -> dict[str, object]:
        """Return new and past queries of the type, growth, its power, and p-values."""
        return {
            "new": self.test.gained,
            "past": self.test.lost,
            "growth": self.growth,
            "detectable": self.detectable,
            "p": self.test.two_sided,
            "p_holm": self.adjusted,
        }


def contrast_errors(
    outcomes: Sequence[Outcome],
    base: Sequence[str],
    variant: Sequence[str],
    rng: Callable[[], np.random.Generator],
) -> dict[str, TypeContrast]:
    """Compare the types of error of two sets of answers to the same states.

    Args:
        outcomes: the outcomes of either, for sequences and numops.
        base: one letter per query of each state, see
            :func:`benchmark.scoring.error_types.error_codes`.
        variant: the same of the other answers.
        rng: makes the generator of each test.

    Returns:
        A contrast by type, for the types that occur in one of them.
    """
    occurring = set().union(*base, *variant)
    tests = {
        error.name: paired_test(
            list(_having(error.code, outcomes, base)),
            list(_having(error.code, outcomes, variant)),
            rng(),
            lambda _: True,
        )
        for error in ERROR_TYPES
        if error.code in occurring
    }
    adjusted = holm([test.two_sided for test in tests.values()])
    return {
        name: TypeContrast(test, p) for (name, test), p in zip(tests.items(), adjusted, strict=True)
    }


def counted(codes: Iterable[str]) -> Mapping[str, int]:
    """Return the number of queries by type of error; every type is a key."""
    letters = "".join(codes)
    return {error.name: letters.count(error.code) for error in ERROR_TYPES}


def _having(code: str, outcomes: Sequence[Outcome], states: Sequence[str]) -> Iterable[Outcome]:
    """Yield as outcomes whether each query has the type with this code."""
    for outcome, codes in zip(outcomes, states, strict=True):
        yield Outcome(outcome.sample_id, outcome.numops, tuple(letter == code for letter in codes))
