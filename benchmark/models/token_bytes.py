"""Convert a vocabulary's entries to bytes, for the two ways in which vocabularies are written.

Byte-level BPE (GPT-2, SmolLM2, DeepSeek, Qwen, Llama 3) writes every byte as a printable
character. SentencePiece (Llama, Mistral, Gemma) writes a space as U+2581 and, where it falls
back to bytes, a byte as ``<0xNN>``.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from benchmark.errors import ModelError

_SPACE = "\u2581"
_BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")


def token_decoder(definition: Mapping[str, object], name: str) -> Callable[[str], bytes]:
    """Return the function from an entry to its bytes, for a ``tokenizer.json``.

    Raises:
        ModelError: for a tokenizer that is neither byte-level nor SentencePiece.
    """
    decoders = set(_types(definition.get("decoder")))
    if "ByteLevel" in decoders:
        return byte_level
    if decoders & {"ByteFallback", "Metaspace"}:
        return sentencepiece
    raise ModelError(
        f"{name}: the tokenizer is neither byte-level BPE nor SentencePiece "
        f"(its decoder is {', '.join(sorted(decoders)) or 'missing'}), so it is not supported"
    )


def byte_level(entry: str) -> bytes:
    """Return the bytes of an entry of a byte-level vocabulary; added tokens are plain text."""
    try:
        return bytes(map(_BYTE_OF.__getitem__, entry))
    except KeyError:
        return entry.encode("utf-8")


def sentencepiece(entry: str) -> bytes:
    """Return the bytes of an entry of a SentencePiece vocabulary."""
    if match := _BYTE.fullmatch(entry):
        return bytes.fromhex(match[1])
    return entry.replace(_SPACE, " ").encode("utf-8")


def _types(decoder: object) -> Iterator[str]:
    if isinstance(decoder, dict):
        yield decoder["type"]
        for part in decoder.get("decoders", ()):
            yield from _types(part)


def _byte_characters() -> Iterator[tuple[str, int]]:
    """Yield GPT-2's alphabet: printable bytes are themselves, the others start at U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    yield from ((chr(byte), byte) for byte in printable)
    others = (byte for byte in range(0x100) if byte not in printable)
    yield from ((chr(0x100 + index), byte) for index, byte in enumerate(others))


_BYTE_OF = dict(_byte_characters())
CHARACTER_OF = {byte: character for character, byte in _BYTE_OF.items()}
"""The character that a byte-level vocabulary writes for each byte."""
