"""What can move which stage: libraries, settings and files of the project, out of a table."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

Reach = Mapping[str, int]
"""By stage: 3 where it makes what the stage records, 2 where that goes straight in, 1 rarely."""

KINDS = ("library", "setting", "code")


@cache
def table() -> dict[str, dict[str, Reach]]:
    """What can move which stage, by kind and name, as ``suspects.toml`` has it."""
    text = files("benchmark.runs").joinpath("suspects.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return {kind: data[kind] for kind in KINDS}
