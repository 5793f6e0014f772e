"""``python -m benchmark VERB``, which is also the command ``entity-tracking``."""

import sys

from benchmark.package_data import is_installed


def main() -> None:
    """Run the command line, or say which library is missing."""
    try:
        from benchmark.cli.app import main as run
    except ModuleNotFoundError as error:
        # Most likely a Python without the dependencies.
        print(f"error: no {error.name} in {sys.executable}; {_advice(error)}", file=sys.stderr)
        sys.exit(2)
    run()


def _advice(error: ModuleNotFoundError) -> str:
    """Return how to install a missing library: in a checkout, or where a wheel is installed."""
    if not is_installed():
        return "run make venv in the project's folder, then .venv/bin/python -m benchmark"
    library = str(error.name).partition(".")[0]
    return f"run {sys.executable} -m pip install {library}"


if __name__ == "__main__":
    main()
