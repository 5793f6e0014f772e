"""The claims as a catalogue, and the audit of all of them on a set of results."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from benchmark.hypotheses.checks import Need
from benchmark.hypotheses.evidence import Evidence
from benchmark.hypotheses.findings import ClaimVerdict
from benchmark.hypotheses.model_checks import (
    Best,
    BetterFormat,
    BreaksFormatMore,
    ConstraintHelps,
    NotAboveRandom,
    Reaches,
    Scores,
)
from benchmark.hypotheses.pair_checks import (
    BaseAheadAtMost,
    Gains,
    GainsAtEach,
    LargerGain,
    MostOfGain,
    ShrinkingGain,
    SmallGain,
)
from benchmark.hypotheses.results import Results, Score

Check = Annotated[
    BaseAheadAtMost
    | Best
    | BetterFormat
    | BreaksFormatMore
    | ConstraintHelps
    | Gains
    | GainsAtEach
    | LargerGain
    | MostOfGain
    | NotAboveRandom
    | Reaches
    | Scores
    | ShrinkingGain
    | SmallGain,
    Field(discriminator="check"),
]


class Claim(BaseModel):
    """A claim of the paper: what it says in our words, where, how we read it, and its parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    statement: str
    place: str
    reading: str
    parts: tuple[Check, ...] = Field(min_length=1)

    @property
    def needs(self) -> list[Need]:
        """The results that its deciding parts need, each once."""
        return list(
            dict.fromkeys(n for part in self.parts if not part.remark for n in part.needs())
        )

    @property
    def scored(self) -> bool:
        """Whether it is about right answers, which a score counts."""
        return all(part.scored for part in self.parts)

    def judge(self, evidence: Evidence) -> ClaimVerdict:
        """The verdict on the evidence: a pure function of both."""
        return ClaimVerdict(tuple(group for part in self.parts for group in part.groups(evidence)))


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim with its verdict, and the score that it is by; None if it is by no score.

    ``other`` is the verdict by ``set``, if that decides the claim differently.
    """

    claim: Claim
    verdict: ClaimVerdict
    score: Score | None = "exact"
    other: ClaimVerdict | None = None

    def as_json(self) -> dict[str, object]:
        """The claim, what it needs, the verdict with all findings, and what ``set`` says else."""
        return {
            "id": self.claim.id,
            "statement": self.claim.statement,
            "place": self.claim.place,
            "reading": self.claim.reading,
            "needs": [need.model_dump() for need in self.claim.needs],
            "score": self.score,
            **self.verdict.as_json(),
            "other": self.other and {"score": "set", **self.other.as_json()},
        }


@cache
def claims() -> dict[str, Claim]:
    """The claims by identifier, in the paper's order of experiments."""
    text = files("benchmark.hypotheses").joinpath("claims.toml").read_text(encoding="utf-8")
    found = [Claim.model_validate(fields) for fields in tomllib.loads(text)["claims"]]
    return {claim.id: claim for claim in found}


def audit(results: Results) -> list[JudgedClaim]:
    """Decide every claim on the results, by the score that is comparable with the paper's figures.

    That is ``exact``, or ``set`` where one of the results that the claim needs has no other.
    """
    evidence: dict[Score, Evidence] = {by: Evidence(results.by(by)) for by in ("exact", "set")}
    return [_judged(claim, evidence) for claim in claims().values()]


def _judged(claim: Claim, evidence: Mapping[Score, Evidence]) -> JudgedClaim:
    known = [by for by, some in evidence.items() if _all_by(by, claim, some.results)]
    score = known[0] if known else "set"
    verdict = claim.judge(evidence[score])
    if not claim.scored:
        return JudgedClaim(claim, verdict, None)
    other = claim.judge(evidence["set"]) if known == ["exact", "set"] else verdict
    return JudgedClaim(claim, verdict, score, other if other.status != verdict.status else None)


def _all_by(score: Score, claim: Claim, results: Results) -> bool:
    """Whether all results that the claim is about are by that score."""
    needed = {(need.model, need.decoding) for part in claim.parts for need in part.needs()}
    return all(
        entry.score == score
        for entry in results.entries
        if (entry.model, entry.setting.decoding) in needed
    )
