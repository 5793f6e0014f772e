"""From single findings to a verdict: what holds, and whether it is within clustered error."""

from dataclasses import dataclass
from typing import Literal

from benchmark.hypotheses.evidence import AccuracyDifference

Status = Literal["supported", "not supported", "not decidable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of a claim, evaluated on the results.

    Attributes:
        what: what the statement is about.
        figure: the figure in words.
        holds: whether the figure agrees with the claim; None if results are missing.
        sure: whether the difference is beyond clustered error.
        difference: the tested difference.
        p: p-value adjusted for the other findings of the family.
    """

    what: str
    figure: str
    holds: bool | None
    sure: bool = True
    difference: AccuracyDifference | None = None
    p: float | None = None

    def words(self) -> str:
        """Return what and the figure, with a tilde if it is within error."""
        return f"{self.what}: {self.figure}" + ("" if self.sure else "~")

    def as_json(self) -> dict[str, object]:
        """Return figures in per cent to two decimals, p-values to three significant digits."""
        return {
            "what": self.what,
            "figure": self.figure,
            "holds": self.holds,
            "within_error": not self.sure,
            **(_difference_as_json(self.difference) if self.difference else {}),
            **({"p_adjusted": significant(self.p)} if self.p is not None else {}),
        }


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The findings of one part of a claim.

    Attributes:
        about: the common subject of the findings.
        findings: the findings.
        mode: whether ``all`` findings must hold, or ``some`` (one or more).
        decides: False for a remark, which is reported but does not decide the claim.
        summary: replaces the list of findings if that would be long.
    """

    about: str
    findings: tuple[Finding, ...]
    mode: Literal["all", "some"] = "all"
    decides: bool = True
    summary: str | None = None

    @property
    def holds(self) -> bool | None:
        """Return whether the part holds; None if missing findings could change that."""
        values = {finding.holds for finding in self.findings}
        enough = self.mode == "some"  # the value of one finding that decides the group
        if enough in values:
            return enough
        return None if None in values else not enough

    @property
    def sure(self) -> bool:
        """Return whether that is beyond clustered error."""
        deciding = [finding.sure for finding in self.findings if finding.holds is self.holds]
        one_is_enough = self.holds is (self.mode == "some")
        return any(deciding) if one_is_enough else all(deciding)

    def against(self) -> list[str]:
        """Return the findings that contradict the part, in words."""
        if self.mode == "some":
            return [f"not so: {self.about}"] if self.holds is False else []
        return [finding.words() for finding in self.findings if finding.holds is False]


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """The verdict on a claim for a set of results, computed from its groups."""

    groups: tuple[FindingGroup, ...]

    @property
    def status(self) -> Status:
        """Return the status: one part that fails refutes the claim."""
        values = {group.holds for group in self.deciding}
        if False in values:
            return "not supported"
        return "not decidable" if None in values else "supported"

    @property
    def within_error(self) -> bool:
        """Return whether the deciding difference is within clustered error."""
        if self.status == "not supported":
            return not any(group.sure for group in self.deciding if group.holds is False)
        return self.status == "supported" and not all(group.sure for group in self.deciding)

    @property
    def exceptions(self) -> list[str]:
        """Return what contradicts the paper's wording without deciding the claim."""
        return [words for group in self.groups if not group.decides for words in group.against()]

    @property
    def missing(self) -> list[str]:
        """Return what has no results."""
        missing = (f.what for group in self.deciding for f in group.findings if f.holds is None)
        return list(dict.fromkeys(missing))

    @property
    def deciding(self) -> list[FindingGroup]:
        """Return the groups that are not remarks."""
        return [group for group in self.groups if group.decides]

    @property
    def note(self) -> str:
        """Return remarks on the status in words; empty if there are none."""
        notes = []
        if self.within_error:
            doubtful = dict.fromkeys(
                finding.words()
                for group in self.deciding
                if group.holds is (self.status == "supported") and not group.sure
                for finding in group.findings
                if finding.holds is group.holds and not finding.sure
            )
            notes.append(f"within clustered error: {', '.join(doubtful)}")
        if self.exceptions:
            notes.append(f"against the wording: {', '.join(self.exceptions)}")
        if self.missing:
            notes.append(f"missing: {', '.join(self.missing)}")
        return "; ".join(notes)

    def as_json(self) -> dict[str, object]:
        """Return status, flags and all findings."""
        return {
            "verdict": self.status,
            "within_error": self.within_error,
            "note": self.note,
            "exceptions": self.exceptions,
            "missing": self.missing,
            "figures": figures(self),
            "parts": [
                {
                    "about": group.about,
                    "decides": group.decides,
                    "needs": group.mode,
                    "holds": group.holds,
                    "findings": [finding.as_json() for finding in group.findings],
                }
                for group in self.groups
            ],
        }


_LISTED = 6
"""Largest number of findings that is listed; of more, the number that hold is given."""

_NAMED = 2
"""Number of missing results that are named."""


def figures(verdict: ClaimVerdict) -> list[str]:
    """Return the decisive figures, one entry each; a tilde marks those within error."""
    if verdict.status == "not decidable":
        names = verdict.missing
        more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
        return ["no result of", *names[:_NAMED], *more]
    return list(dict.fromkeys(words for group in verdict.deciding for words in _figures_of(group)))


def _figures_of(group: FindingGroup) -> list[str]:
    if group.summary is not None:
        return [group.summary]
    if len(group.findings) <= _LISTED:
        return [finding.words() for finding in group.findings if finding.holds is not None]
    held = [finding for finding in group.findings if finding.holds]
    unsure = sum(not finding.sure for finding in held)
    words = f"{len(held)} of {len(group.findings)} hold"
    failed = [f"not {words}" for words in group.against()]
    return [words + (f", {unsure} within error" if unsure else ""), *failed]


def significant(p: float) -> float:
    """Return a p-value to three significant digits, so that all platforms agree."""
    return float(f"{p:.3g}")


def _difference_as_json(difference: AccuracyDifference) -> dict[str, object]:
    names = ("before", "after", "points", "low", "high")
    return {
        **{name: round(getattr(difference, name), 2) for name in names},
        "p": significant(difference.p),
        "test": difference.test,
    }
