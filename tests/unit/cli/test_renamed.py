"""Verbs of earlier versions name the command that replaces them."""

import shlex

import pytest

from fakes.command_line import command_line


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (
            "vanilla m --states 1 --out x.json",
            "fingerprint --probe vanilla m --states 1 --out x.json",
        ),
        ("tokenizers --out 'a b.json'", "fingerprint --probe tokenizers --out 'a b.json'"),
        ("hub-folder llama", "fetch llama --hub-folder DIR"),
        ("hub-folder llama --out d", "fetch llama --hub-folder d"),
        ("hub-folder llama --out=d", "fetch llama --hub-folder=d"),
        ("engines --json", "list engines --json"),
    ],
)
def test_old_verb_names_the_new_command(arguments: str, command: str) -> None:
    """One line, exit code 2, and a command that can be pasted."""
    done = command_line(*shlex.split(arguments))
    assert (done.returncode, done.stdout) == (2, "")
    verb = arguments.split(maxsplit=1)[0]
    assert f"{verb} is now " in done.stderr
    assert f"; run: python -m benchmark {command}. See:" in done.stderr


def test_guessed_verb_is_suggested() -> None:
    """A misspelled verb is told from a renamed one."""
    assert "Did you mean 'fingerprint'" in command_line("fingerprnt").stderr
