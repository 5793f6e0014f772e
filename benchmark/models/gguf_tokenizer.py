"""Check the tokenizer of a GGUF file, and complete tokenizer files next to it.

A byte-level vocabulary is only right with its pre-tokenizer, the rule that splits a text before
merges. A GGUF file has just its name. transformers uses the rule of GPT-2 for every name that it
does not know, which changes token ids without an error.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import ModelError
from benchmark.package_data import package_toml

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Rule = Literal["gpt2", "digits", "library"]

_BYTE_LEVEL = "gpt2"
"""The name of byte-level vocabularies in GGUF files."""

_CHOICE = "put the model's own tokenizer.json next to the file, which then takes precedence"


@cache
def _rules() -> dict[str, Rule]:
    """Return the rule of every known pre-tokenizer."""
    rules: dict[Rule, list[str]] = package_toml("models/gguf_pre_tokenizers.toml")  # type: ignore[assignment]
    return {name: rule for rule, names in rules.items() for name in names}


def check_pre_tokenizer(path: Path, name: str) -> None:
    """Check that transformers splits texts as the vocabulary of a GGUF file needs it.

    Raises:
        ModelError: for a pre-tokenizer that is unknown or missing.
    """
    fields = _fields(path)
    if _text(fields, "tokenizer.ggml.model") != _BYTE_LEVEL:
        return
    pre = _text(fields, "tokenizer.ggml.pre")
    if pre is None or pre == "default":
        raise ModelError(
            f"{name}: the GGUF file does not name its pre-tokenizer (tokenizer.ggml.pre), so its "
            f"token ids may be wrong; {_CHOICE}"
        )
    rule = _rules().get(pre)
    digits_are_merged = rule == "digits" and _has_digits(fields["tokenizer.ggml.merges"].contents())
    if rule is None or digits_are_merged or (rule == "library" and pre not in _library_splits()):
        raise ModelError(
            f"{name}: the pre-tokenizer {pre!r} of the GGUF file is not supported, so its token "
            f"ids may be wrong; {_CHOICE}"
        )


def complete_from_gguf(tokenizer: "PreTrainedTokenizerFast", path: Path) -> None:
    """Take special tokens and the chat template from a GGUF file if a tokenizer lacks them."""
    fields = _fields(path)
    for role, key in (("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")):
        field = fields.get(f"tokenizer.ggml.{key}")
        if getattr(tokenizer, role) is None and field is not None:
            setattr(tokenizer, role, tokenizer.convert_ids_to_tokens(int(field.contents())))
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _text(fields, "tokenizer.chat_template")


def _fields(path: Path) -> dict[str, Any]:
    import gguf

    fields: dict[str, Any] = gguf.GGUFReader(str(path)).fields
    return fields


def _text(fields: dict[str, Any], key: str) -> str | None:
    return str(fields[key].contents()) if key in fields else None


def _has_digits(merges: Iterable[str]) -> bool:
    return any(character in "0123456789" for merge in merges for character in merge)


def _library_splits() -> frozenset[str]:
    """Return the pre-tokenizers that this release of transformers has."""
    try:
        from transformers.integrations.gguf import gguf_tokenizer_mapping
    except ImportError:
        return frozenset()
    return frozenset(gguf_tokenizer_mapping.GGUF_PRE_TOKENIZER_SPLITS)
