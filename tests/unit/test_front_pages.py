"""README.md, CONTRIBUTING.md and the pages of docs/ name what there is."""

import re
from pathlib import Path

import pytest
import typer.main

from benchmark.cli.app import app

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = (
    (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")
)


def test_page_of_the_command_line_has_every_verb() -> None:
    """Its table has each verb once."""
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = page.partition("| verb | what it does |\n|---|---|\n")[2].partition("\n\n")[0]
    verbs = [name for line in table.splitlines() for name in _names(line.split(" | ")[0])]
    command = typer.main.get_command(app)
    assert sorted(verbs) == sorted(getattr(command, "commands", {}))


def _names(text: str) -> list[str]:
    return re.findall(r"`([\w-]+)`", text)


def test_readme_is_short() -> None:
    """It has at most 150 lines."""
    assert len(README.splitlines()) <= 150


def test_index_links_every_page() -> None:
    """docs/index.md links each page of docs/, in its table and in the site's menu."""
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert set(re.findall(r"\]\((\w[\w-]*)\.md\)", text)) == pages
    menus = re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL)
    entries = (line for menu in menus for line in menu.splitlines())
    assert {entry for entry in entries if re.fullmatch(r"[\w-]+", entry)} == pages


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_of_a_page_exist(page: Path) -> None:
    """Each file that a page of docs/ links is there."""
    linked = re.findall(r"\]\((?!https?:)([\w./-]+)(?:#[\w-]+)?\)", page.read_text("utf-8"))
    assert not [name for name in linked if not (page.parent / name).exists()]


@pytest.mark.parametrize("page", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_targets_and_files_exist(page: str) -> None:
    """Each target of make, each file of the project and each linked page exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([\w-]+)`|^    make ([\w-]+)", page, re.MULTILINE)
    assert {a or b for a, b in targets} <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    named = re.findall(r"\b((?:benchmark|docs|fixtures|snapshots|tests)/[\w./-]*\w)", page)
    linked = re.findall(r"\]\(([\w./-]+)\)", page)
    assert not [name for name in (*named, *linked) if not (ROOT / name).exists()]
