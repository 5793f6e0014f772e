"""Plain use of the libraries on a small model, beside the project's own way."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import ModelError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.storage import failed
from benchmark.fingerprints.vanilla import vanilla_fingerprint
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.requests import DataRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
)
DATA = DataRequest(seed=0, states=1)


@pytest.fixture
def folder(
    tmp_path: Path,
    tiny_tokenizer: Callable[..., TransformersTokenizer],
    tiny_model: Callable[..., "PreTrainedModel"],
) -> Path:
    """A model's folder, with a tokenizer of 348 tokens that has no chat template."""
    tokenizer = tiny_tokenizer(chat_template=None)
    tokenizer.raw.save_pretrained(tmp_path)
    tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(tmp_path)
    return tmp_path


def test_what_a_chat_template_does_to_a_str_prompt_is_seen(folder: Path) -> None:
    """Outlines wraps the prompt as soon as there is one: the shift begins at the prompt."""
    without = vanilla_fingerprint(folder, DATA)
    assert not failed(without.stages)
    assert compare(without, vanilla_fingerprint(folder, DATA)).stage is None
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    wrapped = vanilla_fingerprint(folder, DATA)
    assert wrapped.samples[0].prompt == f"<user>{without.samples[0].prompt}"
    assert compare(without, wrapped).stage == "prompt"


def test_a_tokenizer_alone_goes_as_far_as_the_constraint(folder: Path) -> None:
    """Without weights a tiny random model stands in, and only its size is used."""
    whole = vanilla_fingerprint(folder, DATA)
    (folder / "model.safetensors").unlink()
    bare = vanilla_fingerprint(folder, DATA)
    assert list(bare.stages) == ["dataset", "prompt", "prompt_ids", "constraint"]
    assert bare.stages["prompt_ids"] == whole.stages["prompt_ids"]
    assert bare.allowed == replace(whole, logits=None).allowed


def test_a_space_put_before_the_prompt_is_seen_at_the_tokens(folder: Path) -> None:
    """As where a release takes a setting of the tokenizer otherwise."""
    old = vanilla_fingerprint(folder, DATA)
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    document["normalizer"] = {"type": "Prepend", "prepend": " "}
    path.write_text(json.dumps(document))
    assert compare(old, vanilla_fingerprint(folder, DATA)).stage == "prompt_ids"


def test_no_such_folder(tmp_path: Path) -> None:
    """Is one line."""
    with pytest.raises(ModelError, match="no such folder"):
        vanilla_fingerprint(tmp_path / "missing", DATA)


def test_a_folder_without_tokenizer(tmp_path: Path) -> None:
    """Has nothing to record: an error, and no record of stages that all failed."""
    with pytest.raises(ModelError, match="no tokenizer in this folder"):
        vanilla_fingerprint(tmp_path, DATA)
