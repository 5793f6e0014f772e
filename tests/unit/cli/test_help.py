"""Every verb's help page, and what every verb takes."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main
from typer.core import TyperGroup

from benchmark.cli.app import EXIT_CODES, GROUPS, app
from benchmark.cli.help import SHARED_PANELS, command_lines
from fakes.command_line import command_line

if TYPE_CHECKING:
    from typer._click import Command

ROOT_FOLDER = Path(__file__).parents[3]

NO_RESULTS = {
    *("fingerprint", "generate", "migrate", "train-controls", "widen"),
    *("export results", "export junit", "export dataset"),
}
"""Verbs that write files and print no results."""


def _verbs(group: TyperGroup, *path: str) -> "Iterator[tuple[tuple[str, ...], Command]]":
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _verbs(command, *path, name)
        else:
            yield (*path, name), command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
VERBS = {" ".join(path): command for path, command in _verbs(ROOT)}


@pytest.mark.parametrize("verb", VERBS)
def test_help_page(verb: str) -> None:
    """It fits 80 columns, ends in an example, and is the same with -h."""
    page = command_line(*verb.split(), "--help").stdout
    assert page == command_line(*verb.split(), "-h").stdout
    assert max(map(len, page.splitlines())) <= 80
    example = page.partition("\nExample:\n")[2]
    assert example.startswith(f"  python -m benchmark {verb} ")


@pytest.mark.parametrize("verb", VERBS)
def test_usage_line(verb: str) -> None:
    """Placeholders are in upper case, without types; shared panels have the same order."""
    page = command_line(*verb.split(), "--help").stdout
    usage, _, rest = page.partition("\n\n")
    words = usage.split(f"{verb} [OPTIONS]")[1]
    assert words == words.upper()
    assert not set("<>{}") & set(words)
    arguments = rest.partition("\nArguments:\n")[2].partition("\n\n")[0]
    assert "<" not in arguments
    shared = [line[:-1] for line in page.splitlines() if line.rstrip(":") in SHARED_PANELS]
    assert shared == [panel for panel in SHARED_PANELS if panel in shared]


def test_the_page_names_the_verbs_without_results() -> None:
    """The row about --json lists the verbs that do not have it."""
    text = (ROOT_FOLDER / "docs" / "command-line.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| `--json` |"))
    named = {verb.split()[0] for verb in NO_RESULTS}
    assert all(f"`{verb}`" in row for verb in named)


@pytest.mark.parametrize("verb", VERBS)
def test_example_is_valid(verb: str) -> None:
    """Its options exist and its values are accepted; nothing is run."""
    words = shlex.split(VERBS[verb].epilog or "")
    with VERBS[verb].make_context(verb, words) as context:
        assert context.params


@pytest.mark.parametrize("verb", VERBS)
def test_options_that_every_verb_has(verb: str) -> None:
    """-q everywhere, --json and --json-file with results; -o and --limit as aliases."""
    spellings = [set(parameter.opts) for parameter in VERBS[verb].params]
    options = set[str]().union(*spellings)
    assert {"-q", "--quiet"} <= options
    assert ({"--json", "--json-file"} <= options) == (verb not in NO_RESULTS)
    for long, alias in (("--out", "-o"), ("--states", "--limit")):
        assert all(alias in names for names in spellings if long in names)


def test_json_is_a_flag_everywhere() -> None:
    """It takes no value in any verb."""
    for command in VERBS.values():
        for parameter in command.params:
            if "--json" in parameter.opts:
                assert getattr(parameter, "is_flag", False)


def test_verbs_are_in_groups() -> None:
    """The page of all verbs has each under its group, and the exit codes."""
    page = command_line("--help").stdout
    assert max(map(len, page.splitlines())) <= 80
    places = [page.index(f"\n{group}:\n") for group in GROUPS]
    assert places == sorted(places)
    commands = getattr(ROOT, "commands", {})
    groups = {getattr(command, "rich_help_panel", None) for command in commands.values()}
    assert groups == set(GROUPS)
    for verb in commands:
        assert f"\n  {verb} " in page
    for code, words in EXIT_CODES.items():
        assert f"\n  {code:<5}{words}\n" in page


def test_example_is_pasted_whole() -> None:
    """A long command is continued on the next line; an option stays with its value."""
    words = ["a", "b", "--option", "value", "--other", "two words"]
    lines = command_lines(words, 22)
    assert lines == ["a b --option value \\", "    --other 'two words'"]
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
