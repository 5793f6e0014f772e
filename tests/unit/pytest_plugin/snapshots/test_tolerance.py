"""When outcomes agree: few changes, without a direction, in every group of queries."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmark.pytest_plugin.snapshots.tolerance import flips_by_chance, outcomes_agree
from benchmark.records import Outcome

NUMOPS = (0, 0, 1, 1, 1, 2, 3)
STATES = 400


def _outcomes(flipped: Sequence[tuple[int, int]] = (), states: int = STATES) -> list[Outcome]:
    """Return states that are alternately all right and all wrong, with some queries flipped."""
    right = np.arange(states)[:, None] % 2 == np.zeros(7)
    for state, query in flipped:
        right[state, query] = ~right[state, query]
    return [Outcome(n, NUMOPS, tuple(map(bool, row))) for n, row in enumerate(right)]


def _agree(flipped: Sequence[tuple[int, int]]) -> bool:
    return outcomes_agree(_outcomes(), _outcomes(flipped))


@pytest.mark.parametrize(
    ("queries", "flips", "agree"),
    [
        ((2, 3, 5, 6), 16, True),  # 16 of 2800; 5 of 400 at numops 3 by chance
        ((2, 3, 4), 20, True),  # 1 % of those with numops >= 1
        ((2, 3, 4), 22, False),
        ((0, 1), 8, True),  # 1 % of those with numops 0
        ((0, 1), 10, False),
        ((6,), 10, True),  # more than 1 % of those with numops 3, but not more than by chance
        ((6,), 14, False),
    ],
)
def test_every_group_has_a_limit(queries: Sequence[int], flips: int, agree: bool) -> None:  # noqa: FBT001
    """Changes that balance are counted in all queries, at numops 0, >= 1, and at each numops."""
    flipped = [(n, queries[n // 2 % len(queries)]) for n in range(flips)]
    assert _agree(flipped) is agree


@pytest.mark.parametrize("query", [0, 2, 6])
def test_a_direction_does_not_agree(query: int) -> None:
    """Twelve sequences that all lose have a p-value below 0.001, in any group."""
    lost = [(2 * n, query) for n in range(12)]
    assert _agree(lost[:8])
    assert not _agree(lost)


def test_other_states_are_an_error() -> None:
    """Outcomes of other states cannot be compared."""
    with pytest.raises(ValueError, match=r"different states|shorter|longer"):
        outcomes_agree(_outcomes(), _outcomes(states=STATES - 1))


def test_flips_by_chance() -> None:
    """The limit is the 99.9 % quantile of the binomial distribution, here simulated."""
    rng = np.random.default_rng(0)
    for queries in (1, 30, 400, 5000):
        flips = rng.binomial(queries, 0.01, size=400_000)
        limit = flips_by_chance(queries)
        assert (flips > limit).mean() <= 0.0013
        assert (flips > limit - 1).mean() > 0.0007
