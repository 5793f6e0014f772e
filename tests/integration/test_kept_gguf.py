"""A GGUF file that was converted before gives the same model and tokenizer, without its loaders."""

import os
from pathlib import Path

import pytest
import torch
import transformers.integrations.gguf
from transformers import PreTrainedModel

from benchmark.errors import ModelError
from benchmark.models import loading
from benchmark.models.conversions import conversions_folder
from benchmark.models.library_messages import messages_of
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import Location, locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from fakes.gguf_models import write_gguf

TEXT = "Statement: Box 0 contains the bag and the map, Box 6 contains nothing.\n\nDescription: 12"


@pytest.fixture
def location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Location:
    """A control model as a GGUF file, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    return locate(str(write_gguf(tmp_path / "model" / "m.gguf", "gpt-2")))


def _refuse(*_: object) -> None:
    raise AssertionError("the file was converted again")


def _forbid_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_read", _refuse)
    monkeypatch.setattr(transformers.integrations.gguf, "convert_gguf_tokenizer", _refuse)


def _load(location: Location, dtype: str = "float32") -> PreTrainedModel:
    return load_model(location, LoadOptions("cpu", dtype))


def _assert_same(one: PreTrainedModel, other: PreTrainedModel) -> None:
    """Assert that weights are the same to the bit, and everything else that decides an answer."""
    assert type(one) is type(other)
    weights, others = one.state_dict(), other.state_dict()
    assert [*weights] == [*others]
    for name, weight in weights.items():
        assert weight.dtype == others[name].dtype
        assert torch.equal(weight, others[name]), name
    fields, others_fields = one.config.to_dict(), other.config.to_dict()
    for names in (fields, others_fields):
        names.pop("quantization_config", None)  # where the weights are from
    assert fields == others_fields
    assert one.config.name_or_path == other.config.name_or_path
    assert one.config._attn_implementation == other.config._attn_implementation
    assert one.generation_config == other.generation_config
    buffers = dict(other.named_buffers())
    assert all(torch.equal(value, buffers[name]) for name, value in one.named_buffers())
    assert not other.training
    assert messages_of(one) == messages_of(other)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kept_weights_are_the_same_model(
    location: Location, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """The second start does not convert, and its model computes the same logits."""
    first = _load(location, dtype)
    _forbid_conversion(monkeypatch)
    again = _load(location, dtype)
    _assert_same(first, again)
    ids = torch.arange(20)[None]
    with torch.inference_mode():
        assert torch.equal(first(ids).logits, again(ids).logits)


def test_kept_tokenizer_is_the_same(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    """Class, definition, special tokens and template are those of the first load."""
    first = load_tokenizer(location)
    _forbid_conversion(monkeypatch)
    again = load_tokenizer(location)

    def state(tokenizer: TransformersTokenizer) -> list[object]:
        raw = tokenizer.raw
        return [
            *(type(raw), raw.backend_tokenizer.to_str(), repr(raw), raw.init_kwargs),
            *(raw.special_tokens_map, raw.all_special_ids, raw.chat_template, raw.padding_side),
            *(tokenizer.bos, tokenizer.token_bytes, tokenizer.encode(TEXT)),
        ]

    assert state(first) == state(again)


def _flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["content.json", "0.bin", "tokenizer.json"])
def test_damaged_conversions_are_made_again(
    location: Location, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One byte is enough, and the third start uses what the second has mended."""
    first, ids = _load(location), load_tokenizer(location).encode(TEXT)
    for path in conversions_folder().glob(f"*/{name}"):
        _flip_byte(path)
    _assert_same(first, _load(location))
    assert load_tokenizer(location).encode(TEXT) == ids
    _forbid_conversion(monkeypatch)
    _assert_same(first, _load(location))
    assert load_tokenizer(location).encode(TEXT) == ids


def test_a_changed_file_is_converted(location: Location, tmp_path: Path) -> None:
    """Another weight in the file is another model, also at the same path and time."""
    before = _load(location)
    path = location.folder / "m.gguf"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)
    after = _load(locate(str(path)))
    weights, others = before.state_dict(), after.state_dict()
    assert sum(not torch.equal(weight, others[name]) for name, weight in weights.items()) == 1


def test_refused_models_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a tensor that the model does not take is refused at each start."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    folder = write_gguf(tmp_path / "model" / "m.gguf", "gpt-2", extra="blk.0.attn_q.bias")
    for _ in range(2):
        with pytest.raises(ModelError, match=r"would (not )?be used"):
            _load(locate(str(folder)))
    assert not conversions_folder().exists()


def test_a_cache_that_cannot_be_written(location: Location, tmp_path: Path) -> None:
    """Nothing is kept, and the model is the same."""
    first = _load(location)
    for path in sorted((tmp_path / "cache").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_text("a file in its place")
    _assert_same(first, _load(location))
    assert load_tokenizer(location).encode(TEXT)
