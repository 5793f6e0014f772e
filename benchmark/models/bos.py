"""Whether a model's own tokenizer puts a BOS before a text, and what says so.

That a tokenizer *names* a BOS says nothing: GPT-2, Pythia, Phi, Falcon and SmolLM2 name one and
never add it. transformers 5 drops ``add_bos_token`` where there is a ``tokenizer.json``, so what it
adds is not asked.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

_ADDING = ("Llama", "CodeLlama", "Gemma", "Cohere")
"""Families whose classes have added a BOS by default in every release (``LlamaTokenizer``...)."""

_SENTENCEPIECE = "llama"
"""What a GGUF file calls a SentencePiece vocabulary, before which llama.cpp puts a BOS."""

_ADDING_SPLITS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "tekken", "pixtral")
"""Splitting rules of byte-level vocabularies before which llama.cpp puts one too."""


@dataclass(frozen=True, slots=True)
class BosRule:
    """Whether a BOS is added before a text, and the field, file or class that says so."""

    added: bool
    source: str

    def over(self, other: Self) -> Self:
        """Return this rule, naming in its source another one that says otherwise."""
        if self.added == other.added:
            return self
        return replace(self, source=f"{self.source}, unlike {other.source}")

    def as_json(self) -> dict[str, object]:
        """Return the rule by name."""
        return {"added": self.added, "source": self.source}


def bos_rule(folder: Path, gguf: str | None) -> BosRule:
    """Return what the files of a tokenizer say, ``tokenizer_config.json`` first."""
    config = _read(folder / "tokenizer_config.json")
    if isinstance(added := config.get("add_bos_token"), bool):
        return BosRule(added, "add_bos_token in tokenizer_config.json")
    if gguf:
        return _of_gguf(folder / gguf)
    class_name = str(config.get("tokenizer_class") or "")
    family = class_name.removesuffix("Fast").removesuffix("Tokenizer")
    if family in _ADDING:
        return BosRule(added=True, source=f"the default of {class_name}")
    definition = _read(folder / "tokenizer.json")
    if definition:
        return of_definition(definition)
    if (folder / "tokenizer.model").is_file():
        return BosRule(added=True, source="the default for tokenizer.model")
    return BosRule(added=False, source=f"the default of {class_name or 'a tokenizer'}")


def of_definition(definition: dict[str, object]) -> BosRule:
    """Return what the post-processor of a ``tokenizer.json`` does."""
    added = _begins(definition.get("post_processor"))
    return BosRule(added, "the post-processor of tokenizer.json")


def _begins(processor: object) -> bool:
    """Whether a post-processor puts a special token before the first sequence."""
    match processor:
        case {"type": "Sequence", "processors": list(parts)}:
            return any(map(_begins, parts))
        case {"type": "TemplateProcessing", "single": [first, *_]}:
            return isinstance(first, dict) and "SpecialToken" in first
        case {"type": "BertProcessing" | "RobertaProcessing"}:
            return True
    return False


def _of_gguf(path: Path) -> BosRule:
    import gguf

    fields = gguf.GGUFReader(str(path)).fields
    if (said := fields.get("tokenizer.ggml.add_bos_token")) is not None:
        return BosRule(bool(said.contents()), "tokenizer.ggml.add_bos_token in the GGUF file")
    kind, split = (
        str(field.contents()) if (field := fields.get(f"tokenizer.ggml.{name}")) else "unknown"
        for name in ("model", "pre")
    )
    added = kind == _SENTENCEPIECE or split in _ADDING_SPLITS
    return BosRule(added, f"llama.cpp's default for vocabularies of kind {kind}, {split}")


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # what cannot be read is refused where the tokenizer is loaded
    return content if isinstance(content, dict) else {}
