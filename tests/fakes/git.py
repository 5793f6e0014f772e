"""Git in repositories that the tests make."""

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity of its own; return its output."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
