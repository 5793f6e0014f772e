"""Progress as lines where there is no terminal."""

import io
import re

import pytest
from rich.console import Console

from benchmark.records import Tally
from benchmark.runs.progress import RunProgress


def _console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=terminal)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_plain_lines_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal there is a line every ten seconds and one at the end, with the rate."""
    clock = iter([100.0, 104.0, 112.0, 120.0])
    monkeypatch.setattr("benchmark.runs.progress.time.monotonic", lambda: next(clock))
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


def test_lines_of_several_models_say_whose_they_are() -> None:
    """Where models are measured side by side, each line names its own."""
    console = _console(terminal=False)
    with RunProgress(console, named=True) as progress:
        progress.start(total=4, done=0, name="one")
        progress.advance(4)
        progress.start(total=4, done=0, name="other")
        progress.advance(4)
    lines = _text(console).splitlines()
    assert [line.partition(":")[0] for line in lines if ":" in line] == ["one", "other"]


def test_a_live_line_on_a_terminal() -> None:
    """On a terminal there is a bar with states done, rate and time left."""
    console = _console(terminal=True)
    with RunProgress(console) as progress:
        progress.start(total=4, done=0)
        progress.advance(4)
    text = _text(console)
    assert "4/4" in text
    assert "a second" in text


def test_accuracy_so_far_and_memory() -> None:
    """The line says what is right so far, and what the GPU holds where there is one."""
    for terminal in (True, False):
        console = _console(terminal=terminal)
        with RunProgress(console) as progress:
            progress.start(total=4, done=0, name="a-model-of-a-rather-long-name")
            progress.advance(4, Tally(7, 28), 2_500_000_000)
        text = _text(console)
        assert "25.0 % right" in text
        assert "GPU 2.5 GB" in text
        assert "a-model-of-a-rath" in text
        assert max(map(len, re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", text).splitlines())) <= 80


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set a terminal gets no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = _console(terminal=True)
    with RunProgress(console) as progress:
        progress.start(total=4, done=0)
        progress.advance(4, Tally(7, 28))
    assert not re.search(r"\x1b\[[\d;]*3\d", _text(console))


def test_quiet() -> None:
    """A quiet console is told everything and shows nothing."""
    console = Console(file=io.StringIO(), force_terminal=True, quiet=True)
    with RunProgress(console) as progress:
        progress.say("loading")
        progress.start(total=4, done=1)
        progress.advance(3, Tally(7, 28))
    assert not _text(console)
