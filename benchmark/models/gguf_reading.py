"""Read each GGUF file once per process, also for transformers and gguf, with the same result."""

import gc
import inspect
import mmap
import struct
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.models.gguf_layout import check_gguf_layout

if TYPE_CHECKING:
    from benchmark.models.location import Location  # imports pydantic, which --help does without

_ARRAY, _STRING = 9, 8
_CONVERTED = -1
"""The code of a type that no file has: the values of an array are Python's already."""

_READ_METADATA = ("blob", "gguf_path", "string_arrays")
"""The parameters of transformers' own reader, in the releases that have it."""

_READERS: dict[tuple[int, ...], Any] = {}
"""The readers of the files that were read last, by what changes with a file's content."""

_MOST_READERS = 2
"""The files of a pair."""


def gguf_arguments(location: "Location") -> dict[str, str]:
    """Return the argument that makes transformers read a GGUF file."""
    return {"gguf_file": location.gguf} if location.gguf else {}


def gguf_cache(location: "Location") -> AbstractContextManager[None]:
    """Return the context in which a model is loaded: fast reading for a GGUF file."""
    return fast_gguf_reading() if location.gguf else nullcontext()


def read_gguf(path: Path, name: str) -> Any:  # noqa: ANN401  # gguf has no types
    """Return gguf's reader of a file, which is parsed again only if the file has changed.

    Its layout is checked first. ``name`` is that of the model, for errors.

    Raises:
        RefusedModelError: if it is not a GGUF file.
        OSError: if it cannot be read.
    """
    status = path.stat()
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if state not in _READERS:
        check_gguf_layout(path, name)
        with _without_collection():
            reader = _fast_reader()(str(path))
        for oldest in [*_READERS][: len(_READERS) + 1 - _MOST_READERS]:
            del _READERS[oldest]
        _READERS[state] = reader
    return _READERS[state]


@contextmanager
def fast_gguf_reading() -> Iterator[None]:
    """Let transformers and gguf read each GGUF file only once, with garbage collection disabled.

    transformers reads the complete file for a tokenizer, for a model's configuration and again for
    its weights, and rebuilds the table of tensor names for each module. gguf creates a
    memory-mapped array for every string of the vocabulary, half a million, which the garbage
    collector then scans repeatedly. Afterwards both libraries are as before. See docs/log.md for
    figures.
    """
    import gguf

    readers = list[Any]()

    def reader(path: str, mode: str = "r") -> Any:  # noqa: ANN401
        if mode != "r":
            return before["GGUFReader"](path, mode)
        readers.append(read_gguf(Path(path), path))
        return readers[-1]

    names = {"GGUFReader": reader, "get_tensor_name_map": cache(gguf.get_tensor_name_map)}
    before = {name: getattr(gguf, name) for name in names}
    _set(gguf, names)
    try:
        with _metadata_read_once(), _without_collection():
            yield
    finally:
        _set(gguf, before)
        for used in readers:
            _release_pages(used)


@contextmanager
def _metadata_read_once() -> Iterator[None]:
    """Replace the function that transformers' own reader calls for each use of a file."""
    with suppress(ImportError):  # an older release reads with gguf alone
        own = import_module("transformers.integrations.gguf.reader")
        read = getattr(own, "_read_metadata", None)
        if read and tuple(inspect.signature(read).parameters) == _READ_METADATA:
            _set(own, {"_read_metadata": _metadata_reader(read)})
            try:
                yield
            finally:
                _set(own, {"_read_metadata": read})
            return
    yield


Metadata = tuple[dict[str, object], int, int]


def _metadata_reader(read: Callable[..., Metadata]) -> Callable[..., Metadata]:
    """Return a function that does what transformers' does for files of a usual kind."""

    def metadata(blob: object, gguf_path: str, string_arrays: Container[str] = ()) -> Metadata:
        reader = read_gguf(Path(gguf_path), gguf_path)
        fields = {key: field for key, field in reader.fields.items() if field.offset >= _FIRST}
        usual = all(field.types[0] != _ARRAY or _is_converted(field) for field in fields.values())
        if reader.byte_order == "S" or not usual or "general.architecture" not in fields:
            return read(blob, gguf_path, string_arrays)
        values = {
            key: field.parts[4]
            if _is_converted(field) and field.parts[3] == _STRING and key not in string_arrays
            else field.contents()
            for key, field in fields.items()
        }
        count = int(reader.fields["GGUF.tensor_count"].contents())
        return values, count, reader.table_start

    return metadata


_FIRST = 24
"""Where the first entry of a file begins; gguf lists the numbers before it as fields, too."""


def _is_converted(field: Any) -> bool:  # noqa: ANN401
    return bool(field.types[-1] == _CONVERTED)


@cache
def _fast_reader() -> type[Any]:
    """Return gguf's reader, with the values of arrays as Python's and the file as a plain array.

    Slices of a memory map are slow, and so is an array for each value.
    """
    import numpy as np
    from gguf.gguf_reader import GGUFReader, ReaderField

    class ConvertedField(ReaderField):  # type: ignore[misc]  # gguf has no types
        def contents(self, index: int | slice = slice(None)) -> object:
            values = [self.parts[place] for place in self.data]
            return (values[0] if len(values) == 1 and isinstance(values[0], list) else values)[
                index
            ]

    class FastReader(GGUFReader):  # type: ignore[misc]
        table_start = 0

        def _build_fields(self, *offset: int) -> int:
            file: np.ndarray = self.data  # type: ignore[has-type]
            self.data = file.view(np.ndarray)
            self.table_start = int(super()._build_fields(*offset))
            return self.table_start

        def _push_field(self, field: Any, skip_sum: bool = False) -> int:  # noqa: ANN401, FBT001, FBT002
            converted = field.types and field.types[-1] == _CONVERTED
            added: int = super()._push_field(
                ConvertedField(*field) if converted else field, skip_sum
            )
            return added

        def _get_field_parts(self, offset: int, kind: int) -> tuple[Any, ...]:
            if kind == _ARRAY:
                order = ">" if self.byte_order == "S" else "<"
                with suppress(UnicodeDecodeError):
                    if converted := _converted_array(self.data, int(offset), order):
                        item, values, size = converted
                        # transformers converts the parts one by one, and unpacks a list of one.
                        parts = [values] if len(values) > 1 else values
                        places = range(2, 2 + len(parts))
                        return size, [item, len(values), *parts], places, [_ARRAY, _CONVERTED]
            read: tuple[Any, ...] = super()._get_field_parts(offset, kind)
            return read

    return FastReader


_CODES = "BbHhIif?\0\0Qqd"
"""The codes of ``struct`` by that of a number's type in the file."""


def _converted_array(
    data: Any,  # noqa: ANN401  # a numpy array of bytes
    start: int,
    order: str,
) -> tuple[int, list[object], int] | None:
    """Return the code of an array's items, their values, and the bytes; None for other items."""
    content = memoryview(data)
    item, count = struct.unpack_from(f"{order}IQ", content, start)
    position = start + 12
    if item == _ARRAY or item >= len(_CODES):
        return None
    if item != _STRING:
        form = f"{order}{count}{_CODES[item]}"
        values = list(struct.unpack_from(form, content, position))
        return item, values, 12 + struct.calcsize(form)
    length, texts = struct.Struct(f"{order}Q").unpack_from, list[object]()
    for _ in range(count):
        first = position + 8
        position = first + length(content, position)[0]
        texts.append(str(content[first:position], "utf-8"))
    return item, texts, position - start


@contextmanager
def _without_collection() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _release_pages(reader: Any) -> None:  # noqa: ANN401
    """Give back the memory of the file's pages, which are read again if they are needed."""
    mapped = getattr(getattr(reader.data, "base", None), "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _set(module: object, names: Mapping[str, object]) -> None:
    for name, value in names.items():
        setattr(module, name, value)
