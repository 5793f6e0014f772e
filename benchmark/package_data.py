"""Read the data files that come with the package."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def package_text(path: str) -> str:
    """Return the text of a file of the package, such as ``"decoding/engines.toml"``."""
    return files("benchmark").joinpath(*path.split("/")).read_text(encoding="utf-8")


def package_toml(path: str) -> dict[str, Any]:
    """Return the content of a TOML file of the package; a new dictionary at each call."""
    return tomllib.loads(package_text(path))
