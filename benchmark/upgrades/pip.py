"""pip, of this environment, in a process of its own."""

import subprocess
import sys
from subprocess import CompletedProcess

from benchmark.errors import MissingLibraryError


def run_pip(*arguments: str, patience: float) -> CompletedProcess[str]:
    """Run pip, and give what it printed; its exit status is the caller's to look at.

    Args:
        arguments: those that are checked or our own.
        patience: seconds that it may take.

    Raises:
        MissingLibraryError: where there is no pip.
        TimeoutExpired: when it took longer.
    """
    command = [sys.executable, "-m", "pip", *arguments]
    # What comes from a user is checked by the callers: names and requirements only.
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=patience
    )
    if "No module named pip" in done.stderr:
        raise MissingLibraryError("pip is not installed here; run: python -m ensurepip")
    return done
