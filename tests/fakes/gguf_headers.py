"""Headers of GGUF files, byte by byte."""

import struct


def text(content: bytes) -> bytes:
    """Return a text with its length in front."""
    return struct.pack("<Q", len(content)) + content


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    """Return the value of an array, with the code of its type in front."""
    return struct.pack("<IIQ", 9, kind, count) + content


ENTRIES = (
    text(b"general.architecture") + struct.pack("<I", 8) + text(b"llama"),
    text(b"llama.block_count") + struct.pack("<II", 4, 2),
    text(b"tokenizer.ggml.tokens") + array(8, 2, text(b"a") + text(b"b")),
)
TENSOR = text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 3, 2, 0, 0)


def header(
    *more: bytes, version: int = 3, entries: int | None = None, tensor: bytes = TENSOR
) -> bytes:
    """Return a header with a text, a number, an array, further values, and a tensor.

    ``entries`` is the number of entries that it states, if that is not the real one.
    """
    values = [*ENTRIES, *(text(b"x.y") + value for value in more)]
    count = len(values) if entries is None else entries
    return b"GGUF" + struct.pack("<IQQ", version, 1, count) + b"".join(values) + tensor
