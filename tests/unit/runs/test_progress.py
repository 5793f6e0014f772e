"""Progress on a terminal and as plain lines."""

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
    """Without a terminal there is a line every ten seconds and one at the end."""
    clock = iter([100.0, 104.0, 112.0, 120.0])
    monkeypatch.setattr("benchmark.runs.progress.time.monotonic", lambda: next(clock))
    console = _console(terminal=False)
    with RunProgress(console) as progress:
        progress.start(total=40, done=10)
        progress.advance(10)
        progress.advance(10)
        progress.advance(10)
    assert _text(console).splitlines() == [
        "resuming: 10 of 40 done",
        "decoding 30 states",
        "30/40 states, 1.67 a second",
        "40/40 states, 1.50 a second, took 20 s",
    ]


def test_lines_between_those_of_other_processes() -> None:
    """Each begins on a new line, in case another process has written part of one."""
    console = _console(terminal=False)
    console.file.write("tests/test_pairs.py ..")
    RunProgress(console, interleaved=True).start(total=1, done=0, name="m")
    console.file.write(".")
    assert _text(console) == "tests/test_pairs.py ..\ndecoding 1 states by m\n."


@pytest.mark.parametrize("terminal", [True, False])
def test_estimate_goes_by_the_batches_after_the_first(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    """No time left is shown before three batches; a slow first batch does not count."""
    seconds = [0.0, 300.0, 320.0, 340.0, 360.0]
    clock = iter(seconds)
    monkeypatch.setattr("benchmark.runs.progress.time.monotonic", lambda: next(clock))
    console = _console(terminal=terminal)
    console.width = 200
    shown = list[str]()
    with RunProgress(console) as progress:
        progress.start(total=100, done=0)
        for _ in seconds[1:]:
            monkeypatch.setattr(console, "file", io.StringIO())
            progress.advance(10)
            if progress._bar:
                progress._bar.refresh()
            shown.append(_text(console))
    assert not any("left" in text for text in shown[:2])
    assert "about 140 s left" not in shown[2]  # 2 min: 70 states at 10 in 20 s
    assert "0.50 a second, about 2 min left" in shown[2]
    assert "about 2 min left" in shown[3]  # 120 s


def test_no_estimate_from_few_states() -> None:
    """Three batches of one state each say nothing about a thousand."""
    console = _console(terminal=False)
    with RunProgress(console) as progress:
        progress.start(total=1000, done=0)
        for _ in range(4):
            progress._last_line = -1000.0
            progress.advance(1)
    assert "4/1000 states" in _text(console)
    assert "left" not in _text(console)


def test_lines_of_several_models_are_named() -> None:
    """With ``named`` each plain line begins with the model's name."""
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
    """The line has the accuracy so far and the used GPU memory."""
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


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR a terminal gets no colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    console = _console(terminal=True)
    with RunProgress(console) as progress:
        progress.start(total=4, done=0)
        progress.advance(4, Tally(7, 28))
    assert not re.search(r"\x1b\[[\d;]*3\d", _text(console))


def test_quiet() -> None:
    """A quiet console shows nothing."""
    console = Console(file=io.StringIO(), force_terminal=True, quiet=True)
    with RunProgress(console) as progress:
        progress.say("loading")
        progress.start(total=4, done=1)
        progress.advance(3, Tally(7, 28))
    assert not _text(console)


def test_forecast_and_time_taken() -> None:
    """The forecast is shown at the start, and at the end next to the time that decoding took."""
    for terminal in (True, False):
        console = _console(terminal=terminal)
        with RunProgress(console) as progress:
            progress.start(total=4, done=0, forecast=250.0)
            assert "forecast: about 4 min" in _text(console)
            progress.advance(2)
            assert "forecast was" not in _text(console)
            progress.advance(2)
        assert "took 0 s" in _text(console)
        assert "the forecast was 4 min" in _text(console)
