"""Load tokenizers with transformers, and the tokenizer of ``tokenizer.json`` itself."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import DataError, ModelError, first_line
from benchmark.models.bos import BosRule, bos_rule
from benchmark.models.configuration_checks import check_settings, check_token_ids
from benchmark.models.gguf_checks import check_gguf_metadata
from benchmark.models.gguf_reading import gguf_arguments, gguf_cache
from benchmark.models.gguf_tokenizer import (
    check_pre_tokenizer,
    check_same_vocabulary,
    complete_from_gguf,
)
from benchmark.models.kept_tokenizer import kept_tokenizer
from benchmark.models.library_messages import collected_messages, keep_messages
from benchmark.models.location import Location
from benchmark.models.model_files import has_vocabulary
from benchmark.models.token_id_checks import check_ids
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.reading.documents import read_json
from benchmark.reading.files import read_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_NEW_NAME = "TokenizersBackend"
_UNNAMED = (LookupError, ArithmeticError, AttributeError, TypeError)
"""Exceptions whose messages mean nothing without the name of the class."""


def load_tokenizer(location: Location, registered: BosRule | None = None) -> TransformersTokenizer:
    """Return the model's tokenizer.

    If the folder has a ``tokenizer.json``, it decides the token ids, also next to a GGUF file.
    ``registered`` is the registry's BOS rule; without it, the rule follows from the files.

    Raises:
        ModelError: if the folder has no tokenizer that transformers can load, or the pre-tokenizer
            of a GGUF file is unknown.
    """
    check_settings(location)
    folder = location.tokenizer_folder
    if not (location.gguf or has_vocabulary(folder)):
        raise ModelError(
            f"{location.name}: has no tokenizer, such as tokenizer.json; add the files of its "
            "base's, or name it as tokenizer in a --registry"
        )
    check_ids(location.name, folder)
    try:
        with collected_messages() as messages, gguf_cache(location):
            if location.gguf:
                check_gguf_metadata(location.folder / location.gguf, location.name)
            raw = _load_raw(location)
            encoder = _read_tokenizer_json(folder, raw)
            if location.gguf and encoder:
                gguf_file = location.folder / location.gguf
                check_same_vocabulary(encoder, gguf_file, location.name)
                complete_from_gguf(raw, gguf_file, location.name)
            rule = bos_rule(folder, location.gguf)
    except ModelError:
        raise
    except Exception as error:  # tokenizers raises no class of its own
        _check_json(location)
        # The message of the others is a key, or speaks of Python.
        kind = f"{type(error).__name__}: " if isinstance(error, _UNNAMED) else ""
        raise ModelError(
            f"{location.name}: cannot load its tokenizer: {kind}{first_line(error)}"
        ) from error
    rule = registered.overriding(rule) if registered else rule
    check_token_ids(location, {"bos_token": raw.bos_token_id, "eos_token": raw.eos_token_id})
    tokenizer = TransformersTokenizer(raw, location.name, rule, encoder)
    if registered and registered.added and tokenizer.bos_id is None:
        raise ModelError(
            f"{location.name}: its tokenizer has no BOS, but the registry says that it adds one; "
            "check that these are the model's own tokenizer files"
        )
    keep_messages(tokenizer, messages)
    return tokenizer


def _check_json(location: Location) -> None:
    """Name a file of a tokenizer that is no JSON, or nested too deeply, as libraries do not.

    Raises:
        ModelError: naming the model and the file.
    """
    folder = location.tokenizer_folder
    for path in (folder / name for name in ("tokenizer.json", "tokenizer_config.json")):
        try:
            if path.is_file():
                read_json(path, strict=False)
        except DataError as error:
            raise ModelError(f"{location.name}: cannot load its tokenizer: {error}") from error


def _load_raw(location: Location) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of transformers."""
    import transformers

    from_pretrained = getattr(transformers, _tokenizer_class(location)).from_pretrained
    if location.gguf and (location.folder / "tokenizer.json").is_file():
        raw: PreTrainedTokenizerFast = from_pretrained(location.folder, trust_remote_code=False)
        return raw
    if location.gguf:
        check_pre_tokenizer(location.folder / location.gguf, location.name)
        with kept_tokenizer(location):
            return from_pretrained(
                location.folder, trust_remote_code=False, **gguf_arguments(location)
            )
    return from_pretrained(location.tokenizer_folder, trust_remote_code=False)


def _read_tokenizer_json(folder: Path, raw: "PreTrainedTokenizerFast") -> "Tokenizer | None":
    """Return the tokenizer of ``tokenizer.json``, without the changes of a transformers class.

    Truncation and padding in the file are left over from training, and are removed. Special tokens
    that are only in other files are added with their ids from those files.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    encoder = Tokenizer.from_file(str(path))
    encoder.no_truncation()
    encoder.no_padding()
    vocabulary = encoder.get_vocab(with_added_tokens=True)
    for token_id, token in sorted(raw.added_tokens_decoder.items()):
        if token.content not in vocabulary:
            (encoder.add_special_tokens if token.special else encoder.add_tokens)([token])
            if encoder.token_to_id(token.content) != token_id:
                raise ModelError(f"{token.content!r} has another id in tokenizer.json")
    return encoder


def _tokenizer_class(location: Location) -> str:
    """Return the class of transformers that loads the tokenizer.

    It is ``AutoTokenizer``, except for a class name that this release does not have: transformers 5
    saves ``TokenizersBackend`` for the class that 4 calls ``PreTrainedTokenizerFast``.
    """
    import transformers

    config = location.tokenizer_folder / "tokenizer_config.json"
    saved = read_text(config) if config.exists() else ""
    renamed = _NEW_NAME in saved and not hasattr(transformers, _NEW_NAME)
    return "PreTrainedTokenizerFast" if renamed else "AutoTokenizer"
