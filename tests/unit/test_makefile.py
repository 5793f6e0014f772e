"""``make`` without arguments says what it can make."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def targets() -> set[str]:
    """Every target of the Makefile that is not a file of an environment."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    targets = set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))
    assert targets == set(phony.split())
    return targets


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
@pytest.mark.parametrize("arguments", [(), ("help",)], ids=["default", "help"])
def test_help_has_every_target(arguments: tuple[str, ...], targets: set[str]) -> None:
    """``make`` and ``make help`` list each target once, with a description, and make nothing."""
    done = subprocess.run(  # noqa: S603
        ["make", "--no-print-directory", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    lines = [re.fullmatch(r"make ([\w-]+) +\w.+", line) for line in done.stdout.splitlines()]
    assert all(lines)
    assert sorted(line[1] for line in lines if line) == sorted(targets)
