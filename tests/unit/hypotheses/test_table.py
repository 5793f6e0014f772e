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
    """A row has the verdict, the figures, the reason, and what contradicts the wording."""
    assert "CodeLlama 13B: +22.5" in _row(lines, "C1")
    assert "error" not in _row(lines, "C1")
    row = _row(lines, "C2")
    assert "undecided" in row
    assert "not CodeLlama 13B at 7: -3.4~" in row
    assert "figures disagree" in row
    assert "reason: within clustered error" in row
    assert "figures agree" in _row(lines, "M6")
    assert "interval -0.1 to" in _row(lines, "M6")
    assert "but: FLoat 7B at 7: 13.8, random 12.6~" in _row(lines, "M3")
    assert "reason: no result of" in _row(lines, "F1")
    summary = "11 supported, 0 not supported, 11 undecided (2 of them for lack of results)"
    assert summary in " ".join(" ".join(lines).split())


def test_without_results_every_claim_is_undecided() -> None:
    """Without results one line says so, instead of 22 rows without figures."""
    (line,) = _shown(Results(()), width=200)
    assert line.startswith("All 22 claims are undecided: somewhere has no result")
    assert "the paper's 29 models" in line


def test_with_few_results_the_others_say_what_is_missing() -> None:
    """A single pair decides its claims; every other claim names what it lacks."""
    entries = [e for e in published_results(published().values()).entries if not e.quoted]
    few = [e for e in entries if e.model in {"llama2-7b", "codellama-7b"}]
    lines = _shown(Results(tuple(few)))
    assert "85 % at numops 0 to 1" in _row(lines, "C4")
    assert "no result of" in _row(lines, "M4")
