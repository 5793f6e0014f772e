"""How much the verdicts depend on what was chosen: design effect, margins, baseline reading, score.

One choice is changed at a time; the alternatives are data (``sensitivity.toml``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmark.hypotheses.claims import Claim, claims
from benchmark.hypotheses.evidence import Evidence
from benchmark.hypotheses.pair_checks import SmallGain
from benchmark.hypotheses.results import Results
from benchmark.package_data import package_toml
from benchmark.stats.decision import Verdict


@dataclass(frozen=True, slots=True)
class Variation:
    """A choice that is changed, and its value; without a choice the verdicts as they are."""

    choice: str
    value: str
    judge: Callable[[Claim, Results], Verdict]


@dataclass(frozen=True, slots=True)
class VariedClaim:
    """A claim's verdict under each variation, the first without any change."""

    claim: Claim
    statuses: tuple[Verdict, ...]

    @property
    def varies(self) -> bool:
        """Return whether the verdict is not always the same."""
        return len(set(self.statuses)) > 1


SCORE = "score"
"""The choice of the score, which only results that were measured have."""


def variations(results: Results | None = None) -> list[Variation]:
    """Return the variations, the verdicts as they are first.

    The last one is by ``set`` instead of ``exact``, if there are results that have both.
    """
    own = list(_variations())
    entries = results.entries if results else ()
    if any(entry.by("set") and entry.by("exact") for entry in entries):
        own.append(Variation(SCORE, "set", lambda claim, r: _status(claim, Evidence(r.by("set")))))
    return own


def vary(results: Results) -> list[VariedClaim]:
    """Decide every claim by ``exact`` under every variation."""
    by_exact, chosen = results.by("exact"), variations(results)
    return [
        VariedClaim(claim, tuple(varied.judge(claim, by_exact) for varied in chosen))
        for claim in claims().values()
    ]


SIGNS: dict[Verdict, str] = {"supported": "+", "not supported": "-", "undecided": "?"}
"""Verdicts as signs, in tables and in ``published_sensitivity.toml``."""


def published_verdicts() -> dict[str, str]:
    """Return the verdicts on the published results by claim: a sign per variation."""
    return dict(package_toml("hypotheses/published_sensitivity.toml")["verdicts"])


def _variations() -> Iterator[Variation]:
    data = package_toml("hypotheses/sensitivity.toml")
    yield Variation("", "as is", lambda claim, results: _status(claim, Evidence(results)))
    for factor in data["design_effects"]:
        yield Variation("effect", f"{factor:g}", _with_design_effect(factor))
    for points in data["margins"]:
        yield Variation("margin", f"{points:g}", _with_margin(points))
    for reading, percent in data["readings"].items():
        yield Variation("random", reading, _with_chance(dict(enumerate(percent))))


def _status(claim: Claim, evidence: Evidence) -> Verdict:
    return claim.judge(evidence).status


def _with_design_effect(factor: float) -> Callable[[Claim, Results], Verdict]:
    return lambda claim, results: _status(claim, Evidence(results, factor))


def _with_margin(points: float) -> Callable[[Claim, Results], Verdict]:
    def judge(claim: Claim, results: Results) -> Verdict:
        parts = [
            part.model_copy(update={"points": points}) if isinstance(part, SmallGain) else part
            for part in claim.parts
        ]
        return _status(claim.model_copy(update={"parts": parts}), Evidence(results))

    return judge


def _with_chance(percent: dict[int, float]) -> Callable[[Claim, Results], Verdict]:
    rates = {numops: value / 100 for numops, value in percent.items()}

    def judge(claim: Claim, results: Results) -> Verdict:
        entries = tuple(replace(entry, chance=rates) for entry in results.entries)
        return _status(claim, Evidence(replace(results, entries=entries)))

    return judge
