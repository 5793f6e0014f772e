"""Select the files of a model's folder that transformers reads."""

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePath

from benchmark.errors import DataError, ModelError
from benchmark.reading.documents import read_json

_SINGLE = ("model.safetensors", "pytorch_model.bin")
"""Weights in one file, in the order in which transformers looks for them."""

_SAFETENSORS = "*.safetensors"
_INDEX = ".index.json"
PICKLED = "pytorch_model*.bin"
"""Weights of older repositories. Only their tensors are read, which executes no code."""

SETTINGS = ("config.json", "generation_config.json")
"""Files with the configuration of the model."""

_VOCABULARIES = (
    "tokenizer.json",
    # by the names that the classes of transformers have for them
    *("vocab.json", "merges.txt", "vocab.txt", "dict.txt", "bpe.codes", "vocab.bpe"),
    *("tokenizer.model", "tokenizer.model.v*", "spiece.model", "sentencepiece.bpe.model"),
    *("sentencepiece.model", "spm.model", "spm_char.model", "source.spm", "target.spm"),
    *("tekken.json", "*.tiktoken", "normalizer.json", "emoji.json", "byte_maps.json"),
    *("entity_vocab.json", "target_vocab.json", "vocab-src.json", "vocab-tgt.json"),
    *("word_shape.json", "word_pronunciation.json", "prophetnet.tokenizer"),
)
"""Files of a tokenizer without which it has no tokens."""

_TOKENIZERS = (
    *_VOCABULARIES,
    # of every tokenizer; the templates are part of it
    *("tokenizer.*.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", "chat_template.json"),
    "additional_chat_templates/*.jinja",
)
"""Files that a class of tokenizers may read."""

_FORMER = ("*.json", "*.jinja", "tokenizer.model")
_FORMER_TEXTS = ("vocab*.txt", "merges*.txt", "dict*.txt", "*token*.txt")
_FORMER_RECORDS = ("*.index.json", "trainer_state.json", "*_results.json", "training_args.json")

_ADAPTER = "adapter_config.json"


def check_no_adapter(model: str, folder: Path) -> None:
    """Refuse a folder with a PEFT adapter.

    transformers applies it to the base model that it names, if peft is installed, and ignores it
    otherwise. The base is not among the folder's files, and may change without them.

    Raises:
        ModelError: if the folder has one.
    """
    if (folder / _ADAPTER).is_file():
        raise ModelError(
            f"{model}: has a PEFT adapter ({_ADAPTER}), which is not measured; merge it into its "
            "base with peft's merge_and_unload() and save_pretrained(), or remove that file to "
            "measure the model without it"
        )


def may_be_read(name: str) -> bool:
    """Return whether transformers reads a file of this name, if it is in a model's folder."""
    entries = (name for one in _SINGLE for name in (one, one + _INDEX))
    return any(fnmatch(name, p) for p in (*SETTINGS, *_TOKENIZERS, *entries, _ADAPTER, "*.gguf"))


def weight_files(folder: Path) -> list[Path]:
    """Return the files from which transformers loads the weights, sorted by name.

    They are one file or the shards of an index, in safetensors before pickled ones. Other copies of
    the weights are left out. If none has the expected name, all candidates are returned, and
    loading will say what is missing.

    Raises:
        ModelError: if an index cannot be read, or names a file that is missing or outside of the
            folder.
    """
    named = _entry_file(folder)
    if named and named.name.endswith(_INDEX):
        return _shards(named)
    if named:
        return [named]
    return sorted(folder.glob(_SAFETENSORS)) or sorted(folder.glob(PICKLED))


def index_files(folder: Path) -> list[Path]:
    """Return the index of shards that :func:`weight_files` reads, if there is one."""
    entry = _entry_file(folder)
    return [entry] if entry and entry.name.endswith(_INDEX) else []


def configuration_files(folder: Path) -> list[Path]:
    """Return the files of configuration and tokenizer, sorted by name.

    Which of them a tokenizer's class reads is unknown before it is loaded, so all files that one
    may read are returned. Other files, such as records of training, change nothing.
    """
    settings = (folder / name for name in SETTINGS)
    return sorted({*filter(Path.is_file, settings), *tokenizer_files(folder), *index_files(folder)})


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files that a class of tokenizers may read, with templates, sorted by name."""
    return _matching(folder, _TOKENIZERS)


def has_vocabulary(folder: Path) -> bool:
    """Return whether the folder has a tokenizer's vocabulary; one in a GGUF file is not looked for.

    Settings and templates alone are no tokenizer.
    """
    return bool(_matching(folder, _VOCABULARIES))


def _matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(filter(Path.is_file, paths))


def former_configuration_files(folder: Path) -> list[Path]:
    """Return the files of configuration by which versions up to 0.1 identified a model."""
    records = {path for pattern in _FORMER_RECORDS for path in folder.glob(pattern)}
    files = {path for pattern in (*_FORMER, *_FORMER_TEXTS) for path in folder.glob(pattern)}
    return sorted(files - records | set(index_files(folder)))


def _entry_file(folder: Path) -> Path | None:
    """Return the file that transformers opens first: the weights, or the index of their shards."""
    named = [_named_in_config(folder) or "", *(n for one in _SINGLE for n in (one, one + _INDEX))]
    paths = (folder / name for name in named if name)
    return next(filter(_is_file, paths), None)


def _named_in_config(folder: Path) -> str | None:
    """Return the file that ``transformers_weights`` in the configuration names, if any.

    Raises:
        ModelError: if it is outside of the folder.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        name = read_json(path, strict=False).get("transformers_weights")
    except DataError:
        return None  # loading will say what is wrong with it
    if not isinstance(name, str):
        return None
    _check_inside(path, name)
    return name


def _shards(index: Path) -> list[Path]:
    """Return the files that an index of shards names."""
    try:
        document = read_json(index, strict=False)
    except DataError as error:
        raise ModelError(str(error)) from error
    weight_map = document.get("weight_map")
    if not isinstance(document.get("metadata"), dict):  # transformers adds to it
        raise ModelError(f"{index}: has no object metadata; add one, such as {{}}")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{index}: not an index of weights; download the model again")
    for name in names:
        _check_inside(index, name)
    paths = sorted({index.parent / name for name in names})
    if missing := [path.name for path in paths if not _is_file(path)]:
        raise ModelError(f"{index}: names {missing[0]}, which is missing; download it")
    return paths


def _check_inside(source: Path, name: str) -> None:
    """Check that the file that another one names is in the same folder, or below it.

    Raises:
        ModelError: if it may be any file of this machine.
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ModelError(
            f"{source}: names {name}, which is outside of its folder; download the model again"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False
