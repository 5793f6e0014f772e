"""From single findings to a verdict: what the figures show beyond clustered error."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmark.hypotheses.evidence import AccuracyDifference
from benchmark.stats.decision import WITHIN_ERROR, Verdict


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement of a claim, evaluated on the results.

    Attributes:
        what: what the statement is about.
        figure: the figure in words.
        holds: whether the figure agrees with the claim; None if results are missing.
        doubt: why the figure does not decide, in words; empty if it does.
        p: p-value adjusted for the other findings of the family.
    """

    what: str
    figure: str
    holds: bool | None
    doubt: str = ""
    difference: AccuracyDifference | None = None
    p: float | None = None

    @property
    def sure(self) -> bool:
        """Return whether nothing puts the figure in doubt."""
        return not self.doubt

    @property
    def decided(self) -> bool | None:
        """Return whether the finding holds beyond doubt; None if it is in doubt or missing."""
        return self.holds if self.sure else None

    def words(self) -> str:
        """Return what and the figure, with a tilde if it is in doubt."""
        return f"{self.what}: {self.figure}" + ("" if self.sure else "~")

    def as_json(self) -> dict[str, object]:
        """Return figures in per cent to two decimals, p-values to three significant digits."""
        return {
            "what": self.what,
            "figure": self.figure,
            "holds": self.holds,
            "doubt": self.doubt,
            **(_difference_as_json(self.difference) if self.difference else {}),
            **({"p_adjusted": significant(self.p)} if self.p is not None else {}),
        }


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The findings of one part of a claim.

    Attributes:
        about: the common subject of the findings.
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
        """Return whether the part holds in the figures; None if missing ones could change that."""
        return self._combined({finding.holds for finding in self.findings})

    @property
    def decided(self) -> bool | None:
        """Return whether the part holds beyond doubt; None if doubtful findings could change it."""
        return self._combined({finding.decided for finding in self.findings})

    def _combined(self, values: set[bool | None]) -> bool | None:
        enough = self.mode == "some"  # the value of one finding that decides the group
        if enough in values:
            return enough
        return None if None in values else not enough

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
    def status(self) -> Verdict:
        """Return the status: only what holds or fails beyond doubt decides a claim."""
        return _status(group.decided for group in self.deciding)

    @property
    def in_figures(self) -> Verdict:
        """Return the status that the figures would have without any error."""
        return _status(group.holds for group in self.deciding)

    @property
    def reason(self) -> str:
        """Return why the claim has its status, in words."""
        match self.status:
            case "supported":
                return "every part holds beyond clustered error"
            case "not supported":
                failed = [group for group in self.deciding if group.decided is False]
                words = dict.fromkeys(words for group in failed for words in _failures(group))
                return f"beyond clustered error: {', '.join(words)}"
            case "undecided":
                return "; ".join([*self._doubts(), *self._missing_in_words()])

    def _doubts(self) -> list[str]:
        """Return the doubts that leave the claim open, each with its findings."""
        by_doubt: dict[str, list[Finding]] = {}
        for finding in self._doubtful():
            by_doubt.setdefault(finding.doubt, []).append(finding)
        return [f"{doubt}: {_listed(_against_first(them))}" for doubt, them in by_doubt.items()]

    def _doubtful(self) -> list[Finding]:
        undecided = (group for group in self.deciding if group.decided is None)
        return [finding for group in undecided for finding in group.findings if finding.doubt]

    def _missing_in_words(self) -> list[str]:
        return [f"no result of {_listed(self.missing, _NAMED)}"] if self.missing else []

    @property
    def open_questions(self) -> list[str]:
        """Return why the claim is undecided, without figures; empty if it is decided."""
        if self.status != "undecided":
            return []
        doubts = dict.fromkeys(finding.doubt for finding in self._doubtful())
        return [*doubts, *self._missing_in_words()]

    @property
    def detectable(self) -> list[float]:
        """Return what the tests of doubtful findings could have seen, in points, ascending."""
        if self.status != "undecided":
            return []
        differences = (f.difference for f in self._doubtful() if f.doubt == WITHIN_ERROR)
        return sorted(d.detectable for d in differences if d and d.detectable is not None)

    @property
    def has_results(self) -> bool:
        """Return whether there is a result of any of the deciding findings."""
        findings = (finding for group in self.deciding for finding in group.findings)
        return any(finding.holds is not None for finding in findings)

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

    def as_json(self) -> dict[str, object]:
        """Return the status with its reason, and all findings."""
        return {
            "verdict": self.status,
            "reason": self.reason,
            "in_figures": self.in_figures,
            "exceptions": self.exceptions,
            "missing": self.missing,
            "figures": figures(self),
            "parts": [
                {
                    "about": group.about,
                    "decides": group.decides,
                    "needs": group.mode,
                    "holds": group.holds,
                    "decided": group.decided,
                    "findings": [finding.as_json() for finding in group.findings],
                }
                for group in self.groups
            ],
        }


def _status(values: Iterable[bool | None]) -> Verdict:
    """Return the status of a claim of which every part must hold."""
    parts = set(values)
    if False in parts:
        return "not supported"
    return "undecided" if None in parts else "supported"


def _against_first(findings: Iterable[Finding]) -> list[str]:
    """Return the findings in words, those that contradict the claim first."""
    ordered = sorted(findings, key=lambda finding: finding.holds is True)
    return list(dict.fromkeys(finding.words() for finding in ordered))


def _failures(group: FindingGroup) -> list[str]:
    if group.mode == "some":
        return group.against()
    return [finding.words() for finding in group.findings if finding.decided is False]


_LISTED = 6
"""Largest number of findings that is listed; of more, the number that hold is given."""

_NAMED = 2
"""Number of missing results that are named."""


def _listed(words: list[str], named: int = _LISTED) -> str:
    more = [f"and {len(words) - named} more"] if len(words) > named else []
    return ", ".join([*words[:named], *more])


def figures(verdict: ClaimVerdict) -> list[str]:
    """Return the decisive figures, one entry each; a tilde marks those in doubt.

    Missing results have no figures: :attr:`ClaimVerdict.reason` names them.
    """
    return list(dict.fromkeys(words for group in verdict.deciding for words in _figures_of(group)))


def _figures_of(group: FindingGroup) -> list[str]:
    if group.summary is not None:
        return [group.summary]
    present = [finding for finding in group.findings if finding.holds is not None]
    if not present or len(group.findings) <= _LISTED:
        return [finding.words() for finding in present]
    holding = [finding for finding in present if finding.holds]
    doubtful = sum(not finding.sure for finding in holding)
    words = f"{len(holding)} of {len(group.findings)} hold"
    failed = [f"not {words}" for words in group.against()]
    return [words + (f", {doubtful} of them in doubt" if doubtful else ""), *failed]


def significant(p: float) -> float:
    """Return a p-value to three significant digits, so that all platforms agree."""
    return float(f"{p:.3g}")


def _rounded(percent: float) -> float:
    """Return a figure with two decimals, without a negative zero."""
    return round(percent, 2) + 0.0


def _difference_as_json(difference: AccuracyDifference) -> dict[str, object]:
    low, high = difference.interval or (None, None)
    ends, no_interval = {"low": low, "high": high}, difference.decision.effect.no_interval
    return {
        **{name: _rounded(getattr(difference, name)) for name in ("before", "after", "points")},
        **{name: None if end is None else _rounded(end) for name, end in ends.items()},
        **({"no_interval": no_interval} if no_interval else {}),
        **(
            {"detectable": _rounded(difference.detectable)}
            if difference.detectable is not None
            else {}
        ),
        "p": significant(difference.p),
        "test": difference.test,
    }
