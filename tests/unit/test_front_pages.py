"""README.md and CONTRIBUTING.md name what there is."""

import re
from pathlib import Path

import pytest
import typer.main

from benchmark.cli.app import app

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = (
    (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")
)


def test_readme_has_every_verb() -> None:
    """Its table has each verb of the command line once."""
    table = README.partition("| verb | what it does |\n|---|---|\n")[2].partition("\n\n")[0]
    verbs = [name for line in table.splitlines() for name in _names(line.split(" | ")[0])]
    command = typer.main.get_command(app)
    assert sorted(verbs) == sorted(getattr(command, "commands", {}))


def _names(text: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", text)


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_targets_and_files_exist(page: str) -> None:
    """Each target of make, each file of the project and each linked page exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([\w-]+)`|^    make ([\w-]+)", page, re.MULTILINE)
    assert {a or b for a, b in targets} <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    named = re.findall(r"\b((?:benchmark|docs|fixtures|snapshots|tests)/[\w./-]*\w)", page)
    linked = re.findall(r"\]\(([\w./-]+)\)", page)
    assert not [name for name in (*named, *linked) if not (ROOT / name).exists()]
