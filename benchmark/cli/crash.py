"""Report unexpected errors: one line for the user, and the traceback in a file."""

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path


def crash_line(error: Exception) -> str:
    """Return one line with the error and the file that its traceback was written to."""
    text = " ".join(str(error).split()) or "no message"
    kind = type(error).__name__
    return (
        f"{kind}: {text}; this is a fault of the benchmark or of a library: "
        f"the traceback is in {_write_traceback(error)}"
    )


def _write_traceback(error: Exception) -> Path:
    lines = traceback.format_exception(error)
    name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{os.getpid()}.txt"
    folder = _folder()
    path = folder / name
    path.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    return path


def _folder() -> Path:
    """Return a folder that can be written to, for tracebacks."""
    from benchmark.models.cache_folder import cache_folder

    folder = cache_folder() / "tracebacks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
