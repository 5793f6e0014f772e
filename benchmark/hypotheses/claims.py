"""The catalogue of claims, and the audit of all claims on a set of results."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import Field

from benchmark.hypotheses.checks import RequiredResult
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
from benchmark.hypotheses.results import Results, ScoreName
from benchmark.models.validation import Entry, Items
from benchmark.package_data import package_toml

AnyCheck = Annotated[
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


class Claim(Entry):
    """A claim of the paper in our words, its place in the paper, our reading, and its parts."""

    id: str
    statement: str
    place: str
    reading: str
    parts: Items[AnyCheck] = Field(min_length=1)

    @property
    def required_results(self) -> list[RequiredResult]:
        """The results that its deciding parts need, each once."""
        return list(
            dict.fromkeys(
                n for part in self.parts if not part.remark for n in part.required_results()
            )
        )

    @property
    def scored(self) -> bool:
        """Return whether the claim is about correct answers, which depend on a score."""
        return all(part.scored for part in self.parts)

    def judge(self, evidence: Evidence) -> ClaimVerdict:
        """Decide the claim on the evidence: a pure function of both."""
        return ClaimVerdict(tuple(group for part in self.parts for group in part.groups(evidence)))


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim with its verdict.

    Attributes:
        verdict: the verdict by ``score``.
        score: the score that decides; None if the claim does not depend on a score.
        other: the verdict by ``set``, if it differs.
    """

    claim: Claim
    verdict: ClaimVerdict
    score: ScoreName | None = "exact"
    other: ClaimVerdict | None = None

    def as_json(self) -> dict[str, object]:
        """Return the claim, the results it requires, the verdict and all findings."""
        return {
            "id": self.claim.id,
            "statement": self.claim.statement,
            "place": self.claim.place,
            "reading": self.claim.reading,
            "needs": [required.model_dump() for required in self.claim.required_results],
            "score": self.score,
            **self.verdict.as_json(),
            "other": self.other and {"score": "set", **self.other.as_json()},
        }


@cache
def claims() -> dict[str, Claim]:
    """Return the claims by identifier, in the paper's order of experiments."""
    catalogue = [
        Claim.model_validate(fields) for fields in package_toml("hypotheses/claims.toml")["claims"]
    ]
    return {claim.id: claim for claim in catalogue}


def audit(results: Results) -> list[JudgedClaim]:
    """Decide every claim on the results, by the score that is comparable with the paper's figures.

    That score is ``exact``, or ``set`` if a result that the claim requires has no other.
    """
    evidence: dict[ScoreName, Evidence] = {by: Evidence(results.by(by)) for by in ("exact", "set")}
    return [_judged(claim, evidence) for claim in claims().values()]


def _judged(claim: Claim, evidence: Mapping[ScoreName, Evidence]) -> JudgedClaim:
    scores = [by for by, tests in evidence.items() if _all_by(by, claim, tests.results)]
    score = scores[0] if scores else "set"
    verdict = claim.judge(evidence[score])
    if not claim.scored:
        return JudgedClaim(claim, verdict, None)
    other = claim.judge(evidence["set"]) if scores == ["exact", "set"] else verdict
    return JudgedClaim(claim, verdict, score, other if other.status != verdict.status else None)


def _all_by(score: ScoreName, claim: Claim, results: Results) -> bool:
    """Return whether all results that the claim is about are by that score."""
    required = {(r.model, r.decoding) for part in claim.parts for r in part.required_results()}
    return all(
        entry.score == score
        for entry in results.entries
        if (entry.model, entry.setting.decoding) in required
    )
