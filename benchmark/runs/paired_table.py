"""The table of a paired comparison, at most 80 columns wide."""

from collections.abc import Mapping
from operator import attrgetter

from rich.table import Table

from benchmark.scoring.outcomes import MAIN
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.summary import Estimate, Summary
from benchmark.terminal import number, p_value, plain_table


def comparison_table(
    title: str,
    names: tuple[str, str],
    summaries: tuple[Summary, Summary],
    scores: Mapping[str, PairedTests],
) -> Table:
    """Return accuracies by numops, their difference, its interval and p-value.

    The rows are by the main score. A line below names groups that another score decides
    differently.

    Args:
        title: the title.
        names: of base and variant.
        summaries: of base and variant, by the main score.
        scores: the paired tests by every score.
    """
    tests = scores[MAIN]
    nontrivial, overall, by_numops = tests.nontrivial, tests.overall, tests.by_numops
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
    reasons = dict.fromkeys(test.no_interval for test in shown if test.no_interval)
    notes = [f"\N{EN DASH}: no interval: {'; '.join(reasons)}"] if reasons else []
    table.caption = "\n".join([*notes, *decided_otherwise(scores)]) or None
    return table


def decided_otherwise(scores: Mapping[str, PairedTests]) -> list[str]:
    """Return one line per group of queries and score that differs from the main score.

    Scores differ if the sign of a significant difference (two-sided, 5 %) does.
    """
    main = scores[MAIN]
    groups = {">= 1": attrgetter("nontrivial"), "all": attrgetter("overall")}
    return [
        f"by {by} ({name}): {100 * (test := of(tests)).difference:+.1f} points, "
        f"p {p_value(test.two_sided)}, unlike by {MAIN}"
        for by, tests in scores.items()
        for name, of in groups.items()
        if of(tests).sign != of(main).sign
    ]


def _cells(both: tuple[Estimate, ...], test: PairedTest) -> tuple[str, ...]:
    return (
        str(test.queries),
        *(number(100 * estimate.tally.accuracy) for estimate in both),
        f"{100 * test.difference:+.1f}",
        _interval(test),
        p_value(test.two_sided),
    )


def _interval(test: PairedTest) -> str:
    if not (interval := test.interval):
        return "\N{EN DASH}"
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"
