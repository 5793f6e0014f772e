"""Build a GGUF file's tokenizer from its kept definition.

transformers converts the vocabulary of the file, and may derive merges from it, for seconds. Only
the result of that function is kept; the rest is unchanged.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from benchmark.models.conversions import Conversion, DamagedConversionError
from benchmark.models.location import Location

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    Convert = Callable[[str, dict[str, object]], tuple[Tokenizer, dict[str, object]]]

_FUNCTION = "convert_gguf_tokenizer"
_FILE = "tokenizer.json"


@contextmanager
def kept_tokenizer(location: Location) -> Iterator[None]:
    """Let transformers take the definition that was kept, and keep the one that it makes."""
    try:
        package = import_module("transformers.integrations.gguf")
        convert = getattr(package, _FUNCTION)
    except (ImportError, AttributeError):  # an older release
        yield
        return
    conversion = Conversion.of(location.folder / (location.gguf or ""), "tokenizer")
    setattr(package, _FUNCTION, _converting(convert, conversion) if conversion else convert)
    try:
        yield
    finally:
        setattr(package, _FUNCTION, convert)


def _converting(convert: "Convert", conversion: Conversion) -> "Convert":
    def kept_or_converted(
        architecture: str, tokenizer: dict[str, object]
    ) -> "tuple[Tokenizer, dict[str, object]]":
        if kept := _kept(conversion):
            return kept, {}
        backend, arguments = convert(architecture, tokenizer)
        if not arguments:
            _keep(conversion, backend)
        return backend, arguments

    return kept_or_converted


def _kept(conversion: Conversion) -> "Tokenizer | None":
    from tokenizers import Tokenizer

    if conversion.document() is None:
        return None
    try:
        return Tokenizer.from_buffer(bytes(conversion.read(_FILE)))
    except (OSError, DamagedConversionError):
        return None


def _keep(conversion: Conversion, backend: "Tokenizer") -> None:
    """Keep a definition, unless the library does not read it as it has written it."""
    from tokenizers import Tokenizer

    text = backend.to_str()
    if Tokenizer.from_str(text).to_str() == text:
        conversion.keep({}, {_FILE: text.encode()})
