"""docs/command-line.md agrees with the command line."""

import re
import shlex
import tomllib
from pathlib import Path

import typer.main

from benchmark.cli.app import EXIT_CODES, app

PAGE = (Path(__file__).parents[3] / "docs" / "command-line.md").read_text(encoding="utf-8")
VERBS = getattr(typer.main.get_command(app), "commands", {})


def test_exit_codes() -> None:
    """The table is that of ``--help``."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert {int(code): words for code, words in rows} == EXIT_CODES


def test_verbs_that_take_a_settings_file() -> None:
    """The page names each of them."""
    names = {
        name
        for name, command in VERBS.items()
        if any("--settings" in parameter.opts for parameter in command.params)
    }
    listed = PAGE.partition("Verbs that decode (")[2].partition(")")[0]
    assert set(re.findall(r"`([\w-]+)`", listed)) == names


def test_settings_of_the_example(tmp_path: Path) -> None:
    """Its file is valid for ``run``, and so is the command below it."""
    text = PAGE.partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "copy-a.toml").write_text(text)
    command = re.search(r"^entity-tracking run --settings copy-a.toml (.*)", PAGE, re.MULTILINE)
    assert command
    words = ["--settings", str(tmp_path / "copy-a.toml"), *shlex.split(command[1])]
    params = VERBS["run"].make_context("run", words).params
    written = tomllib.loads(text)
    assert params["model"] == written["model"]
    assert (params["states"], params["dtype"]) == (8, written["dtype"])
