"""Vocabularies in GGUF files, and the cache of converted ones."""

import json
from pathlib import Path

import pytest
from gguf import GGUFWriter

from benchmark.errors import ModelError
from benchmark.models import conversions, vocabularies
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.vocabularies import load_vocabulary
from fakes.tiny_tokenizer import tiny_tokenizer

TEXT = "Statement: Box 0 contains the bag and the map, Box 1 contains nothing.\nÄ 17"


@pytest.fixture
def tokenizer() -> TransformersTokenizer:
    """The tokenizer from which the file is written."""
    return tiny_tokenizer()


@pytest.fixture
def folder(
    tokenizer: TransformersTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with its vocabulary as GGUF, special tokens last as DeepSeek's are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = json.loads(tokenizer.raw.backend_tokenizer.to_str())["model"]
    special = ["<s>", "</s>"]
    ordered = sorted(model["vocab"], key=lambda token: model["vocab"][token])
    tokens = [token for token in ordered if token not in special] + special
    folder = tmp_path / "deepseek"
    folder.mkdir()
    writer = GGUFWriter(folder / "vocabulary.gguf", "deepseek")
    writer.add_tokenizer_pre("deepseek-llm")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("</s>"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return folder


def _refuse(*_: object) -> None:
    raise AssertionError("the GGUF file was read again")


def test_a_file_is_read_once(
    folder: Path, tokenizer: TransformersTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first and the second load have the same bytes and ids as reading the file."""
    direct = vocabularies._convert(folder, "gguf-bpe")
    first = load_vocabulary(folder, "gguf-bpe")
    monkeypatch.setattr(vocabularies, "_convert", _refuse)
    again = load_vocabulary(folder, "gguf-bpe")
    for raw in (first, again):
        loaded = TransformersTokenizer(raw, "loaded")
        assert loaded.encode(TEXT) == tuple(direct.encode(TEXT, add_special_tokens=False))
        # Without the two special tokens before them all others are numbered two lower.
        assert loaded.token_bytes == {i - 2: text for i, text in tokenizer.token_bytes.items()}
        assert (loaded.raw.bos_token, loaded.bos_id) == ("<s>", len(loaded.token_bytes))
        assert (loaded.raw.eos_token, loaded.eos_id) == ("</s>", len(loaded.token_bytes) + 1)


def test_a_kept_vocabulary_is_loaded_as_it_was_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file that was added counts, nor does a removal after the check."""
    first = load_vocabulary(folder, "gguf-bpe")
    (kept,) = (path for path in conversions.conversions_folder().iterdir() if path.is_dir())
    (kept / "chat_template.jinja").write_text("added")
    monkeypatch.setattr(vocabularies, "_convert", _refuse)
    checked = conversions.Conversion.files

    def removed_after(conversion: conversions.Conversion) -> dict[str, bytearray] | None:
        files = checked(conversion)
        conversion.remove()
        return files

    monkeypatch.setattr(conversions.Conversion, "files", removed_after)
    again = load_vocabulary(folder, "gguf-bpe")
    assert not kept.exists()
    assert again.chat_template is None
    assert again.encode(TEXT) == first.encode(TEXT)


def test_another_release_reads_it_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another release of a library converts the file again."""
    load_vocabulary(folder, "gguf-bpe")
    monkeypatch.setattr(vocabularies, "_convert", _refuse)
    monkeypatch.setattr(conversions, "_releases", lambda: {"transformers": "99.0"})
    with pytest.raises(AssertionError, match="read again"):
        load_vocabulary(folder, "gguf-bpe")


def test_an_unknown_kind_is_an_error(folder: Path) -> None:
    """An unknown kind of vocabulary is refused by name."""
    with pytest.raises(ModelError, match="unknown kind of vocabulary 'tar'"):
        load_vocabulary(folder, "tar")
