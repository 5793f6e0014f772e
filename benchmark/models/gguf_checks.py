"""Check a GGUF file's metadata against its tensors before anything is built from it."""

import re
from pathlib import Path
from typing import Any

from benchmark.errors import RefusedModelError, first_line
from benchmark.models.gguf_reading import read_gguf

_BLOCK = re.compile(r"blk\.(\d+)\.")
_TABLE = "token_embd.weight"
_TOKENS = "tokenizer.ggml.tokens"

_MOST = {
    "block_count": 4096,
    "embedding_length": 2**22,
    "feed_forward_length": 2**22,
    "attention.head_count": 2**16,
    "attention.head_count_kv": 2**16,
    "context_length": 2**30,
    "vocab_size": 2**24,
}
"""Bounds of the numbers, far above those of real models."""

_POSITIVE = ("block_count", "embedding_length", "context_length", "vocab_size")
_OF_ATTENTION = ("attention.head_count", "attention.head_count_kv")
_ATTENTION = re.compile(r"blk\.\d+\.attn_(q|qkv)\.")
"""Weights of attention; models without, such as Mamba, have 0 heads."""


def check_gguf_metadata(path: Path, name: str) -> None:
    """Check numbers of blocks, widths and tokens, which decide how much is built.

    Raises:
        RefusedModelError: naming the key, if a number is out of range or the tensors contradict it;
            also for a damaged file.
    """
    reader = _reader(path, name)
    field = reader.fields.get("general.architecture")
    architecture = str(field.contents()) if field else ""
    numbers = {key: _numbers(reader.fields.get(f"{architecture}.{key}")) for key in _MOST}
    shapes = {tensor.name: tuple(map(int, tensor.shape)) for tensor in reader.tensors}
    attends = any(map(_ATTENTION.match, shapes))
    for key, values in numbers.items():
        is_positive = key in _POSITIVE or (attends and key in _OF_ATTENTION)
        problem = _problem(values, int(is_positive), _MOST[key])
        if problem:
            raise RefusedModelError(
                f"{name}: {architecture}.{key} of the GGUF file is {problem}; download or convert "
                "the file again"
            )
    blocks = [int(match[1]) + 1 for tensor in shapes if (match := _BLOCK.match(tensor))]
    pairs = [("block_count", numbers["block_count"], max(blocks, default=None), "blk.N")]
    if _TABLE in shapes:
        width, rows = shapes[_TABLE][:2]
        tokens = reader.fields.get(_TOKENS)
        pairs += [
            ("embedding_length", numbers["embedding_length"], width, _TABLE),
            ("vocab_size", numbers["vocab_size"], rows, _TABLE),
            (_TOKENS, [len(tokens.contents())] if tokens else [], rows, _TABLE),
        ]
    for key, values, stored, what in pairs:
        if stored is not None and values and values != [stored]:
            raise RefusedModelError(
                f"{name}: {key} of the GGUF file is {values[0]}, but its tensors have {stored} "
                f"({what}); download or convert the file again"
            )


def _problem(values: list[object], least: int, most: int) -> str:
    """Return which value is not an integer in a range; empty if all are.

    In a list per block some values may be 0: blocks of a hybrid model without attention.
    """
    for value in values:
        if not isinstance(value, int) or not 0 <= value <= most:
            return f"{value!r:.80}, not an integer from {least} to {most}"
    if values and not any(value >= least for value in values if isinstance(value, int)):
        return f"{values[0]}, not an integer from {least} to {most}"
    return ""


def _reader(path: Path, name: str) -> Any:  # noqa: ANN401  # gguf has no types
    """Open the file with gguf, which maps its tensors.

    Raises:
        RefusedModelError: if it is not a GGUF file, or gguf cannot read it.
    """
    try:
        return read_gguf(path, name)
    except RefusedModelError:
        raise
    except Exception as error:  # of numpy, for tensors beyond the end
        raise RefusedModelError(
            f"{name}: {path.name} is damaged or cut off: {first_line(error)}; download it again"
        ) from error


def _numbers(field: Any) -> list[object]:  # noqa: ANN401  # gguf has no types
    """Return the numbers of a field, which some architectures list per block."""
    if field is None:
        return []
    content = field.contents()
    return list(content) if isinstance(content, list) else [content]
