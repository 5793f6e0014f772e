"""Shortened BPE vocabularies: the first tokens of a real tokenizer, a tenth of its size.

Tokens of byte-level BPE and SentencePiece are numbered in the order of their merges, so the first
tokens and merges are the result of a shorter training.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import printable
from typing import Any

KEPT = 6000
"""Number of ids kept, including special tokens and bytes."""

_LETTERS = {*printable, "\u2581"}
"""Kept at any position: Llama's single letters have the last ids, and merges begin with them."""


def shorten(folder: Path) -> None:
    """Shorten a saved tokenizer in place to its first tokens and its special tokens, renumbered."""
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
    """Renumber the special tokens of the post-processor."""
    for name, token in ((processor or {}).get("special_tokens") or {}).items():
        token["ids"] = [numbers[name]]
