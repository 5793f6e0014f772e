"""How many states a comparison of two models needs to detect an effect, and which are few.

The equation is that of :meth:`benchmark.stats.differences.ClusteredDifference.detectable`, solved
for the number of queries, with normal quantiles and with assumptions in place of observed changes.
"""

from dataclasses import asdict, dataclass
from math import ceil, sqrt

from benchmark.errors import SettingError
from benchmark.package_data import package_toml
from benchmark.stats.constants import (
    FEW_STATES,
    MIN_CLUSTERS_FOR_INTERVAL,
    NORMAL_80,
    NORMAL_975,
)


@dataclass(frozen=True, slots=True)
class Assumption:
    """What is assumed about the outcomes of two models at numops >= 1.

    Attributes:
        name: a short name.
        changed: share of queries whose outcomes differ without an effect (0..1).
        together: how many changed queries change together, at least 1.
        source: where the figures are from.
    """

    name: str
    changed: float
    together: float
    source: str


@dataclass(frozen=True, slots=True)
class StatesNeeded:
    """The number of states that are needed under an assumption."""

    assumption: Assumption
    states: int

    def as_json(self) -> dict[str, object]:
        """Return the number with its assumption."""
        return {**asdict(self.assumption), "states": self.states}


def few_states_warning(*numbers: int) -> str:
    """Return the warning of comparisons of few states, in one line; empty if none has few.

    Args:
        numbers: the number of states of each comparison; 0 if it is unknown.
    """
    few = [states for states in numbers if 0 < states < FEW_STATES]
    if not few:
        return ""
    noun = "state shows" if min(few) == 1 else "states show"
    return f"warning: {min(few)} {noun} only large effects; measure {FEW_STATES} or more"


def states_needed(points: float, task: str = "boxes") -> list[StatesNeeded]:
    """Return the states needed to detect an effect with a power of 80 %, two-sided at 5 %.

    Args:
        points: the effect in points of accuracy at numops >= 1, above 0.
        task: the task, which decides how many queries of a state have numops >= 1.

    Returns:
        One number per assumption of ``states_needed.toml``, the largest share of changes first, and
        at least as many as sequences are needed for an interval.

    Raises:
        SettingError: for a task whose number of queries is not in the file.
    """
    data = package_toml("stats/states_needed.toml")
    if task not in data["queries_per_state"]:
        raise SettingError(
            f"--detect does not know how many queries a state of the task {task} has; add it to "
            "benchmark/stats/states_needed.toml, or leave --detect out"
        )
    assumptions = [Assumption(name, **values) for name, values in data["assumptions"].items()]
    per_state = float(data["queries_per_state"][task])
    states = (ceil(queries_needed(points / 100, one) / per_state) for one in assumptions)
    return [
        StatesNeeded(assumption, max(number, MIN_CLUSTERS_FOR_INTERVAL))
        for assumption, number in zip(assumptions, states, strict=True)
    ]


def queries_needed(effect: float, assumption: Assumption) -> float:
    """Return the number of queries with which an effect (0..1) is the smallest detectable one."""
    factor = NORMAL_975 + NORMAL_80
    step = assumption.together
    half = factor**2 * step * (assumption.changed + effect) / 2
    return (half + sqrt(half**2 + (factor * step * effect) ** 2)) / effect**2
