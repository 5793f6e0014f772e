"""Bisection and canary over releases that are drawn: false alarms, and what is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from scipy import stats

from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.record import Fingerprint
from benchmark.runs.environment import Environment
from benchmark.upgrades.bisection import bisect
from benchmark.upgrades.canary import canary
from benchmark.upgrades.flakiness import LEVEL
from benchmark.upgrades.probes import Probe

RELEASES = tuple(str(number) for number in range(8))
RUNS = 120


class NoMaker:
    """Makes nothing: records are drawn."""

    def make(self, requirements: Sequence[str]) -> None:
        """Nothing."""


@dataclass
class DrawnBench:
    """Every process of a release draws its prompt, with the weights of that release."""

    random: Random
    weights: Mapping[str, Sequence[float]]
    maker: NoMaker = field(default_factory=NoMaker)
    probe: Probe = field(default_factory=lambda: Probe("vanilla", ("model",), ""))
    reasons: dict[str, str] = field(default_factory=dict)
    drawn: dict[object, Fingerprint] = field(default_factory=dict)

    def record(self, requirements: Sequence[str]) -> Fingerprint:
        """That of the first process."""
        return self.again(requirements, 1)

    def again(self, requirements: Sequence[str], turn: int = 2) -> Fingerprint:
        """That of another process, the same whenever it is asked for."""
        key = (*requirements, turn)
        if key not in self.drawn:
            weights = self.weights[requirements[0].partition("==")[2] if requirements else ""]
            (prompt,) = self.random.choices(range(len(weights)), weights)
            stages = {
                "dataset": StageRecord((digest(["d"]),)),
                "prompt": StageRecord((digest([prompt]),)),
            }
            self.drawn[key] = Fingerprint(Environment(), stages)
        return self.drawn[key]

    def follow(self, requirements: Sequence[str]) -> None:
        """Vanilla use follows no answers."""

    def say(self, line: str) -> None:
        """Nothing is said."""


def _bench(seed: int, weights: Mapping[str, Sequence[float]]) -> Any:  # noqa: ANN401
    return DrawnBench(Random(seed), weights)  # noqa: S311  # no secret


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.8, 0.2), (0.25,) * 4], ids=str)
def test_releases_that_are_drawn_alike(weights: tuple[float, ...]) -> None:
    """No move is found in more than one search of a hundred, few variants or many."""
    alike = dict.fromkeys(RELEASES, weights)
    alarms = sum(bool(bisect("x", RELEASES, _bench(seed, alike)).steps) for seed in range(RUNS))
    assert stats.binomtest(alarms, RUNS, LEVEL, alternative="greater").pvalue > 0.001


def test_upgrades_that_are_drawn_alike() -> None:
    """Nor is an upgrade blamed."""
    weights = {"": (0.5, 0.5), "2": (0.5, 0.5)}
    found = [canary(("x==2",), [_bench(seed, weights)], print) for seed in range(RUNS)]
    alarms = sum(each.trials[0].moved for each in found)
    assert stats.binomtest(alarms, RUNS, LEVEL, alternative="greater").pvalue > 0.001


def test_the_release_that_ended_chance_is_found() -> None:
    """Two variants up to it and a third one since: named in nearly every search."""
    weights = {name: (0.5, 0.5, 0) if int(name) < 5 else (0, 0, 1) for name in RELEASES}
    found = [bisect("x", RELEASES, _bench(seed, weights)) for seed in range(40)]
    named = [[step.after for step in each.steps] for each in found]
    assert sum(each == ["5"] for each in named) >= 38
