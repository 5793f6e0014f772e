"""Tokenizers made from bare vocabularies, which transformers cannot load right by itself."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.errors import ModelError
from benchmark.models.gguf_reading import quick_gguf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NORMAL, _CONTROL = 1, 3
"""Kinds of token in a GGUF file."""


def load_vocabulary(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """The tokenizer of a fetched vocabulary of the kind named in ``sources.toml``."""
    from transformers import AutoTokenizer, LlamaTokenizer

    if kind.startswith("gguf") or kind == "model":
        return _converted(folder, kind)
    if kind == "sentencepiece":
        # AutoTokenizer loses the space before the first word when it has only this file.
        return LlamaTokenizer.from_pretrained(folder)
    if kind == "tokenizer.json":
        return AutoTokenizer.from_pretrained(folder)
    raise ModelError(f"{folder}: no vocabulary of kind {kind!r} is known")


def _converted(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """The tokenizer of a GGUF file, which is read once a release of what reads it, and saved.

    Only what looks at vocabularies takes it from here: a run loads its model's own file, as anybody
    would. gguf takes 3 to 8 s for the strings of a vocabulary, ``tokenizer.json`` a fifth of that.
    """
    from transformers import AutoTokenizer

    # Beside the folder: one that is a model's stays as it came.
    place = folder.with_name(f"{folder.name}-converted-{_readers()}")
    if not place.is_dir():
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            made = Path(temporary) / "tokenizer"
            with quick_gguf():
                _read_gguf(folder, kind).save_pretrained(made)
            try:
                made.rename(place)
            except OSError:  # another process was quicker
                if not place.is_dir():
                    raise
    return AutoTokenizer.from_pretrained(place)


def _readers() -> str:
    """A digest of all that reads a GGUF file: the libraries' releases, and this code."""
    releases = [version(name) for name in ("transformers", "tokenizers", "gguf")]
    code = Path(__file__).read_bytes()
    return hashlib.sha256(" ".join(releases).encode() + code).hexdigest()[:12]


def _read_gguf(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    from transformers import AutoTokenizer

    if kind == "gguf-bpe":
        return _byte_level_bpe(folder / "vocabulary.gguf")
    (path,) = folder.glob("*.gguf")
    return AutoTokenizer.from_pretrained(folder, gguf_file=path.name)


def _byte_level_bpe(path: Path) -> "PreTrainedTokenizerFast":
    """A byte-level BPE tokenizer from tokens and merges of a GGUF file.

    transformers 5.23 reads such a file with a new id for BOS, outside the vocabulary. Text is
    split as DeepSeek-LLM does, as far as ASCII goes.
    """
    from gguf import GGUFReader
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = GGUFReader(path).fields
    tokens, merges, types, bos, eos = (
        fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("tokens", "merges", "token_type", "bos_token_id", "eos_token_id")
    )
    vocabulary = {token: i for i, token in enumerate(tokens) if types[i] == _NORMAL}
    backend = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges]))
    split = ("[\r\n]", "\\s?[A-Za-z]+", "\\s?[!-/:-~]+", "\\s+$")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(part), "isolated") for part in split),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens(
        [
            AddedToken(token, normalized=False, special=kind == _CONTROL)
            for token, kind in zip(tokens, types, strict=True)
            if kind != _NORMAL
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=tokens[bos], eos_token=tokens[eos]
    )
