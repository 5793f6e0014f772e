"""Run this environment's pip in a separate process."""

import sys
from subprocess import CompletedProcess

from benchmark.errors import MissingLibraryError
from benchmark.lifetime import run_tied


def run_pip(*arguments: str, patience: float) -> CompletedProcess[str]:
    """Run pip and return its output; the caller checks the exit status.

    The caller has checked the arguments; ``patience`` is in seconds.

    Raises:
        MissingLibraryError: if pip is not installed.
        TimeoutExpired: if pip took longer than ``patience``.
    """
    command = [sys.executable, "-m", "pip", *arguments]
    # Callers check what comes from a user: names and requirements only.
    done = run_tied(command, timeout=patience)
    if "No module named pip" in done.stderr:
        raise MissingLibraryError("pip is not installed here; run: python -m ensurepip")
    return done
