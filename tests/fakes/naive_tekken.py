"""Encode a text by a ``tekken.json`` without any library: merge the pair of the lowest rank."""

import base64
from itertools import pairwise
from typing import Any

import regex


def naive_tekken(document: dict[str, Any], text: str) -> list[int]:
    """Return the ids of a text without special tokens."""
    config = document["config"]
    first = config["default_num_special_tokens"]
    entries = document["vocab"][: config["default_vocab_size"] - first]
    ranks = {base64.b64decode(entry["token_bytes"]): rank for rank, entry in enumerate(entries)}
    pieces = regex.findall(config["pattern"], text)
    return [first + ranks[part] for piece in pieces for part in _merged(piece.encode(), ranks)]


def _merged(piece: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        pairs = [(ranks.get(a + b, len(ranks)), i) for i, (a, b) in enumerate(pairwise(parts))]
        rank, at = min(pairs, default=(len(ranks), 0))
        if rank == len(ranks):
            return parts
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
