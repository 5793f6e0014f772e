"""Build tokenizers from bare vocabularies, which transformers alone does not load correctly."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.errors import ModelError
from benchmark.models.conversions import Conversion
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

    This is only for the tools that examine vocabularies; a run loads the model's own file. The
    tokenizer that is loaded is the one that was saved, also if it cannot be kept.
    """
    from transformers import AutoTokenizer

    conversion = Conversion.of(_gguf_path(folder, kind), "vocabulary", source=kind)
    kept = conversion.files() if conversion else None
    with TemporaryDirectory() as temporary:
        if kept is None:
            with fast_gguf_reading():
                _read_gguf(folder, kind).save_pretrained(temporary)
            if conversion:
                saved = sorted(Path(temporary).iterdir())
                conversion.keep({}, {path.name: path.read_bytes() for path in saved})
        else:  # not from the folder that was checked: other processes may change or remove it
            for name, content in kept.items():
                (Path(temporary) / name).write_bytes(content)
        return AutoTokenizer.from_pretrained(temporary)


def _gguf_path(folder: Path, kind: str) -> Path:
    if kind == "gguf-bpe":
        return folder / "vocabulary.gguf"
    (path,) = folder.glob("*.gguf")
    return path


def _read_gguf(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    from transformers import AutoTokenizer

    path = _gguf_path(folder, kind)
    if kind == "gguf-bpe":
        return _byte_level_bpe(path)
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
