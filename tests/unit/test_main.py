"""The command in a Python without the dependencies."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "benchmark"


@pytest.mark.parametrize(
    ("installed", "advice"),
    [(False, "run make venv in the project's folder"), (True, "-m pip install missing_library")],
)
def test_a_missing_library_is_named(tmp_path: Path, installed: bool, advice: str) -> None:  # noqa: FBT001
    """The line has the command that installs it, for a checkout or an installed wheel."""
    venv.create(tmp_path / "venv", symlinks=True)
    (libraries,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    package = (libraries if installed else tmp_path) / "benchmark"
    (package / "cli").mkdir(parents=True)
    for name in ("__init__.py", "cli/__init__.py"):
        (package / name).touch()
    (package / "cli" / "app.py").write_text("import missing_library.part")
    for name in ("__main__.py", "package_data.py"):
        (package / name).write_text((PACKAGE / name).read_text())
    command = [str(tmp_path / "venv" / "bin" / Path(sys.executable).name), "-m", "benchmark"]
    done = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env={}, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: no missing_library in ")
    assert advice in done.stderr
