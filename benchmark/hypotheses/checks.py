"""The base class of checks, and findings that several checks share."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Literal

from benchmark.hypotheses.evidence import AccuracyDifference, Evidence
from benchmark.hypotheses.findings import Finding, FindingGroup
from benchmark.hypotheses.results import Decoding
from benchmark.models.registry import registry
from benchmark.models.validation import Entry
from benchmark.stats.points import signed
from benchmark.stats.published import holm


class RequiredResult(Entry):
    """A result that a claim requires; ``registered`` is the prompt format of the registry."""

    model: str
    decoding: Decoding = "constrained"
    prompt_format: Literal["registered", "completion", "chat"] = "registered"


class Check(Entry):
    """One part of a claim as data: the check, its models or pairs, and its thresholds.

    ``scored`` is False for a check that does not count correct answers. ``remark`` is True for a
    part that does not decide the claim.
    """

    scored: ClassVar[bool] = True

    about: str
    remark: bool = False

    def required_results(self) -> list[RequiredResult]:
        """Return the results that decide the check."""
        raise NotImplementedError

    def groups(self, evidence: Evidence) -> list[FindingGroup]:
        """Evaluate the check on the evidence: a pure function."""
        raise NotImplementedError

    def group(self, findings: Iterable[Finding], *, some: bool = False) -> FindingGroup:
        """Return the findings as one group; with ``some``, one that holds is enough."""
        mode: Literal["all", "some"] = "some" if some else "all"
        return FindingGroup(self.about, tuple(findings), mode, decides=not self.remark)


def required_for_pairs(pairs: Iterable[str]) -> list[RequiredResult]:
    """Return the results of both models of each pair, in order, without repetition."""
    registered = (registry().pair(pair_id) for pair_id in pairs)
    keys = dict.fromkeys(key for pair in registered for key in (pair.base, pair.variant))
    return [RequiredResult(model=key) for key in keys]


def model_name(model: str) -> str:
    """Return the paper's name of a model from its registry key."""
    return registry().model(model).name


def holm_findings(
    differences: Sequence[tuple[str, AccuracyDifference | None]],
    holds: Callable[[AccuracyDifference], bool],
) -> tuple[Finding, ...]:
    """Return one finding per difference, with p-values adjusted by Holm's method.

    Args:
        differences: what each difference is about, and the difference (None if missing).
        holds: whether a difference agrees with the claim.
    """
    adjusted = iter(holm([difference.p for _, difference in differences if difference]))
    findings = []
    for what, difference in differences:
        if difference is None:
            findings.append(missing_result(what))
            continue
        p = next(adjusted)
        figure = signed(difference.points)
        findings.append(finding_of(what, figure, difference, holds=holds(difference), p=p))
    return tuple(findings)


def finding_of(
    what: str,
    figure: str,
    difference: AccuracyDifference,
    *,
    holds: bool,
    p: float | None = None,
) -> Finding:
    """Return the finding of a tested difference, beyond error if the test is significant.

    ``p`` is adjusted for multiple testing; by default it is the difference's own.
    """
    decision = difference.decision if p is None else difference.decision.with_p(p)
    doubt = "" if decision.verdict == "supported" else decision.reason
    return Finding(what, figure, holds, doubt, difference, p)


def missing_result(what: str) -> Finding:
    """Return the finding for a missing result."""
    return Finding(what, "missing", None)


def missing_pair(pair_id: str) -> Finding:
    """Return the finding for a pair with a missing result."""
    pair = registry().pair(pair_id)
    return missing_result(f"{model_name(pair.base)} or {model_name(pair.variant)}")
