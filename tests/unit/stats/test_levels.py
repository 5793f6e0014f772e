"""Levels, coverages and powers by simulation: a fast version of ``docs/levels.py``."""

from math import sqrt

import numpy as np
import pytest

from benchmark.stats.constants import MIN_CLUSTERS_TO_BE_SURE, POWER
from levels import CLUSTERS, Row, drift_lines, rows, simulate, table

SAMPLES = 150
ROWS = [row for row in rows() if row.used_from <= max(CLUSTERS) and row.kind != "share"]


def _name(row: Row) -> str:
    return f"{row.method}, {row.scenario}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_levels_coverages_and_powers(row: Row) -> None:
    """At the fewest and at 40 sequences, each holds within Monte-Carlo error.

    A method that shows nothing, because too few sequences differ, has neither.
    """
    for clusters in {max(row.used_from, CLUSTERS[0]), 40}:
        share = simulate(row, clusters, SAMPLES, seed=2)
        if share is None:
            continue
        if row.kind == "level":
            error = sqrt(row.nominal * (1 - row.nominal) / share.samples)
            assert share.value <= row.nominal + 4 * error
        elif row.kind == "power":
            # With few sequences the test's level is below 5 %, and its power too.
            lowest = POWER if clusters > MIN_CLUSTERS_TO_BE_SURE else 0.65
            assert share.value >= lowest - 4 * sqrt(lowest * (1 - lowest) / share.samples)
            assert share.value <= 0.9 + 4 * sqrt(0.9 * 0.1 / share.samples)
        elif row.kind == "coverage":
            assert share.value >= 0.93 - 4 * sqrt(0.93 * 0.07 / share.samples)


def test_the_bootstrap_does_not_hold_its_coverage() -> None:
    """The percentile bootstrap, which is not used, covers too rarely: the test can fail."""
    row = next(r for r in rows() if r.method == "(bootstrap)" and r.scenario == "40 %, +10")
    share = simulate(row, 5, 300, seed=2)
    assert share
    assert share.value < 0.93 - 3 * share.error


def test_a_trial_is_reproducible() -> None:
    """The same seed yields the same share, and its error is the binomial one."""
    row = ROWS[0]
    first, second = (simulate(row, 12, 50, seed=3) for _ in range(2))
    assert first
    assert first == second
    assert first.error == pytest.approx(np.sqrt(first.value * (1 - first.value) / 50))


def test_the_table_fits_80_columns() -> None:
    """A method is named once, and values where it is not used are in parentheses."""
    interval = [row for row in rows() if row.method == "gain interval"][:2]
    header, first, second = table(interval, (5, 12), 20, 1)
    assert header.split() == ["clusters", "5", "12"]
    assert first.startswith("gain interval")
    assert second.startswith(" ")
    assert first.split()[-2].startswith("(")
    assert not first.split()[-1].endswith(")")
    assert max(map(len, (header, first, second))) <= 80


def test_lines_of_drifts() -> None:
    """One for false alarms, one per drift and one for a step; larger drifts are found sooner."""
    first, *others = drift_lines(4, 1)
    assert first.startswith("runs until a false alarm: ")
    halves = [int(line.partition("half within ")[2].partition(",")[0]) for line in others]
    assert halves[0] > halves[1] > halves[3]
    assert others[-1].startswith("step of 1: ")
