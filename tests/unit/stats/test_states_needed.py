"""The number of states that a comparison needs, compared with searches and observed changes."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.errors import SettingError
from benchmark.stats.differences import clustered_difference
from benchmark.stats.states_needed import (
    Assumption,
    few_states_warning,
    queries_needed,
    states_needed,
)
from benchmark.tasks import TASKS


@pytest.mark.parametrize("effect", [0.002, 0.01, 0.05])
@pytest.mark.parametrize(("changed", "together"), [(0.48, 1.2), (0.05, 1.4), (0.0, 1.0)])
def test_queries_match_a_search(effect: float, changed: float, together: float) -> None:
    """The first number of queries at which the effect's score reaches both quantiles."""
    needed = norm.ppf(0.975) + norm.ppf(0.8)
    queries = 1
    while True:
        changes = together * (changed + effect) * queries + together**2
        if effect * queries / sqrt(changes) >= needed:
            break
        queries += 1
    assert queries - 1 < queries_needed(effect, Assumption("", changed, together, "")) <= queries


def test_the_number_agrees_with_what_a_comparison_could_have_seen() -> None:
    """With as many queries as needed, and changes as assumed, the effect is just detectable."""
    assumption = Assumption("", 0.1, 1.0, "")
    clusters = round(queries_needed(0.01, assumption) / 7)
    changes = np.zeros((clusters, 7), dtype=np.int64)
    changes.flat[:: 10 * 2], changes.flat[10 :: 10 * 2] = 1, -1
    seen = clustered_difference(changes.sum(axis=1), np.full(clusters, 7)).detectable(0.025)
    assert seen == pytest.approx(0.01, rel=0.03)


def test_the_717_states_show_about_four_points() -> None:
    """Unrelated answers need about 717 states for 3.6 points, and 47 if no outcome changes."""
    needed = {n.assumption.name: n.states for n in states_needed(3.6)}
    assert needed["unrelated"] == pytest.approx(717, rel=0.03)
    assert needed["same"] == 47
    numbers = list(needed.values())
    assert numbers == sorted(numbers, reverse=True)


def test_every_task_states_its_queries() -> None:
    """Each task has a number of queries per state; a task without one is refused."""
    for task in TASKS:
        assert states_needed(1, task)
    with pytest.raises(SettingError, match="a state of the task shelves has"):
        states_needed(1, "shelves")


def test_the_comparison_of_the_fewest_states_is_warned_of() -> None:
    """A warning names the smallest known number below 64; 0 is not known."""
    assert few_states_warning() == few_states_warning(0, 64, 717) == ""
    assert few_states_warning(1).startswith("warning: 1 state shows only large effects; ")
    assert few_states_warning(717, 12, 0, 63).startswith("warning: 12 states show only large ")
