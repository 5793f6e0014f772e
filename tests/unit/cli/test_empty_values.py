"""Empty arguments are refused by every verb, for every option and argument."""

from collections.abc import Iterator, Sequence

import pytest
import typer
from typer.core import TyperArgument, TyperGroup, TyperOption

from benchmark.cli.app import app
from fakes.command_line import command_line

Words = tuple[str, ...]
Parameters = Sequence[object]


def _verbs(group: TyperGroup, path: Words = ()) -> Iterator[tuple[Words, Parameters]]:
    """Yield the parameters of every verb of the real command tree, and of the tree itself."""
    yield path, group.params
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _verbs(command, (*path, name))
        else:
            yield (*path, name), command.params


def _tree() -> TyperGroup:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return root


VERBS = dict(_verbs(_tree()))


def _cases(parameters: Parameters) -> Iterator[tuple[Words, str]]:
    """Yield an empty value for every option and argument, and how the error names its place."""
    for parameter in parameters:
        if isinstance(parameter, TyperArgument):
            yield ("",), "argument"
        elif isinstance(parameter, TyperOption) and not parameter.is_flag:
            option = max(parameter.opts, key=len)
            yield (option, ""), option
            yield (f"{option}=",), option


def test_every_verb_is_tried() -> None:
    """The tree has all verbs, those of ``export`` too, and hundreds of options."""
    assert {("run",), ("report",), ("export", "junit"), ("bisect",), ()} <= VERBS.keys()
    assert sum(len([*_cases(parameters)]) for parameters in VERBS.values()) > 300


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb) or "benchmark")
def test_an_empty_value_is_misuse(verb: Words) -> None:
    """One line that names the option, exit code 2, and nothing else happens."""
    for words, place in _cases(VERBS[verb]):
        done = command_line(*verb, *words)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {place}"), (verb, words, line)
        assert " is empty; give it a value" in line
