"""From single findings to a verdict: what holds, and whether clustered error could undo it."""

from dataclasses import dataclass
from typing import Literal

from benchmark.hypotheses.evidence import AccuracyDifference

LEVEL = 0.05
"""Two-sided; below it a difference counts as more than chance."""

Status = Literal["supported", "not supported", "not decidable"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a claim says, on the results.

    ``holds`` is None where results are missing. ``sure`` says whether clustered error leaves it
    as it is: the figures that it rests on differ by more than chance. ``p`` is adjusted for the
    other findings that it is one of.
    """

    what: str
    figure: str
    holds: bool | None
    sure: bool = True
    difference: AccuracyDifference | None = None
    p: float | None = None

    def words(self) -> str:
        """What, the figure, and a tilde where it is within error."""
        return f"{self.what}: {self.figure}" + ("" if self.sure else "~")

    def as_json(self) -> dict[str, object]:
        """Figures in per cent to two decimals, p-values to three significant digits."""
        return {
            "what": self.what,
            "figure": self.figure,
            "holds": self.holds,
            "within_error": not self.sure,
            **(_figures(self.difference) if self.difference else {}),
            **({"p_adjusted": significant(self.p)} if self.p is not None else {}),
        }


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The findings of one part of a claim: ``all`` of them must hold, or ``some`` (one or more).

    ``about`` is what they say in common; ``summary`` takes the place of their list where that
    would be long. A group that does not decide is a remark: what speaks against it is told.
    """

    about: str
    findings: tuple[Finding, ...]
    mode: Literal["all", "some"] = "all"
    decides: bool = True
    summary: str | None = None

    @property
    def holds(self) -> bool | None:
        """Whether the part holds; None where that cannot be told."""
        values = {finding.holds for finding in self.findings}
        enough = self.mode == "some"  # one finding settles it when it holds, or when it fails
        if enough in values:
            return enough
        return None if None in values else not enough

    @property
    def sure(self) -> bool:
        """Whether clustered error leaves that as it is."""
        settling = [finding.sure for finding in self.findings if finding.holds is self.holds]
        one_is_enough = self.holds is (self.mode == "some")
        return any(settling) if one_is_enough else all(settling)

    def against(self) -> list[str]:
        """What speaks against the part, in words."""
        if self.mode == "some":
            return [f"not so: {self.about}"] if self.holds is False else []
        return [finding.words() for finding in self.findings if finding.holds is False]


@dataclass(frozen=True, slots=True)
class ClaimVerdict:
    """What becomes of a claim on a set of results; computed from its groups."""

    groups: tuple[FindingGroup, ...]

    @property
    def status(self) -> Status:
        """Not supported where a part fails; not decidable where one cannot be told."""
        values = {group.holds for group in self.deciding}
        if False in values:
            return "not supported"
        return "not decidable" if None in values else "supported"

    @property
    def within_error(self) -> bool:
        """Whether what decided is a difference that chance might give, sequences as clusters."""
        if self.status == "not supported":
            return not any(group.sure for group in self.deciding if group.holds is False)
        return self.status == "supported" and not all(group.sure for group in self.deciding)

    @property
    def exceptions(self) -> list[str]:
        """What speaks against the paper's wording without deciding the claim."""
        return [words for group in self.groups if not group.decides for words in group.against()]

    @property
    def missing(self) -> list[str]:
        """What there are no results for."""
        found = (f.what for group in self.deciding for f in group.findings if f.holds is None)
        return list(dict.fromkeys(found))

    @property
    def deciding(self) -> list[FindingGroup]:
        """The groups that are no remarks."""
        return [group for group in self.groups if group.decides]

    @property
    def note(self) -> str:
        """What has to be said beside the status, in words; empty where there is nothing."""
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
        """Status, flags and all findings."""
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
"""So many findings are listed; of more it is said how many hold, and which do not."""

_NAMED = 2
"""So many of the missing results are named."""


def figures(verdict: ClaimVerdict) -> list[str]:
    """The decisive figures, an entry each; a tilde is at what clustered error could undo."""
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
    """A p-value to three significant digits, so that it is the same on every platform."""
    return float(f"{p:.3g}")


def _figures(found: AccuracyDifference) -> dict[str, object]:
    names = ("before", "after", "points", "low", "high")
    return {
        **{name: round(getattr(found, name), 2) for name in names},
        "p": significant(found.p),
        "test": found.how,
    }
