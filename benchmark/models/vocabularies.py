"""Build tokenizers from bare vocabularies, which transformers alone does not load correctly."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.errors import ModelError
from benchmark.models.gguf_reading import fast_gguf_reading, read_gguf
from benchmark.models.token_id_checks import check_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NORMAL, _CONTROL = 1, 3
"""Token types in a GGUF file."""


def load_vocabulary(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a downloaded vocabulary of a kind in ``sources.toml``.

    Raises:
        ModelError: for an unknown kind, or an id that no vocabulary has.
    """
    from transformers import AutoTokenizer, LlamaTokenizer

    check_ids(folder.name, folder)
    if kind.startswith("gguf") or kind == "model":
        return _converted(folder, kind)
    if kind == "sentencepiece":
        # AutoTokenizer loses the space before the first word when it has only this file.
        return LlamaTokenizer.from_pretrained(folder)
    if kind == "tokenizer.json":
        return AutoTokenizer.from_pretrained(folder)
    raise ModelError(f"{folder}: unknown kind of vocabulary {kind!r}")


def _converted(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a GGUF file, converted once per release of the libraries.

    This is only for the tools that examine vocabularies; a run loads the model's own file. gguf
    takes 3 to 8 s for the strings of a vocabulary, ``tokenizer.json`` a fifth of that.
    """
    from transformers import AutoTokenizer

    # Next to the folder, so that a model's folder is not modified.
    converted = folder.with_name(f"{folder.name}-converted-{_reader_digest()}")
    if not converted.is_dir():
        with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
            saved = Path(temporary) / "tokenizer"
            with fast_gguf_reading():
                _read_gguf(folder, kind).save_pretrained(saved)
            try:
                saved.rename(converted)
            except OSError:  # another process was faster
                if not converted.is_dir():
                    raise
    return AutoTokenizer.from_pretrained(converted)


def _reader_digest() -> str:
    """Return a digest of the libraries' releases and of this code, which read a GGUF file."""
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
    """Return a byte-level BPE tokenizer from the tokens and merges of a GGUF file.

    transformers 5.23 gives the BOS of such a file a new id outside the vocabulary. Text is split
    as in DeepSeek-LLM, for ASCII.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fields = read_gguf(path, path.name).fields
    tokens, merges, types, bos, eos = (
        fields[f"tokenizer.ggml.{name}"].contents()
        for name in ("tokens", "merges", "token_type", "bos_token_id", "eos_token_id")
    )
    vocabulary = {token: i for i, token in enumerate(tokens) if types[i] == _NORMAL}
    backend = Tokenizer(models.BPE(vocabulary, [tuple(merge.split(" ")) for merge in merges]))
    split = ("[\r\n]", "\\s?[A-Za-z]+", "\\s?[!-/:-~]+", "\\s+$")
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in split),
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
