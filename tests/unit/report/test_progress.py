"""Progress as lines where there is no terminal."""

import io

import pytest
from rich.console import Console

from benchmark.report.progress import RunProgress


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=terminal)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is a line every ten seconds and one at the end, with the rate."""
    clock = iter([100.0, 104.0, 112.0, 120.0])
    monkeypatch.setattr("benchmark.report.progress.time.monotonic", lambda: next(clock))
    console = _console(terminal=False)
    with RunProgress(console) as progress:
        progress.start(total=40, done=10)
        progress.advance(10)
        progress.advance(10)
        progress.advance(10)
    assert _text(console).splitlines() == [
        "10 of 40 states were already there",
        "decoding 30 states",
        "30/40 states, 1.67 a second, about 6 s left",
        "40/40 states, 1.50 a second, about 0 s left",
    ]


def test_a_live_line_on_a_terminal() -> None:
    """On a terminal there is a bar with states done, rate and time left."""
    console = _console(terminal=True)
    with RunProgress(console) as progress:
        progress.start(total=4, done=0)
        progress.advance(4)
    text = _text(console)
    assert "4/4" in text
    assert "a second" in text
