"""The claims as a catalogue, and the audit of all of them on a set of results."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from benchmark.hypotheses.evidence import Evidence
from benchmark.hypotheses.findings import Verdict
from benchmark.hypotheses.model_checks import (
    Best,
    BetterFormat,
    ConstraintHelps,
    NotAboveRandom,
    Reaches,
    Scores,
)
from benchmark.hypotheses.pair_checks import (
    BaseAheadAtMost,
    Gains,
    GainsAtEach,
    MostOfGain,
    ShrinkingGain,
    SmallGain,
)
from benchmark.hypotheses.parts import Need
from benchmark.hypotheses.results import Results

Check = Annotated[
    BaseAheadAtMost
    | Best
    | BetterFormat
    | ConstraintHelps
    | Gains
    | GainsAtEach
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

    def judge(self, evidence: Evidence) -> Verdict:
        """The verdict on the evidence: a pure function of both."""
        return Verdict(tuple(group for part in self.parts for group in part.groups(evidence)))


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim with its verdict."""

    claim: Claim
    verdict: Verdict

    def as_json(self) -> dict[str, object]:
        """The claim, what it needs, and the verdict with all findings."""
        return {
            "id": self.claim.id,
            "statement": self.claim.statement,
            "place": self.claim.place,
            "reading": self.claim.reading,
            "needs": [need.model_dump() for need in self.claim.needs],
            **self.verdict.as_json(),
        }


@cache
def claims() -> dict[str, Claim]:
    """The claims by identifier, in the paper's order of experiments."""
    text = files("benchmark.hypotheses").joinpath("claims.toml").read_text(encoding="utf-8")
    found = [Claim.model_validate(fields) for fields in tomllib.loads(text)["claims"]]
    return {claim.id: claim for claim in found}


def audit(results: Results) -> list[Judged]:
    """Every claim decided on the results."""
    evidence = Evidence(results)
    return [Judged(claim, claim.judge(evidence)) for claim in claims().values()]
