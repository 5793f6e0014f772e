"""From findings to verdicts, against the meaning of the words by brute force."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.hypotheses.findings import ClaimVerdict, Finding, FindingGroup, figures, significant

FINDINGS = st.builds(
    Finding,
    what=st.just("a"),
    figure=st.just("+1.0"),
    holds=st.sampled_from([True, False, None]),
    sure=st.booleans(),
)
GROUPS = st.builds(
    FindingGroup,
    about=st.just("about"),
    findings=st.lists(FINDINGS, min_size=1, max_size=4).map(tuple),
    mode=st.sampled_from(["all", "some"]),
)


def _holds(group: FindingGroup) -> bool | None:
    """Whether every way of filling in what is missing says the same of the group."""
    missing = sum(finding.holds is None for finding in group.findings)
    said = set()
    for filled in product([True, False], repeat=missing):
        rest = iter(filled)
        values = [next(rest) if f.holds is None else f.holds for f in group.findings]
        said.add(all(values) if group.mode == "all" else any(values))
    return said.pop() if len(said) == 1 else None


@given(GROUPS)
def test_a_group_holds_where_nothing_missing_could_change_it(group: FindingGroup) -> None:
    """All must hold, or some; unknown where the missing findings could turn it."""
    assert group.holds is _holds(group)


def _flips(group: FindingGroup) -> list[FindingGroup]:
    """The group with every choice of its findings within error turned round."""
    unsure = [n for n, f in enumerate(group.findings) if not f.sure and f.holds is not None]
    return [
        replace(
            group,
            findings=tuple(
                replace(f, holds=not f.holds) if n in unsure and turned[unsure.index(n)] else f
                for n, f in enumerate(group.findings)
            ),
        )
        for turned in product([True, False], repeat=len(unsure))
    ]


@given(st.lists(GROUPS, min_size=1, max_size=2).map(tuple))
def test_within_error_is_what_error_could_undo(groups: tuple[FindingGroup, ...]) -> None:
    """A verdict is within error numops_equal where turning what is unsure could change it."""
    verdict = ClaimVerdict(groups)
    others = {ClaimVerdict(tuple(each)).status for each in product(*map(_flips, groups))}
    if verdict.status == "not decidable":
        assert not verdict.within_error
    else:
        assert verdict.within_error is (len(others) > 1)


@given(st.lists(GROUPS, min_size=1, max_size=3).map(tuple), GROUPS)
def test_a_remark_decides_nothing(groups: tuple[FindingGroup, ...], remark: FindingGroup) -> None:
    """With a remark more, status and flag stay; what speaks against the remark is told."""
    without = ClaimVerdict(groups)
    verdict = ClaimVerdict((*groups, replace(remark, decides=False)))
    assert (verdict.status, verdict.within_error) == (without.status, without.within_error)
    assert without.exceptions == []
    assert verdict.exceptions == remark.against()


def _finding(what: str, *, holds: bool | None, sure: bool = True) -> Finding:
    return Finding(what, "+1.0", holds, sure)


def test_words() -> None:
    """A tilde marks what is within error; notes name it, exceptions, and what is missing."""
    good, doubtful = _finding("A", holds=True), _finding("B", holds=True, sure=False)
    bad = _finding("C", holds=False)
    verdict = ClaimVerdict(
        (FindingGroup("x", (good, doubtful)), FindingGroup("y", (bad,), decides=False))
    )
    assert figures(verdict) == ["A: +1.0", "B: +1.0~"]
    assert verdict.note == "within clustered error: B: +1.0~; against the wording: C: +1.0"
    unknown = ClaimVerdict((FindingGroup("x", (good, *(_finding(n, holds=None) for n in "PQRS"))),))
    assert figures(unknown) == ["no result of", "P", "Q", "and 2 more"]
    assert unknown.note == "missing: P, Q, R, S"


def test_many_findings_are_counted() -> None:
    """Of more than six it is said how many hold, how surely, and which do not."""
    held = [_finding(str(n), holds=True, sure=n > 2) for n in range(8)]
    group = FindingGroup("x", (*held, _finding("Z", holds=False)))
    assert figures(ClaimVerdict((group,))) == ["8 of 9 hold, 3 within error", "not Z: +1.0"]


def test_the_same_words_are_said_once() -> None:
    """Two parts about the same figures list them once."""
    group = FindingGroup("x", (_finding("A", holds=True),))
    assert figures(ClaimVerdict((group, replace(group, about="y")))) == ["A: +1.0"]


def test_some_that_do_not_are_one_exception() -> None:
    """Where none of several holds it is the part that is said not to be so."""
    group = FindingGroup("some lose", (_finding("A", holds=False),), "some", decides=False)
    assert ClaimVerdict((group,)).exceptions == ["not so: some lose"]


@pytest.mark.parametrize(
    ("p", "rounded"), [(0.0123456, 0.0123), (1.0, 1.0), (1.23456e-20, 1.23e-20)]
)
def test_p_values_are_rounded(p: float, rounded: float) -> None:
    """Three significant digits are kept, so that platforms agree."""
    assert significant(p) == rounded
