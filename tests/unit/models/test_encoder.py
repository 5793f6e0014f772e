"""The tokenizer of ``tokenizer.json``, and the one that transformers builds from the same files."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ModelError
from benchmark.models.bos import BosRule
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from fakes.json_files import edit_json
from fakes.tiny_tokenizer import tiny_tokenizer

TEXT = "Box 0 contains the bag and the map. " * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer's files."""
    tiny_tokenizer().raw.save_pretrained(tmp_path)
    return tmp_path


def _load(folder: Path, registered: BosRule | None = None) -> TransformersTokenizer:
    return load_tokenizer(Location("tiny", folder, None, "sha256:0"), registered)


@pytest.mark.parametrize(
    "left",
    [
        {"truncation": {"max_length": 16, "strategy": "LongestFirst", "stride": 0}},
        {"padding": {"strategy": {"Fixed": 900}, "pad_id": 0, "pad_type_id": 0}},
    ],
)
def test_what_training_left_in_the_file(folder: Path, left: dict[str, dict[str, Any]]) -> None:
    """Truncation and padding settings in the file have no effect on a prompt."""
    before = _load(folder).encode(TEXT)
    assert len(before) > 100
    more = {"direction": "Right"}
    padding = {"pad_to_multiple_of": None, "pad_token": "<s>"} if "padding" in left else {}
    (name,) = left
    edit_json(folder / "tokenizer.json", **{name: left[name] | more | padding})
    assert _load(folder).encode(TEXT) == before


def test_special_tokens_named_elsewhere(folder: Path) -> None:
    """A special token that is only in tokenizer_config.json is encoded as a single id."""
    before = _load(folder)
    size = len(before.raw)
    mark = {"content": "<|im_start|>", "special": True, "normalized": False}
    flags = {"lstrip": False, "rstrip": False, "single_word": False}
    added = {str(size): mark | flags}
    config = json.loads((folder / "tokenizer_config.json").read_text())
    added_before = config.get("added_tokens_decoder", {})
    edit_json(folder / "tokenizer_config.json", added_tokens_decoder=added_before | added)
    loaded = _load(folder)
    assert loaded.encode("<|im_start|>Box")[0] == size
    assert size not in loaded.token_bytes
    assert loaded.encode("Box 0") == before.encode("Box 0")


def test_how_many_prompts_are_read_otherwise(folder: Path) -> None:
    """Prompts with other ids in transformers than by the file are counted."""
    loaded = _load(folder)
    assert loaded.count_differing([TEXT, "Box 0"]) == 0
    encode = loaded.raw.encode
    loaded.raw.encode = lambda text, **more: encode(text.replace(" ", ""), **more)
    assert loaded.count_differing([TEXT, "Box"]) == 1
    loaded.raw.encode = None  # any error: tokenizers raises no class of its own
    assert loaded.count_differing([TEXT, "Box"]) == 2


def test_registry_and_files_disagree_on_the_bos(folder: Path) -> None:
    """The registry takes precedence, and the rule notes that the files disagree."""
    own = _load(folder)
    assert own.bos == BosRule(added=True, source="the post-processor of tokenizer.json")
    said = _load(folder, BosRule(added=False, source="registry")).bos
    assert not said.added
    assert said.source == "registry, unlike the post-processor of tokenizer.json"
    assert _load(folder, BosRule(added=True, source="registry")).bos.source == "registry"


def test_a_bos_that_is_not_named(folder: Path) -> None:
    """A tokenizer without a BOS is refused if the registry says that it adds one."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["bos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="tiny: its tokenizer has no BOS, but the registry"):
        _load(folder, BosRule(added=True, source="registry"))
