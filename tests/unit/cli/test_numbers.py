"""Numbers out of range are refused by every verb, for every option that takes a number."""

from collections.abc import Iterator

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from benchmark.cli.app import app
from fakes.command_line import command_line

HUGE = "1" + "0" * 30

LATER = {
    "--seed": {HUGE},  # a seed may have any number of digits
    # These are checked with other settings, and may be larger than anything reaches.
    **{name: {"-1", HUGE} for name in ("--states", "--batch-size", "--max-new-tokens")},
    **{name: {"-1", HUGE} for name in ("speed --repeats", "speed --slow-states")},
}
"""Values that the command line leaves to the verb, by option."""


def _options(group: TyperGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield verb and name of each option that takes a number, and the kind of number."""
    for name, command in {"": group, **group.commands}.items():
        verb = (*path, name) if name else path
        if name and isinstance(command, TyperGroup):
            yield from _options(command, verb)
            continue
        for parameter in command.params:
            kind = _kind(parameter)
            if isinstance(parameter, TyperOption) and kind:
                yield (*verb, max(parameter.opts, key=len), kind)


def _kind(parameter: object) -> str:
    words = str(getattr(getattr(parameter, "type_descriptor", None), "annotation", ""))
    return next((kind for kind in ("int", "float") if kind in words), "")


def _tree() -> TyperGroup:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return root


OPTIONS = sorted(set(_options(_tree())))


def test_the_options_are_those_of_the_command_line() -> None:
    """Options of verbs and of the command itself, whole and other numbers."""
    expected = {
        ("--read-limit", "float"),
        ("plan", "--vram", "float"),
        ("plan", "--gpus", "int"),
        ("run", "--batch-size", "int"),
    }
    assert expected <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=" ".join)
def test_a_number_out_of_range_is_misuse(option: tuple[str, ...]) -> None:
    """One line that names the option, before the verb does anything."""
    *verb, name, _ = option
    values = {"inf", "nan", "1e300", "-inf", "-1", HUGE, "2x", ""}
    values -= LATER.get(" ".join((*verb, name)), LATER.get(name, set()))
    for value in sorted(values):
        words = [*verb, f"{name}={value}", *(() if verb else ("list", "models"))]
        done = command_line(*words)
        assert done.returncode == 2, words
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: ")
        assert name in line, words
