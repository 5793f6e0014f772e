"""The command in a Python without the dependencies."""

import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).parents[2] / "benchmark" / "__main__.py"


@pytest.mark.parametrize(
    ("is_checkout", "advice"),
    [(True, "run make venv in the project's folder"), (False, "-m pip install missing_library")],
)
def test_a_missing_library_is_named(tmp_path: Path, is_checkout: bool, advice: str) -> None:  # noqa: FBT001
    """The line has the command that installs it, for a checkout or an installed wheel."""
    package = tmp_path / "benchmark"
    (package / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py"):
        (package / name).touch()
    (package / "cli" / "app.py").write_text("import missing_library.part")
    (package / "__main__.py").write_text(MAIN.read_text())
    if is_checkout:
        (tmp_path / "Makefile").touch()
    command = [sys.executable, "-m", "benchmark"]
    done = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env={}, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: no missing_library in ")
    assert advice in done.stderr
