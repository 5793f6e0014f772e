"""Decide whether a model's own tokenizer puts a BOS before a text, and record the source.

A tokenizer that *has* a BOS need not add it: GPT-2, Pythia, Phi, Falcon and SmolLM2 do not.
transformers 5 ignores ``add_bos_token`` if the model has a ``tokenizer.json``, so its behavior is
no evidence.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from benchmark.models.gguf_reading import read_gguf
from benchmark.reading.documents import read_json

_ADDING = ("Llama", "CodeLlama", "Gemma", "Cohere")
"""Families whose classes add a BOS by default in every release (``LlamaTokenizer``, ...)."""

_SENTENCEPIECE = "llama"
"""The name of SentencePiece vocabularies in GGUF files; llama.cpp adds a BOS for them."""

_ADDING_SPLITS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken", "pixtral")
"""Pre-tokenizers of byte-level vocabularies for which llama.cpp adds a BOS."""


@dataclass(frozen=True, slots=True)
class BosRule:
    """Whether a BOS is added before a text, and the field, file or class that decides it."""

    added: bool
    source: str

    def overriding(self, other: Self) -> Self:
        """Return this rule, with a note in its source if another rule disagrees."""
        if self.added == other.added:
            return self
        return replace(self, source=f"{self.source}, unlike {other.source}")


def bos_rule(folder: Path, gguf: str | None) -> BosRule:
    """Return the rule of a tokenizer's files; ``tokenizer_config.json`` takes precedence.

    Raises:
        DataError: if one of the files is unreadable or too long.
    """
    config = _read(folder / "tokenizer_config.json")
    if isinstance(added := config.get("add_bos_token"), bool):
        return BosRule(added, "add_bos_token in tokenizer_config.json")
    if gguf and (rule := _of_gguf(folder, gguf)):
        return rule
    class_name = str(config.get("tokenizer_class") or "")
    family = class_name.removesuffix("Fast").removesuffix("Tokenizer")
    if family in _ADDING:
        return BosRule(added=True, source=f"the default of {class_name}")
    definition = _read(folder / "tokenizer.json")
    if definition:
        return bos_rule_of_definition(definition)
    for name in ("tokenizer.model", "tekken.json"):
        if (folder / name).is_file():
            return BosRule(added=True, source=f"the default for {name}")
    return BosRule(added=False, source=f"the default of {class_name or 'a tokenizer'}")


def bos_rule_of_definition(definition: dict[str, object]) -> BosRule:
    """Return the rule of the post-processor of a ``tokenizer.json``."""
    added = _adds_special_token(definition.get("post_processor"))
    return BosRule(added, "the post-processor of tokenizer.json")


def _adds_special_token(processor: object) -> bool:
    """Return whether a post-processor puts a special token before the first sequence."""
    match processor:
        case {"type": "Sequence", "processors": list(processors)}:
            return any(map(_adds_special_token, processors))
        case {"type": "TemplateProcessing", "single": [first, *_]}:
            return isinstance(first, dict) and "SpecialToken" in first
        case {"type": "BertProcessing" | "RobertaProcessing"}:
            return True
    return False


def _of_gguf(folder: Path, name: str) -> BosRule | None:
    """Return the rule of a GGUF file; None if it has none and ``tokenizer.json`` is next to it."""
    fields = read_gguf(folder / name, name).fields
    if (add_bos := fields.get("tokenizer.ggml.add_bos_token")) is not None:
        return BosRule(bool(add_bos.contents()), "tokenizer.ggml.add_bos_token in the GGUF file")
    if (folder / "tokenizer.json").is_file():
        return None
    kind, split = (
        str(field.contents()) if (field := fields.get(f"tokenizer.ggml.{name}")) else "unknown"
        for name in ("model", "pre")
    )
    added = kind == _SENTENCEPIECE or split in _ADDING_SPLITS
    return BosRule(added, f"llama.cpp's default for vocabularies of kind {kind}, {split}")


def _read(path: Path) -> dict[str, object]:
    return read_json(path, strict=False) if path.exists() else {}
