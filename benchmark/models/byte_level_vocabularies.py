"""Build byte-level BPE tokenizers from vocabularies that come without a ``tokenizer.json``."""

import base64
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from benchmark.errors import DataError, ModelError
from benchmark.models.gguf_reading import read_gguf
from benchmark.models.token_bytes import CHARACTER_OF
from benchmark.package_data import package_toml
from benchmark.reading.documents import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NORMAL, _CONTROL, _UNUSED = 1, 3, 5
"""Token types in a GGUF file."""


class Splitting(TypedDict, total=False):
    """A row of ``byte_level_splits.toml``."""

    splits: list[str]
    normal_form: str
    ignore_merges: bool
    special: list[str]


@cache
def splittings() -> dict[str, Splitting]:
    """Return how each kind of vocabulary splits a text before merges, by llama.cpp's name."""
    return package_toml("models/byte_level_splits.toml")


def tokenizer_from_gguf(path: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of the tokens and merges of a GGUF file.

    transformers 5.23 gives the BOS of such a file a new id outside the vocabulary.

    Raises:
        ModelError: if it is not known how the vocabulary splits a text.
    """
    fields = read_gguf(path, path.name).fields
    tokens, merges, types, eos = (
        fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("tokens", "merges", "token_type", "eos_token_id")
    )
    pre = fields.get("tokenizer.ggml.pre", fields["general.architecture"]).contents()
    if pre not in splittings():
        raise ModelError(f"{path}: no rule for its pre-tokenizer {pre!r} in byte_level_splits.toml")
    bos = fields.get("tokenizer.ggml.bos_token_id")
    added = {
        token: kind == _CONTROL
        for token, kind in zip(tokens, types, strict=True)
        if kind not in (_NORMAL, _UNUSED)
    }
    return _tokenizer(
        {token: i for i, token in enumerate(tokens) if types[i] != _UNUSED},
        [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)],
        added,
        (tokens[bos.contents()] if bos else None, tokens[eos]),
        splittings()[pre],
    )


def tokenizer_from_tekken(path: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a ``tekken.json`` of Mistral, which has ranks instead of merges.

    Raises:
        DataError: if the file cannot be read, or is no such file.
    """
    match read_json(path):
        case {
            "config": {
                "pattern": str(pattern),
                "default_vocab_size": int(size),
                "default_num_special_tokens": int(first),
            },
            "vocab": list(entries),
        }:
            ranked = [base64.b64decode(entry["token_bytes"]) for entry in entries[: size - first]]
        case _:
            raise DataError(f"{path}: not a tekken.json")
    spelled = {token: _spelled(token) for token in ranked}
    named = splittings()["tekken"]["special"]
    special = [*named, *(f"<SPECIAL_{number}>" for number in range(len(named), first))]
    return _tokenizer(
        {token: i for i, token in enumerate([*special, *spelled.values()])},
        [(spelled[left], spelled[right]) for left, right in _merges(ranked)],
        dict.fromkeys(special, True),
        ("<s>", "</s>"),
        {"splits": [pattern], "ignore_merges": True},
    )


def _spelled(token: bytes) -> str:
    """Return bytes as an entry of a byte-level vocabulary."""
    return "".join(CHARACTER_OF[byte] for byte in token)


def _merges(ranked: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the merges of tokens in the order of their ranks.

    A token is merged from each pair of tokens that spell it; pairs of lower ranks come first.
    """
    ranks = {token: rank for rank, token in enumerate(ranked)}
    merges = list[tuple[bytes, bytes]]()
    for token in ranked:
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        pairs = [pair for pair in halves if pair[0] in ranks and pair[1] in ranks]
        merges += sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
    return merges


def _tokenizer(
    vocabulary: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    added: Mapping[str, bool],
    ends: tuple[str | None, str],
    splitting: Splitting,
) -> "PreTrainedTokenizerFast":
    """Return a tokenizer; ``added`` are tokens that are no part of words, True for special ones.

    ``ends`` are the BOS, if there is one, and the EOS.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from transformers import PreTrainedTokenizerFast

    ignoring = splitting.get("ignore_merges", False)
    backend = Tokenizer(models.BPE(dict(vocabulary), list(merges), ignore_merges=ignoring))
    if splitting.get("normal_form") == "NFC":
        backend.normalizer = normalizers.NFC()
    steps = [Split(Regex(pattern), "isolated") for pattern in splitting["splits"]]
    backend.pre_tokenizer = Sequence([*steps, ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(
        [AddedToken(token, normalized=False, special=s) for token, s in added.items()]
    )
    bos, eos = ends
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=bos, eos_token=eos)
