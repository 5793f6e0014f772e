"""Vanilla use of the libraries on a small model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import ModelError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.storage import failed
from benchmark.fingerprints.vanilla import vanilla_fingerprint
from benchmark.runs.requests import DataRequest
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

if TYPE_CHECKING:
    pass

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
)
DATA = DataRequest(seed=0, states=1)


@pytest.fixture
def folder(
    tmp_path: Path,
) -> Path:
    """A model's folder, with a tokenizer of 348 tokens that has no chat template."""
    tokenizer = tiny_tokenizer(chat_template=None)
    tokenizer.raw.save_pretrained(tmp_path)
    tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(tmp_path)
    return tmp_path


def test_chat_template_changes_the_prompt(folder: Path) -> None:
    """Outlines wraps a ``str`` prompt as soon as there is a template."""
    without = vanilla_fingerprint(folder, DATA)
    assert not failed(without.stages)
    assert compare(without, vanilla_fingerprint(folder, DATA)).stage is None
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    wrapped = vanilla_fingerprint(folder, DATA)
    assert wrapped.samples[0].prompt == f"<user>{without.samples[0].prompt}"
    assert compare(without, wrapped).stage == "prompt"


def test_tokenizer_without_weights(folder: Path) -> None:
    """A tiny random model is used instead, of which only the size matters."""
    with_weights = vanilla_fingerprint(folder, DATA)
    (folder / "model.safetensors").unlink()
    bare = vanilla_fingerprint(folder, DATA)
    assert list(bare.stages) == ["dataset", "prompt", "prompt_ids", "constraint"]
    assert bare.stages["prompt_ids"] == with_weights.stages["prompt_ids"]
    assert bare.allowed == replace(with_weights, logits=None).allowed


def test_prepended_space_changes_the_token_ids(folder: Path) -> None:
    """As if a release read a setting of the tokenizer differently."""
    old = vanilla_fingerprint(folder, DATA)
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    document["normalizer"] = {"type": "Prepend", "prepend": " "}
    path.write_text(json.dumps(document))
    assert compare(old, vanilla_fingerprint(folder, DATA)).stage == "prompt_ids"


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    """The error is one line."""
    with pytest.raises(ModelError, match="no such folder"):
        vanilla_fingerprint(tmp_path / "missing", DATA)


def test_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    """There would be only failed stages to record."""
    with pytest.raises(ModelError, match="no tokenizer in this folder"):
        vanilla_fingerprint(tmp_path, DATA)
