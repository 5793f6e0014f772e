"""``python -m benchmark VERB``."""

import sys

if __name__ == "__main__":
    try:
        from benchmark.cli.app import main
    except ModuleNotFoundError as error:
        # Most likely a Python without the dependencies.
        print(
            f"error: no {error.name} in {sys.executable}; run make venv in the project's folder, "
            "then .venv/bin/python -m benchmark",
            file=sys.stderr,
        )
        sys.exit(2)
    main()
