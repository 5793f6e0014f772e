"""The folder of what can be fetched or computed again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of downloads, environments and digests of large files."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "entity-tracking-benchmark"
