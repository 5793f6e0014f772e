"""False alarms and power of `bisect` and `canary`, on releases whose records are drawn."""

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
from benchmark.upgrades.flakiness import FLAKY_LEVEL
from benchmark.upgrades.probes import Probe

RELEASES = tuple(str(number) for number in range(8))
RUNS = 60


class NoBuilder:
    """A builder without environments, since records are drawn."""

    def build(self, requirements: Sequence[str]) -> None:
        """Build nothing."""


@dataclass
class DrawnBench:
    """A workbench whose processes draw their prompt with the weights of the release."""

    random: Random
    weights: Mapping[str, Sequence[float]]
    builder: NoBuilder = field(default_factory=NoBuilder)
    probe: Probe = field(default_factory=lambda: Probe("vanilla", ("model",), ""))
    reasons: dict[str, str] = field(default_factory=dict)
    drawn: dict[object, Fingerprint] = field(default_factory=dict)

    def record(self, requirements: Sequence[str]) -> Fingerprint:
        """Return the record of the first process."""
        return self.record_again(requirements, 1)

    def record_again(self, requirements: Sequence[str], process: int = 2) -> Fingerprint:
        """Return the record of another process, always the same one."""
        key = (*requirements, process)
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
        """Do nothing: vanilla use follows no answers."""

    def say(self, line: str) -> None:
        """Do nothing."""


def _bench(seed: int, weights: Mapping[str, Sequence[float]]) -> Any:  # noqa: ANN401
    return DrawnBench(Random(seed), weights)  # noqa: S311  # no secret


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.8, 0.2), (0.25,) * 4], ids=str)
def test_false_alarms_of_bisect(weights: tuple[float, ...]) -> None:
    """At most one search in a hundred finds a change in releases that are drawn alike."""
    alike = dict.fromkeys(RELEASES, weights)
    alarms = sum(bool(bisect("x", RELEASES, _bench(seed, alike)).changes) for seed in range(RUNS))
    assert stats.binomtest(alarms, RUNS, FLAKY_LEVEL, alternative="greater").pvalue > 0.001


def test_false_alarms_of_canary() -> None:
    """At most one canary in a hundred blames an upgrade that is drawn alike."""
    weights = {"": (0.5, 0.5), "2": (0.5, 0.5)}
    results = [canary(("x==2",), [_bench(seed, weights)], print) for seed in range(RUNS)]
    alarms = sum(result.probes[0].changed for result in results)
    assert stats.binomtest(alarms, RUNS, FLAKY_LEVEL, alternative="greater").pvalue > 0.001


def test_power_of_bisect() -> None:
    """A release with a new variant is named in nearly every search."""
    weights = {name: (0.5, 0.5, 0) if int(name) < 5 else (0, 0, 1) for name in RELEASES}
    results = [bisect("x", RELEASES, _bench(seed, weights)) for seed in range(20)]
    named = [[change.after for change in result.changes] for result in results]
    assert sum(releases == ["5"] for releases in named) >= 19
