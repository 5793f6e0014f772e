"""The environment of a run: everything that can change a score, by name."""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path

from benchmark.runs.suspect_table import table

_VARIABLES = ("OMP_", "MKL_", "ATEN_", "TORCH", "PYTORCH_", "TRANSFORMERS_", "CUBLAS_", "CUDA_")
"""Prefixes of the environment variables that torch and transformers read."""

_PRIVATE = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CACHE", "HOME", "PATH", "DIR")
"""Parts of the names of variables whose values are secrets or paths of one machine."""

CODE = (".py", ".toml", ".csv")


@dataclass(frozen=True, slots=True)
class Environment:
    """Groups of values by name.

    ``versions`` has the versions of libraries, ``hardware`` the device with its kind and threads,
    ``protocol`` the settings, ``batches`` what the engine reports about its batches, ``model`` the
    digests of weights and tokenizer, ``data`` the source of the states, ``variables`` the
    environment variables, and ``engine`` what an engine elsewhere tells of itself, with the
    versions of libraries there as ``versions.NAME``; empty for an engine of this process.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, object] = field(default_factory=dict)
    protocol: Mapping[str, object] = field(default_factory=dict)
    batches: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    engine: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the groups; without ``engine`` if it is empty, as in older records."""
        groups = asdict(self)
        return groups if self.engine else {n: g for n, g in groups.items() if n != "engine"}

    def flat(self) -> dict[str, str]:
        """Return every entry as text, with names such as ``versions.torch``."""
        groups = asdict(self).items()
        parts = ((group, part) for group, part in groups if isinstance(part, dict))
        return {f"{group}.{name}": str(v) for group, part in parts for name, v in part.items()}


def libraries() -> tuple[str, ...]:
    """Return the libraries that can affect a stage."""
    return tuple(table()["library"])


def versions() -> dict[str, str]:
    """Return the version of Python and of each installed library that can affect a stage."""
    return {"python": platform.python_version(), **installed(libraries())}


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of these libraries that are installed."""
    versions_by_name = dict[str, str]()
    for name in names:
        with suppress(PackageNotFoundError):
            versions_by_name[name] = version(name)
    return versions_by_name


def variables() -> dict[str, str]:
    """Return the environment variables that change results, without paths and secrets."""
    names = (name for name in sorted(os.environ) if name.startswith(_VARIABLES))
    return {name: os.environ[name] for name in names if not any(part in name for part in _PRIVATE)}


def code_digests() -> dict[str, str]:
    """Return a digest of each source and data file of the project, by its path in the package."""
    root = Path(str(files("benchmark")))
    paths = (path for path in sorted(root.rglob("*")) if path.suffix in CODE)
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in paths
    }
