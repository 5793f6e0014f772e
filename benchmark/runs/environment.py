"""Everything outside the code of the project that can change a score."""

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
"""Beginnings of the environment variables that torch and transformers read."""

_PRIVATE = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CACHE", "HOME", "PATH", "DIR")
"""Values of variables with these in their names are secrets, or places on one machine."""

CODE = (".py", ".toml", ".csv")


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions, hardware, protocol and model, each by name.

    ``versions`` are those of libraries; ``hardware`` is the device with its class and threads;
    ``protocol`` has engine, dtype and batch size; ``batches`` what the engine says of their
    composition; ``model`` what pins weights and tokenizer; ``data`` where states came from;
    ``variables`` what processes inherit.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, object] = field(default_factory=dict)
    protocol: Mapping[str, object] = field(default_factory=dict)
    batches: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """By name."""
        return asdict(self)

    def flat(self) -> dict[str, str]:
        """Every entry in words, named ``versions.torch`` and so on."""
        groups = self.as_json().items()
        parts = ((group, part) for group, part in groups if isinstance(part, dict))
        return {f"{group}.{name}": str(v) for group, part in parts for name, v in part.items()}


def libraries() -> tuple[str, ...]:
    """The libraries that reach any stage."""
    return tuple(table()["library"])


def versions() -> dict[str, str]:
    """The version of Python and of each library; a library that is not installed is left out."""
    return {"python": platform.python_version(), **installed(libraries())}


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the version of each of these libraries that is installed."""
    found = dict[str, str]()
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def variables() -> dict[str, str]:
    """The environment variables that change how libraries compute; no paths and no secrets."""
    names = (name for name in sorted(os.environ) if name.startswith(_VARIABLES))
    return {name: os.environ[name] for name in names if not any(part in name for part in _PRIVATE)}


def code_digests() -> dict[str, str]:
    """A digest of each source and data file of the project, by its path in the package."""
    root = Path(str(files("benchmark")))
    paths = (path for path in sorted(root.rglob("*")) if path.suffix in CODE)
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in paths
    }
