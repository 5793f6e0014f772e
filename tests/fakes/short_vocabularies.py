"""The beginning of a real BPE vocabulary: the same family's files and ways, in a tenth of the size.

Tokens of byte-level BPE and of SentencePiece are numbered as they were merged, so the first ones
with the merges between them are what a shorter training would have given.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import printable
from typing import Any

KEPT = 6000
"""Ids that are kept from the beginning, special tokens and bytes among them."""

_LETTERS = {*printable, "\u2581"}
"""Kept wherever they stand: Llama's single letters come last, and merges begin with them."""


def shorten(folder: Path) -> None:
    """Rewrite the saved tokenizer with its first tokens and its roles (BOS, EOS), numbered anew."""
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    config_path = folder / "tokenizer_config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    roles = {value for name, value in config.items() if name.endswith("_token")}
    model, added = definition["model"], definition["added_tokens"]
    ids = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
    kept = [
        token
        for token, number in sorted(ids.items(), key=lambda item: item[1])
        if number < KEPT or token in _LETTERS or token in roles
    ]
    numbers = {token: number for number, token in enumerate(kept)}
    model["vocab"] = {token: numbers[token] for token in kept if token in model["vocab"]}
    model["merges"] = [
        [one, other]
        for one, other in model["merges"]
        if one in numbers and other in numbers and one + other in numbers
    ]
    definition["added_tokens"] = [
        {**token, "id": numbers[token["content"]]} for token in added if token["content"] in numbers
    ]
    _renumber(definition.get("post_processor"), numbers)
    path.write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    config.pop("added_tokens_decoder", None)  # tokenizer.json has them
    config_path.write_text(json.dumps(config), encoding="utf-8")


def _renumber(processor: Mapping[str, Any] | None, numbers: Mapping[str, int]) -> None:
    """Give the special tokens that the tokenizer puts around a text their new ids."""
    for name, token in ((processor or {}).get("special_tokens") or {}).items():
        token["ids"] = [numbers[name]]
