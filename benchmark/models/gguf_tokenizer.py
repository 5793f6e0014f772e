"""Check the tokenizer of a GGUF file, and compare tokenizer files next to it with it.

A byte-level vocabulary is only right with its pre-tokenizer, the rule that splits a text before
merges. A GGUF file has just its name. transformers uses the rule of GPT-2 for every name that it
does not know, which changes token ids without an error.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import RefusedModelError
from benchmark.models.gguf_reading import read_gguf
from benchmark.package_data import package_toml
from benchmark.reading.documents import json_object

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

Rule = Literal["gpt2", "digits", "library"]

_BYTE_LEVEL = "gpt2"
"""The name of byte-level vocabularies in GGUF files."""

_CHOICE = "put the model's own tokenizer.json next to the file, which then takes precedence"

_OWN_FILES = (
    "put the tokenizer files of the GGUF file's own model there, or remove these to use its own"
)

_TOKENS = "tokenizer.ggml.tokens"
_TYPES = "tokenizer.ggml.token_type"
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
"""Token types in a GGUF file."""

_ADDED = (_CONTROL, _USER_DEFINED)


@cache
def _rules() -> dict[str, Rule]:
    """Return the rule of every known pre-tokenizer."""
    rules: dict[Rule, list[str]] = package_toml("models/gguf_pre_tokenizers.toml")  # type: ignore[assignment]
    return {name: rule for rule, names in rules.items() for name in names}


def check_pre_tokenizer(path: Path, name: str) -> None:
    """Check that transformers splits texts as the vocabulary of a GGUF file needs it.

    Raises:
        RefusedModelError: for a pre-tokenizer that is unknown or missing, and without tokens.
    """
    fields = _fields(path)
    if _TOKENS not in fields:
        raise RefusedModelError(f"{name}: the GGUF file has no tokens ({_TOKENS}); {_CHOICE}")
    if _text(fields, "tokenizer.ggml.model") != _BYTE_LEVEL:
        return
    pre = _text(fields, "tokenizer.ggml.pre")
    if pre is None or pre == "default":
        raise RefusedModelError(
            f"{name}: the GGUF file does not name its pre-tokenizer (tokenizer.ggml.pre), so its "
            f"token ids may be wrong; {_CHOICE}"
        )
    rule = _rules().get(pre)
    digits_are_merged = rule == "digits" and _has_digits(fields["tokenizer.ggml.merges"].contents())
    if rule is None or digits_are_merged or (rule == "library" and pre not in _library_splits()):
        raise RefusedModelError(
            f"{name}: the pre-tokenizer {pre!r} of the GGUF file is not supported, so its token "
            f"ids may be wrong; {_CHOICE}"
        )


def complete_from_gguf(tokenizer: "PreTrainedTokenizerFast", path: Path, name: str) -> None:
    """Take special tokens and the chat template from a GGUF file if a tokenizer lacks them.

    Raises:
        RefusedModelError: if the file has another special token, or one outside its vocabulary.
    """
    fields = _fields(path)
    for role, key in (("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")):
        field = fields.get(f"tokenizer.ggml.{key}")
        if field is None:
            continue
        token, token_id = getattr(tokenizer, role), int(field.contents())
        own = _own_token(tokenizer, token_id)
        if own is None:
            raise RefusedModelError(
                f"{name}: {key} of the GGUF file is {token_id}, which is not in the vocabulary"
            )
        if token is None:
            setattr(tokenizer, role, own)
        elif getattr(tokenizer, key) != token_id:
            raise RefusedModelError(
                f"{name}: the {role} is {token!r} in the tokenizer files next to the GGUF file, "
                f"but {own!r} in the file; {_OWN_FILES}"
            )
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _text(fields, "tokenizer.chat_template")


def check_same_vocabulary(encoder: "Tokenizer", path: Path, name: str) -> None:
    """Check that a ``tokenizer.json`` next to a GGUF file has the vocabulary of the file.

    Raises:
        RefusedModelError: naming the first token, or merge, that differs.
    """
    fields = _fields(path)
    if _TOKENS not in fields:
        return
    tokens: list[str] = fields[_TOKENS].contents()
    types = fields[_TYPES].contents() if _TYPES in fields else [_NORMAL]
    vocabulary = {i: t for t, i in encoder.get_vocab(with_added_tokens=True).items()}
    special = {i for i, token in encoder.get_added_tokens_decoder().items() if token.special}
    for token_id, token in enumerate(tokens):
        other, kind = vocabulary.get(token_id), types[min(token_id, len(types) - 1)]
        if other is None and (kind == _UNUSED or token.startswith("[PAD")):
            continue  # rows that only fill up the matrix of embeddings
        if other != token and not (kind in _ADDED and _spaced(other) == _spaced(token)):
            raise RefusedModelError(
                f"{name}: token {token_id} is {token!r} in the GGUF file, but "
                f"{'missing' if other is None else repr(other)} in the tokenizer.json next to it; "
                f"{_OWN_FILES}"
            )
    # Special tokens after the file's last one, such as those of images, are in no text.
    further = sorted(i for i in vocabulary if i >= len(tokens) and i not in special)
    if further:
        raise RefusedModelError(
            f"{name}: the GGUF file has {len(tokens)} tokens, but the tokenizer.json next to it "
            f"also has {vocabulary[further[0]]!r} (token {further[0]}); {_OWN_FILES}"
        )
    if "tokenizer.ggml.merges" in fields:
        _check_same_merges(encoder, fields["tokenizer.ggml.merges"].contents(), name)


def _check_same_merges(encoder: "Tokenizer", merges: Sequence[str], name: str) -> None:
    model = json_object(encoder.to_str(), "tokenizer.json", strict=False).get("model")
    listed = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(listed, list):
        return
    own = [merge if isinstance(merge, str) else " ".join(map(str, merge)) for merge in listed]
    for rank, (merge, other) in enumerate(zip_longest(merges, own)):
        # A space within a token is written in another way in the file.
        if merge != other and (other is None or other.count(" ") == 1):
            raise RefusedModelError(
                f"{name}: merge {rank} is {merge!r} in the GGUF file, but {other!r} in the "
                f"tokenizer.json next to it; {_OWN_FILES}"
            )


def _own_token(tokenizer: "PreTrainedTokenizerFast", token_id: int) -> str | None:
    if not 0 <= token_id < len(tokenizer):
        return None
    token: str | None = tokenizer.convert_ids_to_tokens(token_id)
    return token


def _spaced(token: str | None) -> str | None:
    """Return an added token as llama.cpp's converter writes it, with plain spaces."""
    return token and token.translate({ord(c): " " for c in "\u2581\u0120"})


def _fields(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = read_gguf(path, path.name).fields
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
