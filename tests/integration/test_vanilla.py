"""Vanilla use of the libraries on a small model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import ModelError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.storage import failed, read_fingerprint
from benchmark.fingerprints.vanilla import vanilla_fingerprint
from benchmark.runs.requests import DataRequest
from fakes.command_line import command_line
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


def test_probe_of_the_command_line(folder: Path, tmp_path: Path) -> None:
    """``fingerprint --probe vanilla`` writes the record of vanilla use, of 4 states by default."""
    out = tmp_path / "record.json.gz"
    done = command_line("fingerprint", "--probe", "vanilla", folder, "--states", "1", "--out", out)
    assert (done.returncode, done.stdout) == (0, f"written: {out}\n"), done.stderr
    record = read_fingerprint(out)
    assert (record.kind, record.states) == ("vanilla", 1)
    assert compare(record, vanilla_fingerprint(folder, DATA)).stage is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("vanilla", "model", "--engine", "outlines"), "--engine is for --probe own; leave it out"),
        (("vanilla", "model", "--repeats", "2"), "--repeats is for --probe own"),
        (("vanilla", "model", "--task", "move-contents"), "--task is for --probe own"),
        (("vanilla",), "--probe vanilla needs a model"),
        (("tokenizers", "model"), "records every fetched tokenizer; leave out model"),
        (("tokenizers", "--states", "2"), "--states is for --probe own and vanilla"),
        (("own",), "--probe own needs a model"),
    ],
)
def test_options_of_other_probes_are_refused(
    arguments: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    """No option is ignored silently."""
    out = tmp_path / "x.json"
    done = command_line("fingerprint", "--out", out, "--probe", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert line in done.stderr
    assert not out.exists()
