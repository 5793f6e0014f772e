"""GGUF files read in less time by the libraries that read them, with the same result."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def quick_gguf() -> Iterator[None]:
    """Within it a GGUF file is read once, in plain arrays, without looking for garbage meanwhile.

    transformers reads the whole file for a model's configuration and again for its weights, and
    makes the table of tensor names anew for each of its modules; gguf makes a memory-mapped array
    of every string of the vocabulary, half a million, among which cycles are looked for again and
    again. Both are left as they were. Figures in docs/log.md.
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
    """The reader of gguf, with the file as a plain array: a memory map's slices take far longer."""
    import numpy as np
    from gguf.gguf_reader import GGUFReader

    class Plain(GGUFReader):  # type: ignore[misc]
        def _build_fields(self, *place: int) -> int:
            file: np.ndarray = self.data  # type: ignore[has-type]  # gguf has no types
            self.data = file.view(np.ndarray)
            end: int = super()._build_fields(*place)
            return end

    return Plain(path, mode)


def _set(module: object, names: Mapping[str, object]) -> None:
    for name, value in names.items():
        setattr(module, name, value)
