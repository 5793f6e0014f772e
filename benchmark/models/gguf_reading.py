"""Make transformers and gguf read GGUF files faster, with the same result."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from benchmark.models.location import Location


def gguf_arguments(location: Location) -> dict[str, str]:
    """Return the argument that makes transformers read a GGUF file."""
    return {"gguf_file": location.gguf} if location.gguf else {}


def gguf_cache(location: Location) -> AbstractContextManager[None]:
    """Return the context in which a model is loaded: fast reading for a GGUF file."""
    return fast_gguf_reading() if location.gguf else nullcontext()


@contextmanager
def fast_gguf_reading() -> Iterator[None]:
    """Read each GGUF file only once, into plain arrays, with garbage collection disabled.

    transformers reads the complete file for a model's configuration and again for its weights, and
    rebuilds the table of tensor names for each module. gguf creates a memory-mapped array for every
    string of the vocabulary, half a million, which the garbage collector then scans repeatedly.
    Afterwards both libraries are as before. See docs/log.md for figures.
    """
    import gguf

    names = {"GGUFReader": cache(_reader), "get_tensor_name_map": cache(gguf.get_tensor_name_map)}
    before = {name: getattr(gguf, name) for name in names}
    collects = gc.isenabled()
    gc.disable()
    _set(gguf, names)
    try:
        yield
    finally:
        _set(gguf, before)
        if collects:
            gc.enable()


def _reader(path: str, mode: Any = "r") -> Any:  # noqa: ANN401  # as gguf's
    """Return gguf's reader with the file as a plain array; slices of a memory map are slow."""
    import numpy as np
    from gguf.gguf_reader import GGUFReader

    class PlainArrayReader(GGUFReader):  # type: ignore[misc]
        def _build_fields(self, *offset: int) -> int:
            file: np.ndarray = self.data  # type: ignore[has-type]  # gguf has no types
            self.data = file.view(np.ndarray)
            end: int = super()._build_fields(*offset)
            return end

    return PlainArrayReader(path, mode)


def _set(module: object, names: Mapping[str, object]) -> None:
    for name, value in names.items():
        setattr(module, name, value)
