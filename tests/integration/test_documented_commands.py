"""Every command block of the documentation is run, or says why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.documented_commands import PAGES, ROOT, CommandBlock, blocks

RUN = {
    page: [block for block in blocks(page.read_text(encoding="utf-8")) if not block.reason]
    for page in PAGES
}

# A page is run in a folder like the project's, whose own files it cannot change.
LINKED = ("benchmark", "fixtures", "snapshots", "tests", "conftest.py", "pyproject.toml")

COMMAND = re.compile(
    r"^ {4}(?:\$ )?(?:entity-tracking|python|pytest|make|pip|nox|git) ", re.MULTILINE
)


@pytest.mark.parametrize("page", [page for page, run in RUN.items() if run], ids=lambda p: p.stem)
def test_commands_succeed(page: Path, tmp_path: Path) -> None:
    """The blocks of a page, one after the other in one folder, each end with exit status 0."""
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "docs").mkdir()
    for name in ("levels.py", "screenshot.py"):
        (tmp_path / "docs" / name).symlink_to(ROOT / "docs" / name)
    for block in RUN[page]:
        done = _shell(block.text, tmp_path)
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _shell(commands: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run commands with the programs of this environment first."""
    programs = str(Path(sys.executable).parent)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment |= {"PATH": os.pathsep.join((programs, os.environ["PATH"]))}
    environment |= {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],  # noqa: S607
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_in_blocks(page: Path) -> None:
    """A page has no command in an indented block, where nothing would run it."""
    assert not COMMAND.findall(page.read_text(encoding="utf-8"))


def test_reason_is_read() -> None:
    """The comment in the line above a block is its reason; a block without one is run."""
    page = "<!-- not run: a GPU -->\n```bash\na\n```\n\n```bash\nb\n```\n"
    assert blocks(page) == (CommandBlock("a\n", "a GPU"), CommandBlock("b\n"))


def test_failure_is_seen(tmp_path: Path) -> None:
    """A command that fails before the last one of a block makes the block fail."""
    assert _shell("false\ntrue\n", tmp_path).returncode == 1
