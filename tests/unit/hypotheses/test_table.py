"""The table of claims on a terminal of 80 columns."""

from io import StringIO

import pytest
from rich.console import Console

from benchmark.hypotheses.claims import audit, claims
from benchmark.hypotheses.results import Results, published_results
from benchmark.hypotheses.table import claims_table
from benchmark.models.published import published


def _shown(results: Results, width: int = 80) -> list[str]:
    file = StringIO()
    Console(width=width, file=file).print(claims_table("somewhere", audit(results)))
    return file.getvalue().splitlines()


def _row(lines: list[str], claim: str) -> str:
    """Return the lines of one claim's row as one string."""
    start = next(n for n, line in enumerate(lines) if line.startswith(f" {claim} "))
    end = next(n for n, line in enumerate(lines) if n > start and not line.strip())
    return " ".join(" ".join(lines[start:end]).split())


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Return the table of the published results."""
    return _shown(published_results(published().values()))


def test_it_fits_80_columns(lines: list[str]) -> None:
    """No line is longer, every claim has its row, and no figure is cut off."""
    assert max(map(len, lines)) <= 80
    assert [
        line.split()[0] for line in lines if line[1:2].isupper() and line[2:3].isdigit()
    ] == list(claims())
    assert not any("…" in line for line in lines)


def test_verdicts_and_flags_are_shown(lines: list[str]) -> None:
    """A row has the verdict, whether it is within error, the figures, and what is against it."""
    assert "CodeLlama 13B: +22.5" in _row(lines, "C1")
    assert "within error" not in _row(lines, "C1")
    row = _row(lines, "C2")
    assert "not supported" in row
    assert "within error not CodeLlama 13B at 7: -3.4~" in row
    assert "but: FLoat 7B at 7: 13.8, random 12.6~" in _row(lines, "M3")
    assert "not decidable" in _row(lines, "F1")
    assert "19 supported, 1 not supported, 2 not decidable; 8 within error" in " ".join(lines)


def test_without_results_every_claim_is_undecided() -> None:
    """Without results every claim says which one is missing."""
    lines = _shown(Results(()))
    assert "0 supported, 0 not supported, 22 not decidable" in " ".join(lines)
    assert "Llama 2 7B or CodeLlama 7B" in _row(lines, "C4")
