"""From findings to verdicts, compared with brute force over what is open."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.hypotheses.findings import (
    ClaimVerdict,
    Finding,
    FindingGroup,
    figures,
    significant,
)
from benchmark.stats.decision import WITHIN_ERROR

FINDINGS = st.builds(
    Finding,
    what=st.just("a"),
    figure=st.just("+1.0"),
    holds=st.sampled_from([True, False, None]),
    doubt=st.sampled_from(["", WITHIN_ERROR]),
)
GROUPS = st.builds(
    FindingGroup,
    about=st.just("about"),
    findings=st.lists(FINDINGS, min_size=1, max_size=4).map(tuple),
    mode=st.sampled_from(["all", "some"]),
)


def _readings(group: FindingGroup, *, doubtful: bool) -> set[bool]:
    """Return what the group says for every way to fill in missing (and doubtful) findings."""
    is_open = [f.holds is None or (doubtful and bool(f.doubt)) for f in group.findings]
    combined = all if group.mode == "all" else any
    readings = set()
    for filled in product([True, False], repeat=sum(is_open)):
        rest = iter(filled)
        values = [
            next(rest) if free else bool(finding.holds)
            for finding, free in zip(group.findings, is_open, strict=True)
        ]
        readings.add(combined(values))
    return readings


def _agreed(readings: set[bool]) -> bool | None:
    return next(iter(readings)) if len(readings) == 1 else None


@given(GROUPS)
def test_a_group_holds_if_nothing_missing_could_change_it(group: FindingGroup) -> None:
    """All must hold, or some; unknown if the missing findings could change that."""
    assert group.holds is _agreed(_readings(group, doubtful=False))


@given(GROUPS)
def test_a_group_is_decided_if_no_doubt_could_change_it(group: FindingGroup) -> None:
    """Findings in doubt count as missing for what is decided."""
    assert group.decided is _agreed(_readings(group, doubtful=True))


@given(st.lists(GROUPS, min_size=1, max_size=3).map(tuple))
def test_the_status_by_brute_force(groups: tuple[FindingGroup, ...]) -> None:
    """A claim is supported or refuted only if every way to resolve doubts says the same."""
    verdict = ClaimVerdict(groups)
    combinations = product(*(_readings(group, doubtful=True) for group in groups))
    outcomes = {all(values) for values in combinations}
    expected = {True: "supported", False: "not supported", None: "undecided"}[_agreed(outcomes)]
    assert verdict.status == expected
    assert verdict.reason
    assert bool(verdict.open_questions) is (verdict.status == "undecided")


@given(st.lists(GROUPS, min_size=1, max_size=3).map(tuple), GROUPS)
def test_a_remark_decides_nothing(groups: tuple[FindingGroup, ...], remark: FindingGroup) -> None:
    """A remark changes neither status nor reason; what contradicts it is an exception."""
    without = ClaimVerdict(groups)
    verdict = ClaimVerdict((*groups, replace(remark, decides=False)))
    assert (verdict.status, verdict.reason) == (without.status, without.reason)
    assert without.exceptions == []
    assert verdict.exceptions == remark.against()


def _finding(what: str, *, holds: bool | None, doubt: str = "") -> Finding:
    return Finding(what, "+1.0", holds, doubt)


def test_reasons_of_an_undecided_claim() -> None:
    """A tilde marks figures in doubt; the reason lists them by doubt, contradicting ones first."""
    good, doubtful = _finding("A", holds=True), _finding("B", holds=True, doubt=WITHIN_ERROR)
    bad, few = _finding("C", holds=False, doubt=WITHIN_ERROR), _finding("D", holds=True, doubt="4")
    verdict = ClaimVerdict(
        (
            FindingGroup("x", (good, doubtful, bad, few)),
            FindingGroup("y", (_finding("E", holds=False),), decides=False),
        )
    )
    assert figures(verdict) == ["A: +1.0", "B: +1.0~", "C: +1.0~", "D: +1.0~"]
    assert verdict.reason == f"{WITHIN_ERROR}: C: +1.0~, B: +1.0~; 4: D: +1.0~"
    assert verdict.open_questions == [WITHIN_ERROR, "4"]
    assert (verdict.status, verdict.in_figures) == ("undecided", "not supported")
    assert verdict.exceptions == ["E: +1.0"]


def test_missing_results_are_named() -> None:
    """Two missing results are named, the others counted."""
    missing = (_finding(name, holds=None) for name in "PQRS")
    verdict = ClaimVerdict((FindingGroup("x", (_finding("A", holds=True), *missing)),))
    assert (verdict.status, verdict.reason) == ("undecided", "no result of P, Q, and 2 more")
    assert verdict.missing == ["P", "Q", "R", "S"]


def test_a_refuted_claim_names_what_refutes_it() -> None:
    """The reason of a refutation is the findings that fail beyond error."""
    findings = (_finding("A", holds=False), _finding("B", holds=False, doubt=WITHIN_ERROR))
    verdict = ClaimVerdict((FindingGroup("x", findings),))
    assert (verdict.status, verdict.reason) == (
        "not supported",
        "beyond clustered error: A: +1.0",
    )


def test_many_findings_are_counted() -> None:
    """Of more than six, the number that hold, those in doubt, and those that fail are given."""
    held = [_finding(str(n), holds=True, doubt=WITHIN_ERROR * (n < 3)) for n in range(8)]
    group = FindingGroup("x", (*held, _finding("Z", holds=False)))
    assert figures(ClaimVerdict((group,))) == ["8 of 9 hold, 3 of them in doubt", "not Z: +1.0"]


def test_equal_figures_are_listed_once() -> None:
    """Two parts about the same figures list them once."""
    group = FindingGroup("x", (_finding("A", holds=True),))
    assert figures(ClaimVerdict((group, replace(group, about="y")))) == ["A: +1.0"]


def test_a_some_group_without_any_is_one_exception() -> None:
    """If none of several holds, the exception names the part."""
    group = FindingGroup("some lose", (_finding("A", holds=False),), "some", decides=False)
    assert ClaimVerdict((group,)).exceptions == ["not so: some lose"]


@pytest.mark.parametrize(
    ("p", "rounded"), [(0.0123456, 0.0123), (1.0, 1.0), (1.23456e-20, 1.23e-20)]
)
def test_p_values_are_rounded(p: float, rounded: float) -> None:
    """Three significant digits are kept, so that platforms agree."""
    assert significant(p) == rounded
