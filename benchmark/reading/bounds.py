"""How much is read of a file; far above the sizes of the benchmark's own files."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is read of one file; sizes in bytes.

    Attributes:
        document: a JSON or TOML document, a table, a template.
        line: a line of JSON lines or of a table.
        unpacked: what a gzip file, an xz file, or a member of an archive unpacks to.
        depth: how deep the arrays and objects of a document nest.
    """

    document: int = 64 * 2**20
    line: int = 2**20
    unpacked: int = 512 * 2**20
    depth: int = 100

    def scaled(self, factor: float) -> "Bounds":
        """Return bounds that are ``factor`` times as wide."""
        wider = {f.name: int(getattr(self, f.name) * factor) for f in fields(self)}
        return replace(self, **wider)


_USUAL = Bounds()
_BOUNDS = ContextVar("bounds", default=_USUAL)

READ_MORE = "read more with: python -m benchmark --read-limit 4 VERB"
"""How to raise the bounds, for errors."""


def current_bounds() -> Bounds:
    """Return the bounds of this context."""
    return _BOUNDS.get()


@contextmanager
def bounds(factor: float) -> Iterator[None]:
    """Read up to ``factor`` times as much as usual, within this context."""
    token = _BOUNDS.set(_USUAL.scaled(factor))
    try:
        yield
    finally:
        _BOUNDS.reset(token)


def raise_bounds(factor: float) -> None:
    """Read up to ``factor`` times as much as usual from now on, in this process."""
    _BOUNDS.set(_USUAL.scaled(factor))


def size(count: int) -> str:
    """Return a number of bytes in words: ``size(2**20)`` is ``1 MiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004  # binary units
            return f"{count} {unit}"
        count //= 1024
    return f"{count} GiB"
