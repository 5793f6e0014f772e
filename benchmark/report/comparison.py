"""The table of two measurements side by side, at most 80 columns wide."""

from rich.table import Table

from benchmark.report.table import number, plain_table
from benchmark.stats.paired import FEWEST, PairedTest
from benchmark.stats.summary import Estimate, Summary

_NO_INTERVAL = f"\N{EN DASH}: no interval from under {FEWEST} sequences, or where all differ alike"
"""The note under a table with such a row."""


def comparison_table(
    title: str,
    names: tuple[str, str],
    summaries: tuple[Summary, Summary],
    tests: tuple[PairedTest, PairedTest, dict[int, PairedTest]],
) -> Table:
    """Accuracies of base and variant by numops, their difference, its interval and p-value.

    Args:
        title: the title.
        names: of base and variant.
        summaries: of base and variant.
        tests: of numops >= 1, of all queries, and of each numops.
    """
    nontrivial, overall, by_numops = tests
    table = plain_table(title)
    for name in ("numops", "queries", *names, "difference", "95 % interval", "p"):
        table.add_column(name, justify="right", style="bold" if name == "difference" else "")
    for numops, test in by_numops.items():
        both = tuple(summary.by_numops[numops] for summary in summaries)
        table.add_row(str(numops), *_cells(both, test))
    table.add_section()
    table.add_row(">= 1", *_cells(tuple(s.nontrivial for s in summaries), nontrivial))
    table.add_row("all", *_cells(tuple(s.overall for s in summaries), overall))
    shown = (nontrivial, overall, *by_numops.values())
    if not all(test.telling_interval for test in shown):
        table.caption = _NO_INTERVAL
    return table


def _cells(both: tuple[Estimate, ...], test: PairedTest) -> tuple[str, ...]:
    return (
        str(test.queries),
        *(number(100 * estimate.tally.accuracy) for estimate in both),
        f"{100 * test.difference:+.1f}",
        _interval(test),
        p_value(test.two_sided),
    )


def _interval(test: PairedTest) -> str:
    if not (interval := test.telling_interval):
        return "\N{EN DASH}"
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"


def p_value(p: float) -> str:
    """A p-value to two significant digits, ``< 0.001`` below that."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"  # noqa: PLR2004  # the customary limit
