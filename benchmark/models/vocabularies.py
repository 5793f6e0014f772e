"""Build tokenizers from bare vocabularies, which transformers alone does not load correctly."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmark.errors import ModelError
from benchmark.models.byte_level_vocabularies import tokenizer_from_gguf, tokenizer_from_tekken
from benchmark.models.conversions import Conversion
from benchmark.models.gguf_reading import fast_gguf_reading
from benchmark.models.token_id_checks import check_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BUILDERS = {
    "gguf-bpe": ("vocabulary.gguf", tokenizer_from_gguf),
    "tekken": ("tekken.json", tokenizer_from_tekken),
}
"""By kind of vocabulary: the file, and what makes a tokenizer of it."""


def load_vocabulary(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a downloaded vocabulary of a kind in ``sources.toml``.

    Raises:
        ModelError: for an unknown kind, or an id that no vocabulary has.
    """
    from transformers import AutoTokenizer, LlamaTokenizer

    check_ids(folder.name, folder)
    if kind in (*_BUILDERS, "gguf", "model"):
        return _converted(folder, kind)
    if kind == "sentencepiece":
        # AutoTokenizer loses the space before the first word when it has only this file.
        return LlamaTokenizer.from_pretrained(folder)
    if kind == "tokenizer.json":
        return AutoTokenizer.from_pretrained(folder)
    raise ModelError(f"{folder}: unknown kind of vocabulary {kind!r}")


def _converted(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of a GGUF or Tekken file, converted once per release of the libraries.

    This is only for the tools that examine vocabularies; a run loads the model's own file. The
    tokenizer that is loaded is the one that was saved, also if it cannot be kept.
    """
    from transformers import AutoTokenizer

    conversion = Conversion.of(_converted_path(folder, kind), "vocabulary", source=kind)
    kept = conversion.files() if conversion else None
    with TemporaryDirectory() as temporary:
        if kept is None:
            with fast_gguf_reading():
                _convert(folder, kind).save_pretrained(temporary)
            if conversion:
                saved = sorted(Path(temporary).iterdir())
                conversion.keep({}, {path.name: path.read_bytes() for path in saved})
        else:  # not from the folder that was checked: other processes may change or remove it
            for name, content in kept.items():
                (Path(temporary) / name).write_bytes(content)
        return AutoTokenizer.from_pretrained(temporary)


def _converted_path(folder: Path, kind: str) -> Path:
    if kind in _BUILDERS:
        return folder / _BUILDERS[kind][0]
    (path,) = folder.glob("*.gguf")
    return path


def _convert(folder: Path, kind: str) -> "PreTrainedTokenizerFast":
    from transformers import AutoTokenizer

    path = _converted_path(folder, kind)
    if kind in _BUILDERS:
        return _BUILDERS[kind][1](path)
    return AutoTokenizer.from_pretrained(folder, gguf_file=path.name)
