"""Find the package, and read the data files that come with it."""

import sysconfig
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any


def package_parent() -> Path:
    """Return the folder that holds the package: a checkout, or an environment's libraries."""
    return Path(str(files("benchmark"))).parent


def is_installed(parent: Path | None = None) -> bool:
    """Return whether a folder, by default the package's, holds this environment's libraries."""
    libraries = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    return (parent or package_parent()) in libraries


@cache
def package_text(path: str) -> str:
    """Return the text of a file of the package, such as ``"decoding/engines.toml"``."""
    return files("benchmark").joinpath(*path.split("/")).read_text(encoding="utf-8")


def package_toml(path: str) -> dict[str, Any]:
    """Return the content of a TOML file of the package; a new dictionary at each call."""
    return tomllib.loads(package_text(path))
