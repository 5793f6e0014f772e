"""The architecture's rules hold."""

import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_layers_hold() -> None:
    """Every import-linter contract of pyproject.toml is kept."""
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_help_imports_nothing_heavy() -> None:
    """Showing the help loads neither torch nor transformers nor outlines nor numpy."""
    code = (
        "import sys\n"
        "sys.argv = ['benchmark', 'run', '--help']\n"
        "from benchmark.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'outlines', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
