"""Verdicts under other design effects, margins and readings of the baseline."""

import io
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import pytest
from rich.console import Console
from statsmodels.stats.multitest import multipletests

from benchmark.hypotheses.claims import audit
from benchmark.hypotheses.results import (
    EvaluationSetting,
    Result,
    Results,
    ScoreName,
    published_results,
)
from benchmark.hypotheses.sensitivity import (
    SIGNS,
    VariedClaim,
    published_verdicts,
    variations,
    vary,
)
from benchmark.hypotheses.table import sensitivity_table
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.records import Outcome
from benchmark.scoring.counts import count

RESULTS = published_results(published().values())
AUDIT = Path(__file__).parents[3] / "docs" / "audit.md"


@pytest.fixture(scope="module")
def varied() -> list[VariedClaim]:
    """The paper's claims on its own table, under every variation."""
    return vary(RESULTS)


def _column(varied: list[VariedClaim], choice: str, value: str) -> dict[str, str]:
    names = [(one.choice, one.value) for one in variations()]
    place = names.index((choice, value))
    return {row.claim.id: row.statuses[place] for row in varied}


def test_the_first_column_is_the_audit(varied: list[VariedClaim]) -> None:
    """Without a change, every verdict is that of the audit."""
    judged = {row.claim.id: row.verdict.status for row in audit(RESULTS)}
    assert _column(varied, "", "as is") == judged


def _tuning_p(design_effect: float) -> list[float]:
    """Return the adjusted p-values of the gains by alignment, from the counts of Table 6."""
    models = {model.key: model for model in published().values()}
    p_values = []
    for pair in registry().pairs.values():
        if not pair.paper or pair.experiment != "alignment":
            continue
        right, total = zip(
            *(
                (sum(cells[n].correct for n in cells if n), sum(cells[n].total for n in cells if n))
                for cells in (models[key].by_numops for key in (pair.base, pair.variant))
            ),
            strict=True,
        )
        pooled = sum(right) / sum(total)
        variance = design_effect * pooled * (1 - pooled) * (1 / total[0] + 1 / total[1])
        score = abs(right[1] / total[1] - right[0] / total[0]) / variance**0.5
        p_values.append(2 * (1 - NormalDist().cdf(score)))
    return [float(p) for p in multipletests(p_values, method="holm")[1]]


@pytest.mark.parametrize("effect", [1.25, 1.5, 1.75, 2.25, 2.5])
def test_a_design_effect_decides_as_a_test_by_hand(
    varied: list[VariedClaim], effect: float
) -> None:
    """A1 needs the gains of five pairs beyond error; Llama 2 70B Chat has the largest p of them."""
    bases = {"llama2-7b", "llama2-13b", "llama2-70b", "deepseek-7b", "gemma-7b"}
    pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == "alignment"]
    adjusted = zip(pairs, _tuning_p(effect), strict=True)
    beyond = all(p < 0.05 for pair, p in adjusted if pair.base in bases)
    expected = "supported" if beyond else "undecided"
    assert _column(varied, "effect", f"{effect:g}")["A1"] == expected
    assert beyond is (effect < 2.2)


@pytest.mark.parametrize(("margin", "status"), [("2.5", "undecided"), ("7.5", "supported")])
def test_a_margin_holds_the_interval(varied: list[VariedClaim], margin: str, status: str) -> None:
    """The interval of M6 is -0.1 to +6.2 points."""
    assert _column(varied, "margin", margin)["M6"] == status


def test_no_reading_of_the_baseline_changes_a_verdict(varied: list[VariedClaim]) -> None:
    """Each closed form in place of the published row decides every claim alike."""
    for reading in ("exact", "mentions", "set"):
        assert _column(varied, "random", reading) == _column(varied, "", "as is")


def test_the_table_of_the_audit_is_the_one_computed(varied: list[VariedClaim]) -> None:
    """The page has the output of ``claims --sensitivity``, at most 80 columns wide."""
    console = Console(file=io.StringIO(), width=80)
    console.print(sensitivity_table("the published results (Table 6)", varied, variations(RESULTS)))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)
    assert sum(line.split()[:1] == [row.claim.id] for row in varied for line in lines) == 22
    assert "\n".join(lines).strip() in AUDIT.read_text(encoding="utf-8")


def test_measured_results_vary_by_score() -> None:
    """Variants that gain by exact and not by set: C1 is decided by the score."""
    pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == "code"]
    gaining = {pair.variant for pair in pairs}
    keys = dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant))
    entries = [
        replace(
            _measured(key, "set", gains=False),
            others={"exact": _measured(key, "exact", gains=key in gaining)},
        )
        for key in keys
    ]
    results = Results(tuple(entries))
    rows, chosen = vary(results), variations(results)
    assert [(one.choice, one.value) for one in chosen][-1] == ("score", "set")
    by_claim = {row.claim.id: (row.statuses[0], row.statuses[-1]) for row in rows}
    assert by_claim["C1"] == ("supported", "undecided")
    caption = str(sensitivity_table("runs", rows, chosen).caption).splitlines()
    assert caption[-1].startswith("by set instead of exact: C1 ?")
    same = [replace(row, statuses=row.statuses[:1] * len(chosen)) for row in rows]
    caption = str(sensitivity_table("runs", same, chosen).caption).splitlines()
    assert caption[-1] == "by set instead of exact: the same verdicts"


def _measured(key: str, score: ScoreName, *, gains: bool) -> Result:
    """Return a result of 60 sequences, of which one in five is right without a gain."""
    rights = ((gains or n % 5 == 0,) * 3 for n in range(60))
    outcomes = tuple(Outcome(n, (1, 2, 3), right) for n, right in enumerate(rights))
    setting = EvaluationSetting("constrained", registry().model(key).format)
    counts = count(outcomes).by_numops
    return Result(key, setting, counts, {}, "a", key, outcomes=outcomes, score=score)


def test_the_verdicts_of_the_page_are_those_computed(varied: list[VariedClaim]) -> None:
    """The file that the page of a report shows has the verdict of every variation."""
    computed = {row.claim.id: "".join(SIGNS[status] for status in row.statuses) for row in varied}
    assert published_verdicts() == computed
