"""The table of suspects: which libraries, settings and project files can change which stage."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

Reach = Mapping[str, int]
"""By stage: 3 for a direct cause, 2 for one directly upstream, 1 for a possible cause."""

KINDS = ("library", "setting", "code")


@cache
def table() -> dict[str, dict[str, Reach]]:
    """Return the content of ``suspects.toml``: by kind and name, the stages that it can change."""
    text = files("benchmark.runs").joinpath("suspects.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return {kind: data[kind] for kind in KINDS}
