"""The table of claims and verdicts, at most 80 columns wide."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.hypotheses.claims import JudgedClaim
from benchmark.hypotheses.findings import ClaimVerdict, figures
from benchmark.hypotheses.pooled import PooledExperiment
from benchmark.hypotheses.sensitivity import SCORE, SIGNS, Variation, VariedClaim
from benchmark.stats.constants import POWER
from benchmark.stats.decision import Verdict
from benchmark.terminal import plain_table

_STYLES: dict[Verdict, str] = {
    "supported": "green",
    "not supported": "red",
    "undecided": "dim",
}
_NAMED = 3
"""Number of exceptions named in the table; ``--json`` has all."""

_LEGEND = (
    "Supported: every part holds beyond clustered error. Not supported: a part fails beyond it. "
    "Undecided: neither, for the reason given. ~: in doubt. +x: points gained on the base, at "
    "numops >= 1 unless a numops is given. but: what contradicts the paper's wording without "
    "deciding the claim; --json has all. could have seen: the smallest differences that the "
    f"tests of the figures within error would find (power {100 * POWER:.0f} %). "
    "Answers are scored by exact, as Table 6 most likely is, except for a verdict that says by set."
)


def claims_table(source: str, judged: Sequence[JudgedClaim]) -> RenderableType:
    """Return the table with the number of each verdict and a legend.

    If no claim has a result, a single line says so instead of a row per claim.
    """
    if not any(row.verdict.has_results for row in judged):
        models = len({r.model for row in judged for r in row.claim.required_results})
        return Text(
            f"All {len(judged)} claims are undecided: {source} has no result that one of them "
            f"requires; they are about the paper's {models} models"
        )
    table = plain_table(f"The paper's claims on {source}")
    table.add_column("", style="bold")
    table.add_column("claim", max_width=21)
    table.add_column("verdict", no_wrap=True)
    table.add_column("decisive figures")
    for row in judged:
        table.add_row(row.claim.id, row.claim.statement, _verdict(row), _figures(row))
        table.add_section()
    return Group(table, Text(_summary(judged)), Text(_LEGEND, style="dim"))


def pooled_lines(experiments: Sequence[PooledExperiment]) -> Iterator[str]:
    """Yield the pooled effect of each experiment, and what the figures are."""
    if not experiments:
        return
    yield "Pooled effects at numops >= 1 by exact, random effects of pairs:"
    for one in experiments:
        yield from one.words().split("\n")
    yield "p: adjusted by Holm over the experiments; tau: spread between pairs, in points"


def sensitivity_table(
    source: str, varied: Sequence[VariedClaim], chosen: Sequence[Variation]
) -> Table:
    """Return a row per claim and a column per variation, verdicts as signs.

    What another score decides differently is a line below, since a column more would not fit.
    """
    table = plain_table(f"Verdicts on {source}, one choice changed at a time")
    table.add_column("", style="bold", no_wrap=True)
    previous = ""
    columns = [variation for variation in chosen if variation.choice != SCORE]
    for variation in columns:
        choice = variation.choice if variation.choice != previous else ""
        table.add_column(f"{choice}\n{variation.value}", justify="center", no_wrap=True)
        previous = variation.choice
    for row in varied:
        style = "" if row.varies else "dim"
        signs = [SIGNS[status] for status in row.statuses[: len(columns)]]
        table.add_row(row.claim.id, *signs, style=style)
    notes = [
        "+ supported, - not supported, ? undecided",
        "effect: design effect of counts, 2 as is; margin: of small and close, 5 as is",
        "random: closed form of a reading of the baseline, the row of Table 6 as is",
    ]
    if len(chosen) > len(columns):
        changed = [f"{r.claim.id} {SIGNS[r.statuses[-1]]}" for r in varied if _by_score(r)]
        notes.append(f"by set instead of exact: {', '.join(changed) or 'the same verdicts'}")
    table.caption = "\n".join(notes)
    return table


def _by_score(row: VariedClaim) -> bool:
    """Return whether the last variation, another score, changes the verdict."""
    return row.statuses[-1] != row.statuses[0]


def _verdict(judged: JudgedClaim) -> Text:
    verdict = judged.verdict
    text = Text(verdict.status, style=_STYLES[verdict.status])
    if verdict.status == "undecided" and not verdict.missing:
        agree = "agree" if verdict.in_figures == "supported" else "disagree"
        text.append(f"\nfigures {agree}", style="yellow")
    if judged.score == "set":
        text.append("\nby set", style="yellow")
    return text


def _figures(judged: JudgedClaim) -> Text:
    verdict = judged.verdict
    text = Text("\n".join([*figures(verdict), *_reason(verdict)]))
    if verdict.exceptions:
        more = len(verdict.exceptions) - _NAMED
        lines = ["but:", *verdict.exceptions[:_NAMED], *([f"{more} more"] if more > 0 else [])]
        text.append("".join(f"\n{line}" for line in lines), style="yellow")
    if judged.other:
        lines = [
            f"by set {judged.other.status}:",
            *figures(judged.other),
            *_reason(judged.other),
        ]
        text.append("".join(f"\n{line}" for line in lines), style="magenta")
    return text


def _reason(verdict: ClaimVerdict) -> list[str]:
    """Return why an undecided claim is open, as one line."""
    questions = verdict.open_questions
    lines = [f"reason: {'; '.join(questions)}"] if questions else []
    if seen := verdict.detectable:
        ends = dict.fromkeys(f"{points:.1f}" for points in (seen[0], seen[-1]))
        lines.append(f"could have seen {' to '.join(ends)} points")
    return lines


def _summary(judged: Sequence[JudgedClaim]) -> str:
    verdicts = [row.verdict for row in judged]
    counts = {status: sum(v.status == status for v in verdicts) for status in _STYLES}
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    missing = sum(v.status == "undecided" and bool(v.missing) for v in verdicts)
    excepted = sum(bool(verdict.exceptions) for verdict in verdicts)
    summary = (
        f"{len(verdicts)} claims: {words} ({missing} of them for lack of results); "
        f"{excepted} with a but"
    )
    differing = sum(row.other is not None for row in judged)
    return summary + (f", {differing} with a different verdict by set" if differing else "")
