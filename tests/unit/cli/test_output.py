"""``--json``, ``--json-file`` and ``-q``."""

import json
from pathlib import Path

import pytest

from fakes.command_line import command_line


def test_both_ways_have_the_same_json(tmp_path: Path) -> None:
    """The flag prints it instead of the table; the file is written next to either."""
    path = tmp_path / "x.json"
    table = command_line("list", "engines", "--json-file", path)
    assert "description" in table.stdout
    printed = command_line("list", "engines", "--json")
    assert json.loads(printed.stdout) == json.loads(path.read_text())


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("compare a b --json x.json", "compare a b --json-file x.json"),
        ("compare a b --json=x.json", "compare a b --json-file=x.json"),
        ("bisect torch 1 2 --json x", "bisect torch 1 2 --json-file x"),
        ("speed --model m --json x", "speed --model m --json-file x"),
        ("run --model m -o o --json x", "run --model m -o o --json-file x"),
    ],
)
def test_old_form_names_the_new_one(arguments: str, command: str) -> None:
    """A file after --json is a usage error with the command to use."""
    done = command_line(*arguments.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"to write a file, run: python -m benchmark {command}. See" in done.stderr


def test_old_form_of_canary() -> None:
    """It takes any number of names, so that a file is taken for one."""
    done = command_line("canary", "--json", "x.json", "transformers")
    assert done.returncode == 2
    assert "x.json is not a library; --json prints to standard output" in done.stderr


def test_flag_before_arguments_is_the_new_form() -> None:
    """A file that is an argument is not taken for the value of --json."""
    done = command_line("compare", "--json", "a.json", "b.json")
    assert "a.json: No such file" in done.stderr


def test_quiet_leaves_out_the_written_line(tmp_path: Path) -> None:
    """Files are written all the same."""
    path = tmp_path / "x.jsonl"
    done = command_line("generate", "--split", "dev", "--subsample", "-q", "-o", path)
    assert (done.stdout, done.stderr, path.is_file()) == ("", "", True)
