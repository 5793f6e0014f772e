"""The memory that the test's process takes, on Linux."""

import resource
from pathlib import Path


def resident_bytes() -> int:
    """Return the bytes of the process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
