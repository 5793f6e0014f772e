"""Differences are written with a sign, and zero has none of its own."""

import re
from pathlib import Path

import pytest

from benchmark.stats.points import signed, signed_points

PACKAGE = Path(__file__).parents[3] / "benchmark"


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 1, "+0.0"),
        (-0.0, 1, "+0.0"),
        (-0.04, 1, "+0.0"),
        (0.04, 1, "+0.0"),
        (-0.04, 2, "-0.04"),
        (-0.06, 1, "-0.1"),
        (12.34, 1, "+12.3"),
    ],
)
def test_signed(value: float, digits: int, text: str) -> None:
    """There is no minus in front of a zero."""
    assert signed(value, digits) == text
    assert signed_points(value / 100, digits) == text


def test_no_other_code_writes_signs() -> None:
    """All signed numbers go through the formatter: no other format has a plus."""
    pattern = re.compile(r"[{:]\+[ z]*[0-9]*\.\{?[0-9a-z]+\}?f")
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "points.py"]
    assert pattern.search("{0.1:+.1f}")
    assert [path.name for path in modules if pattern.search(path.read_text())] == []
