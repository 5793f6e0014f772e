"""The architecture: import contracts, and a quick ``--help``."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]

HEAVY = {
    *("torch", "transformers", "tokenizers", "outlines", "outlines_core", "accelerate"),
    *("numpy", "scipy", "matplotlib", "pyarrow", "pydantic", "rich", "huggingface_hub"),
    *("pytest", "syrupy"),
}


def test_layers_hold() -> None:
    """Every import-linter contract of pyproject.toml is kept."""
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


# Typer itself imports pydantic to build the options of a verb.
@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], HEAVY),
        (["run", "--help"], HEAVY - {"pydantic"}),
        (["export", "--help"], HEAVY - {"pydantic"}),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str], heavy: set[str]) -> None:
    """Showing the help imports none of the libraries that take long to import."""
    code = (
        "import sys\n"
        f"sys.argv = ['benchmark', *{arguments!r}]\n"
        "from benchmark.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({sorted(heavy)!r}) & sys.modules.keys()))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
