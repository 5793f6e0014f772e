"""Every command block of the documentation is run, or says why not."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.documented_commands import PAGES, ROOT, CommandBlock, blocks

RUN = {
    page: [block for block in blocks(page.read_text(encoding="utf-8")) if not block.reason]
    for page in PAGES
}

NOT_LINKED = {".git", ".venv", "report", "runs"}
"""Entries of the project's folder that a command makes, or that is linked to this environment."""

COMMAND = re.compile(
    r"^ {4}(?:\$ )?(?:entity-tracking|python|pytest|make|pip|nox|git) ", re.MULTILINE
)


@pytest.mark.parametrize("page", [page for page, run in RUN.items() if run], ids=lambda p: p.stem)
def test_commands_succeed(page: Path, tmp_path: Path, warm_programs: Path) -> None:
    """The blocks of a page, one after the other, each end with exit status 0.

    Their folder has the project's files as links, and an environment whose ``entity-tracking`` is a
    fork of this process. The session ``wheel`` of nox has the installed program.
    """
    for path in ROOT.iterdir():
        if path.name not in NOT_LINKED:
            (tmp_path / path.name).symlink_to(path)
    activate = tmp_path / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(f"PATH={shlex.quote(str(warm_programs))}:$PATH\n")
    for block in RUN[page]:
        done = _shell(block.text, tmp_path, warm_programs)
        assert done.returncode == 0, f"{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def _shell(commands: str, folder: Path, first: Path) -> subprocess.CompletedProcess[str]:
    """Run commands with the programs of this folder first, and then those of this environment."""
    programs = os.pathsep.join((str(first), str(Path(sys.executable).parent)))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment |= {"PATH": os.pathsep.join((programs, os.environ["PATH"]))}
    environment |= {"PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603  # the documentation's own commands
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
    assert _shell("false\ntrue\n", tmp_path, tmp_path).returncode == 1
