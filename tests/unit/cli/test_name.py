"""The name that the command line is called by, its version, and shell completion."""

import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from benchmark import __version__
from benchmark.cli.app import SCRIPT, main
from fakes.command_line import command_line

ROOT = Path(__file__).parents[3]


def _script(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"/usr/bin/{SCRIPT}", *arguments])
        with pytest.raises(SystemExit):
            main()
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_script_of_the_package() -> None:
    """The entry point exists, and is the same as ``python -m benchmark``."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert set(scripts) == {SCRIPT}
    module, _, function = scripts[SCRIPT].partition(":")
    assert callable(getattr(import_module(module), function))


def test_help_shows_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    """In usage, example and errors."""
    page = _script("run", "--help", capsys=capsys)
    assert "Usage: entity-tracking run" in page
    assert "  entity-tracking run --model" in page
    assert "See: entity-tracking run --help" in _script("run", "--what", capsys=capsys)
    assert "Usage: python -m benchmark run" in command_line("run", "--help").stdout


def test_version() -> None:
    """Name and number of the package."""
    done = command_line("--version")
    assert (done.returncode, done.stdout) == (0, f"entity-tracking-benchmark {__version__}\n")


def _completed(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setenv("_ENTITY_TRACKING_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"{SCRIPT} {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" "))))
    return _script(capsys=capsys).split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("finger", ["fingerprint"]),
        ("list e", ["engines"]),
        ("run --engine spec", ["speculative"]),
        ("run --task mo", ["move-contents"]),
        ("run --protocol p", ["paper"]),
        ("run --prompt-va", ["--prompt-variant"]),
    ],
)
def test_completion(
    words: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Verbs, options and values are completed in a shell."""
    assert _completed(words, monkeypatch, capsys) == expected


def test_completion_is_for_the_script() -> None:
    """A shell completes commands, and ``python -m benchmark`` is none."""
    done = command_line("--show-completion")
    assert done.returncode == 2
    assert "run: entity-tracking --show-completion" in done.stderr
