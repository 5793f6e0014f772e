"""Folders as the hub has them."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from benchmark.fingerprints import hub_folder
from benchmark.fingerprints.hub_folder import hub_folders, hub_source, write_hub_folder
from benchmark.models.downloads import sources
from fakes.tiny_tokenizer import tiny_tokenizer


def test_every_folder_has_a_source() -> None:
    """Each row names a tokenizer that can be fetched."""
    assert {hub_source(name).name for name in hub_folders()} <= set(sources())


@pytest.mark.parametrize("template", [None, "bos", "eos"])
def test_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str | None) -> None:
    """``tokenizer.json`` puts BOS before or EOS after a text; the option itself is not written."""
    row = {"of": "llama", "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    row["eos_token"] = "</s>"  # noqa: S105  # no password
    options = {f"template_{name}": name == template for name in ("bos", "eos")}
    monkeypatch.setattr(hub_folder, "hub_folders", lambda: {"x": row | options})
    monkeypatch.setattr(hub_folder, "load_source_tokenizer", lambda _: tiny_tokenizer())
    write_hub_folder("x", tmp_path / "x")
    config = json.loads((tmp_path / "x" / "tokenizer_config.json").read_text())
    assert config == {name: value for name, value in row.items() if name != "of"}
    definition = json.loads((tmp_path / "x" / "tokenizer.json").read_text())
    own = json.loads(tiny_tokenizer().raw.backend_tokenizer.to_str())
    assert (definition["post_processor"] != own["post_processor"]) is (template is not None)
    if template:
        ids = AutoTokenizer.from_pretrained(tmp_path / "x").encode("Box")
        tokenizer = tiny_tokenizer()
        text = tokenizer.encode("Box")
        with_special = {"bos": [tokenizer.bos_id, *text], "eos": [*text, tokenizer.eos_id]}
        assert ids == with_special[template]
