"""What every check is made of, and the findings that several checks share."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import LEVEL, Finding, FindingGroup
from benchmark.hypotheses.results import Decoding
from benchmark.models.registry import registry
from benchmark.stats.published import holm


class Need(BaseModel):
    """A result that a claim needs; the format is the registered one unless it is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    decoding: Decoding = "constrained"
    prompt_format: Literal["registered", "completion", "chat"] = "registered"


class Check(BaseModel):
    """One part of a claim as data: which check, on which models, with which thresholds.

    ``scored`` is false of a check that takes no right answers and so is by no score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    scored: ClassVar[bool] = True

    about: str
    remark: bool = False

    def needs(self) -> list[Need]:
        """The results that it is decided by."""
        raise NotImplementedError

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """What the evidence says of it: a pure function."""
        raise NotImplementedError

    def group(self, findings: Iterable[Finding], *, some: bool = False) -> FindingGroup:
        """The findings as one group, under the part's own name."""
        mode: Literal["all", "some"] = "some" if some else "all"
        return FindingGroup(self.about, tuple(findings), mode, decides=not self.remark)


def of_pairs(pairs: Iterable[str]) -> list[Need]:
    """The two results of each pair, in order, each once."""
    found = (registry().pair(pair_id) for pair_id in pairs)
    keys = dict.fromkeys(key for pair in found for key in (pair.base, pair.variant))
    return [Need(model=key) for key in keys]


def name(model: str) -> str:
    """What the paper calls the model of that key."""
    return registry().model(model).name


def signed(points: float) -> str:
    """A difference in points."""
    return f"{points:+.1f}"


def family(
    differences: Sequence[tuple[str, AccuracyDifference | None]],
    holds: Callable[[AccuracyDifference], bool],
) -> tuple[Finding, ...]:
    """A finding a difference, their p-values adjusted by Holm's method."""
    adjusted = iter(holm([found.p for _, found in differences if found]))
    findings = []
    for what, found in differences:
        if found is None:
            findings.append(nothing(what))
            continue
        p = next(adjusted)
        findings.append(Finding(what, signed(found.points), holds(found), p < LEVEL, found, p))
    return tuple(findings)


def nothing(what: str) -> Finding:
    """What stands for a result that is not there."""
    return Finding(what, "missing", None)


def no_pair(pair_id: str) -> Finding:
    """What stands for a pair of which a model is not there."""
    pair = registry().pair(pair_id)
    return nothing(f"{name(pair.base)} or {name(pair.variant)}")
