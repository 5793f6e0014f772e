"""Writing files so that a failure leaves what was there before."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_text(path: Path, parts: Iterable[str]) -> None:
    """Write the parts to the file at once or not at all; line ends are as in the parts.

    A path that is not an ordinary file (a pipe, ``/dev/stdout``) is written to directly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
        return
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
