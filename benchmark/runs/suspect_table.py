"""The table of suspects: which libraries, settings and project files can change which stage."""

from collections.abc import Mapping
from functools import cache

from benchmark.package_data import package_toml

Reach = Mapping[str, int]
"""By stage: 3 for a direct cause, 2 for one directly upstream, 1 for a possible cause."""

KINDS = ("library", "engine", "setting", "code")
"""Libraries here, libraries where an engine elsewhere runs, settings, and files of the project."""


@cache
def table() -> dict[str, dict[str, Reach]]:
    """Return the content of ``suspects.toml``: by kind and name, the stages that it can change."""
    data = package_toml("runs/suspects.toml")
    return {kind: data[kind] for kind in KINDS}
