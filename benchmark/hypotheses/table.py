"""The table of claims and verdicts, at most 80 columns wide."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from benchmark.hypotheses.claims import JudgedClaim
from benchmark.hypotheses.findings import Status, figures
from benchmark.terminal import plain_table

_STYLES: dict[Status, str] = {
    "supported": "green",
    "not supported": "red",
    "not decidable": "dim",
}
_NAMED = 3
"""Number of exceptions named in the table; ``--json`` has all."""

_LEGEND = (
    "+x: points of accuracy gained on the base; at 6: of the queries with numops 6, else with "
    "numops >= 1. ~: within clustered error. but: what speaks against the paper's wording without "
    "deciding the claim; --json has all of it. Right is what is right by exact, as Table 6 most "
    "likely counts, but for a verdict that says by set."
)


def claims_table(source: str, judged: Sequence[JudgedClaim]) -> RenderableType:
    """Return the table with the number of each verdict and a legend."""
    table = plain_table(f"The paper's claims on {source}")
    table.add_column("", style="bold")
    table.add_column("claim", max_width=21)
    table.add_column("verdict", no_wrap=True)
    table.add_column("decisive figures")
    for row in judged:
        table.add_row(row.claim.id, row.claim.statement, _verdict(row), _figures(row))
        table.add_section()
    return Group(table, Text(_summary(judged)), Text(_LEGEND, style="dim"))


def _verdict(judged: JudgedClaim) -> Text:
    verdict = judged.verdict
    text = Text(verdict.status, style=_STYLES[verdict.status])
    if verdict.within_error:
        text.append("\nwithin error", style="yellow")
    if judged.score == "set":
        text.append("\nby set", style="yellow")
    return text


def _figures(judged: JudgedClaim) -> Text:
    verdict = judged.verdict
    text = Text("\n".join(figures(verdict)))
    if verdict.exceptions:
        more = len(verdict.exceptions) - _NAMED
        lines = ["but:", *verdict.exceptions[:_NAMED], *([f"{more} more"] if more > 0 else [])]
        text.append("".join(f"\n{line}" for line in lines), style="yellow")
    if judged.other:
        lines = [f"by set {judged.other.status}:", *figures(judged.other)]
        text.append("".join(f"\n{line}" for line in lines), style="magenta")
    return text


def _summary(judged: Sequence[JudgedClaim]) -> str:
    verdicts = [each.verdict for each in judged]
    counts = {status: sum(v.status == status for v in verdicts) for status in _STYLES}
    words = ", ".join(f"{number} {status}" for status, number in counts.items())
    unsure = sum(verdict.within_error for verdict in verdicts)
    excepted = sum(bool(verdict.exceptions) for verdict in verdicts)
    summary = f"{len(verdicts)} claims: {words}; {unsure} within error, {excepted} with a but"
    differing = sum(each.other is not None for each in judged)
    return summary + (f", {differing} decided otherwise by set" if differing else "")
