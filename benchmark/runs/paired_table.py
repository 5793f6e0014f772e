"""The table of a paired comparison, at most 80 columns wide."""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from rich.table import Table

from benchmark.scoring.outcomes import MAIN, SCORES
from benchmark.stats.constants import LEVEL, MIN_CLUSTERS_FOR_INTERVAL, POWER
from benchmark.stats.differences import ClusteredDifference
from benchmark.stats.paired import (
    AdjustedPValues,
    PairedTest,
    PairedTests,
    adjusted,
    adjustment_note,
)
from benchmark.stats.points import signed_points
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Estimate, Summary
from benchmark.terminal import count_text, few_note, number, p_value, plain_table, row_style


def comparison_table(
    title: str,
    names: tuple[str, str],
    summaries: tuple[Summary, Summary],
    scores: Mapping[str, PairedTests],
    p_values: AdjustedPValues | None = None,
    comparisons: int = 1,
) -> Table:
    """Return accuracies by numops, their difference, its interval and p-value.

    The rows are by the main score. A line below names groups that another score decides
    differently.

    Args:
        title: the title.
        names: of base and variant.
        summaries: of base and variant, by the main score.
        scores: the paired tests by every score.
        p_values: those of this comparison among several; by default it is the only one.
        comparisons: the number of comparisons that the p-values are adjusted for.
    """
    tests = scores[MAIN]
    nontrivial, overall, by_numops = tests.nontrivial, tests.overall, tests.by_numops
    table = plain_table(title)
    for name in ("numops", "queries", *names, "difference", "95 % interval", "p"):
        table.add_column(name, justify="right", style="bold" if name == "difference" else "")
    p = p_values or adjusted([tests])[0]
    for numops, test in by_numops.items():
        both = tuple(summary.by_numops[numops] for summary in summaries)
        cells = _cells(both, test, p.by_numops[numops])
        table.add_row(str(numops), *cells, style=row_style(test.queries))
    table.add_section()
    nontrivials, overalls = zip(*((s.nontrivial, s.overall) for s in summaries), strict=True)
    table.add_row(">= 1", *_cells(nontrivials, nontrivial, p.nontrivial))
    table.add_row("all", *_cells(overalls, overall, p.overall))
    shown = (nontrivial, overall, *by_numops.values())
    notes = [f"by {MAIN}: {SCORES[MAIN].words}", *no_interval_notes(shown)]
    notes.append(detectable_note({">= 1": nontrivial, "all": overall}))
    notes.append(adjustment_note(comparisons))
    notes += few_note(test.queries for test in shown)
    notes += [*decided_otherwise(scores), few_states_warning(nontrivial.states)]
    table.caption = "\n".join(filter(None, notes))
    return table


def detectable_note(tests: Mapping[str, PairedTest]) -> str:
    """Return the smallest difference that each comparison could have seen, by its name."""
    figures = (f"{name}: {detectable_points(test.clustered)}" for name, test in tests.items())
    return f"could have seen (points, power {100 * POWER:.0f} %): {', '.join(figures)}"


def detectable_points(difference: ClusteredDifference) -> str:
    """Return the smallest detectable difference in points; a dash if none is known.

    It is that of a two-sided test at 5 %.
    """
    detectable = difference.detectable(LEVEL / 2)
    return "\N{EN DASH}" if detectable is None else f"{100 * detectable:.1f}"


def no_interval_notes(tests: Iterable[PairedTest]) -> list[str]:
    """Return a note on why intervals are missing; none if all are there."""
    missing = [test for test in tests if test.interval is None]
    few = [test for test in missing if test.clusters < MIN_CLUSTERS_FOR_INTERVAL]
    reasons = [f"fewer than {MIN_CLUSTERS_FOR_INTERVAL} sequences"] if few else []
    if len(few) < len(missing):
        reasons.append("all sequences differ alike")
    return [f"\N{EN DASH}: no interval: {' or '.join(reasons)}"] if reasons else []


def decided_otherwise(scores: Mapping[str, PairedTests]) -> list[str]:
    """Return one line per group of queries and score that differs from the main score.

    Scores differ if the sign of a significant difference (two-sided, 5 %) does.
    """
    main = scores[MAIN]
    groups = {">= 1": attrgetter("nontrivial"), "all": attrgetter("overall")}
    return [
        f"by {by} ({name}): {signed_points((test := of(tests)).difference)} points, "
        f"p {p_value(test.two_sided)} alone, unlike by {MAIN}"
        for by, tests in scores.items()
        for name, of in groups.items()
        if of(tests).sign != of(main).sign
    ]


def _cells(both: tuple[Estimate, ...], test: PairedTest, p: float) -> tuple[str, ...]:
    return (
        count_text(str(test.queries), test.queries),
        *(number(100 * estimate.tally.accuracy) for estimate in both),
        signed_points(test.difference),
        interval_in_points(test),
        p_value(p),
    )


def interval_in_points(test: PairedTest) -> str:
    """Return the interval of a difference in percentage points, a dash if there is none."""
    return " to ".join(map(signed_points, test.interval)) if test.interval else "\N{EN DASH}"
