"""``python -m benchmark VERB``, which is also the command ``entity-tracking``."""

import sys


def main() -> None:
    """Run the command line, or say which library is missing."""
    try:
        from benchmark.cli.app import main as run
    except ModuleNotFoundError as error:
        # Most likely a Python without the dependencies.
        print(
            f"error: no {error.name} in {sys.executable}; run make venv in the project's folder, "
            "then .venv/bin/python -m benchmark",
            file=sys.stderr,
        )
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
