"""The table of a model's prompt variants, at most 80 columns wide."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from benchmark.runs.paired_table import decided_otherwise
from benchmark.stats.constants import POWER
from benchmark.stats.paired import PairedTest, PairedTests
from benchmark.stats.points import signed_points
from benchmark.stats.published import holm
from benchmark.stats.states_needed import few_states_warning
from benchmark.stats.summary import Estimate, Summary
from benchmark.terminal import number, p_value, plain_table

_CAPTION = (
    "set, exact: accuracy in per cent by each score\n"
    "diff., p: difference by set from the first row (the prompt of run), in points,\n"
    "and its p-value (paired, two-sided, clustered by sequence; all adjusted by Holm)"
)


class PromptRow(NamedTuple):
    """A prompt variant: its name, whether a BOS leads, and the accuracies by every score.

    ``tests`` are of the difference from the first row; the first row has none.
    """

    name: str
    leading_bos: bool
    summaries: Mapping[str, Summary]
    tests: Mapping[str, PairedTests] | None


def sensitivity_table(title: str, rows: Sequence[PromptRow]) -> Table:
    """Return the accuracies of every prompt variant at numops 0 and >= 1; the default is first."""
    table = plain_table(f"{title}: accuracy by prompt variant")
    table.add_column("prompt")
    table.add_column("BOS")
    for group in ("numops 0", "numops >= 1"):
        for name in ("set", "exact", "diff.", "p"):
            header = f"{group}\n{name}" if name == "set" else f"\n{name}"
            table.add_column(header, justify="right", no_wrap=True)
    p_values = iter(holm([test.two_sided for row in rows for test in _tests(row) if test]))
    for row in rows:
        table.add_row(row.name, "yes" if row.leading_bos else "no", *_cells(row, p_values))
    warning = few_states_warning(*(test.states for row in rows for test in _tests(row) if test))
    notes = [_CAPTION, *_detectable(rows), *_otherwise(rows), warning]
    table.caption = "\n".join(filter(None, notes))
    return table


def _detectable(rows: Sequence[PromptRow]) -> Iterator[str]:
    """Yield the smallest differences that the rows' tests could have seen, from least to most."""
    figures = []
    for name, numops in (("0", 0), (">= 1", None)):
        tests = filter(None, (_test(row, numops) for row in rows))
        seen = sorted(100 * share for test in tests if (share := test.detectable) is not None)
        if seen:
            ends = dict.fromkeys(f"{end:.1f}" for end in (seen[0], seen[-1]))
            figures.append(f"numops {name}: {' to '.join(ends)}")
    if figures:
        yield f"could have seen (points, power {100 * POWER:.0f} %): {', '.join(figures)}"


def _otherwise(rows: Sequence[PromptRow]) -> Iterator[str]:
    """Yield a line per row and group of queries where the exact score decides differently."""
    for row in rows:
        bos = "BOS" if row.leading_bos else "no BOS"
        for line in decided_otherwise(row.tests) if row.tests else ():
            yield f"{row.name}, {bos}: {line}"


def _cells(row: PromptRow, p_values: Iterator[float]) -> Iterator[str]:
    for numops, test in zip(_GROUPS, _tests(row), strict=True):
        yield from (number(_percent(row.summaries[by], numops)) for by in ("set", "exact"))
        yield from _difference(test, p_values)


def _percent(summary: Summary, numops: int | None) -> float | None:
    estimate: Estimate | None = (
        summary.nontrivial if numops is None else summary.by_numops.get(numops)
    )
    return 100 * estimate.tally.accuracy if estimate and estimate.tally.total else None


_GROUPS = (0, None)
"""Numops 0, and all above it."""


def _tests(row: PromptRow) -> list[PairedTest | None]:
    """Return the tests of a row by group of queries; None for a group without a test."""
    return [_test(row, numops) for numops in _GROUPS]


def _test(row: PromptRow, numops: int | None) -> PairedTest | None:
    if row.tests is None:
        return None
    tests = row.tests["set"]
    return tests.nontrivial if numops is None else tests.by_numops.get(numops)


def _difference(test: PairedTest | None, p_values: Iterator[float]) -> tuple[str, str]:
    if test is None:
        return "", ""
    return signed_points(test.difference), p_value(next(p_values))
