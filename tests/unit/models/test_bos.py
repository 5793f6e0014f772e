"""The BOS rule of a tokenizer's files."""

import json
from pathlib import Path
from typing import Any

import gguf
import pytest

from benchmark.errors import DataError
from benchmark.models.bos import BosRule, bos_rule
from benchmark.models.downloads import source, sources
from benchmark.models.gguf_reading import fast_gguf_reading

ADDS = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {}}]}
ADDS_NOTHING = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]}
ENDS = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {}}, {"SpecialToken": {"id": "</s>"}}],
}
BYTES = {"type": "ByteLevel"}


def _folder(path: Path, config: dict[str, Any] | None, processor: object = None) -> Path:
    if config is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(config))
    if processor is not None:
        (path / "tokenizer.json").write_text(json.dumps({"post_processor": processor}))
    return path


@pytest.mark.parametrize(
    ("config", "processor", "added", "says"),
    [
        # The field comes first: DeepSeek's post-processor adds nothing, Qwen's class names a BOS.
        (
            {"add_bos_token": True, "tokenizer_class": "LlamaTokenizer"},
            BYTES,
            True,
            "add_bos_token",
        ),
        (
            {"add_bos_token": False, "tokenizer_class": "LlamaTokenizer"},
            ADDS,
            False,
            "add_bos_token",
        ),
        ({"add_bos_token": False, "tokenizer_class": "Qwen2Tokenizer"}, BYTES, False, "add_bos"),
        # Without it the class's default, where there is one.
        ({"tokenizer_class": "LlamaTokenizer"}, ADDS_NOTHING, True, "default of LlamaTokenizer"),
        ({"tokenizer_class": "GemmaTokenizerFast"}, None, True, "default of GemmaTokenizerFast"),
        ({"tokenizer_class": "CodeLlamaTokenizer"}, None, True, "default of CodeLlamaTokenizer"),
        # Else the post-processor: Llama 3's class is the general one.
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, ADDS, True, "post-processor"),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, BYTES, False, "post-processor"),
        ({"tokenizer_class": "GPT2Tokenizer", "bos_token": "<s>"}, BYTES, False, "post-processor"),
        ({"add_bos_token": None}, {"type": "Sequence", "processors": [BYTES, ADDS]}, True, "post"),
        ({}, {"type": "Sequence", "processors": [BYTES, ADDS_NOTHING]}, False, "post-processor"),
        ({}, {"type": "RobertaProcessing", "cls": ["<s>", 0]}, True, "post-processor"),
        ({}, ENDS, False, "post-processor"),
        (None, ADDS, True, "post-processor"),
        ({"tokenizer_class": "GPT2Tokenizer"}, None, False, "default of GPT2Tokenizer"),
    ],
)
def test_rule(
    tmp_path: Path, *, config: dict[str, Any], processor: object, added: bool, says: str
) -> None:
    """``add_bos_token`` decides, else the class, else the post-processor."""
    rule = bos_rule(_folder(tmp_path, config, processor), None)
    assert rule.added is added
    assert says in rule.source


def test_a_bare_sentencepiece_model_adds_one(tmp_path: Path) -> None:
    """A bare ``tokenizer.model`` is treated like Llama's."""
    (tmp_path / "tokenizer.model").write_bytes(b"")
    assert bos_rule(tmp_path, None) == BosRule(added=True, source="the default for tokenizer.model")


@pytest.mark.parametrize("content", ["{", "[1]", "", "[" * 10_000])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "tokenizer.json"])
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: str) -> None:
    """An unreadable file, or one that is longer than the bound, decides nothing silently."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=name):
        bos_rule(tmp_path, None)


@pytest.mark.parametrize(
    ("model", "pre", "says", "added"),
    [
        ("llama", "default", None, True),
        ("llama", "default", False, False),
        ("gpt2", "smollm", None, False),
        ("gpt2", "smollm", True, True),
        ("gpt2", "llama-bpe", None, True),
        ("gpt2", "qwen2", None, False),
    ],
)
def test_rule_of_a_gguf_file(
    tmp_path: Path, *, model: str, pre: str, says: bool | None, added: bool
) -> None:
    """A GGUF file's own field decides, else llama.cpp's default for its vocabulary."""
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    if says is not None:
        writer.add_add_bos_token(says)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    rule = bos_rule(tmp_path, path.name)
    assert rule.added is added
    assert ("in the GGUF file" in rule.source) is (says is not None)


@pytest.mark.parametrize("name", sources())
def test_rule_of_a_fetched_tokenizer(name: str) -> None:
    """The rule in ``sources.toml`` is that of the downloaded files."""
    vocabulary = source(name)
    if not vocabulary.present:
        pytest.skip(f"{name}: not fetched; run: {vocabulary.command}")
    files = [entry.name for entry in vocabulary.files if entry.name.endswith(".gguf")]
    with fast_gguf_reading():
        assert bos_rule(vocabulary.folder, files[0] if files else None).added is vocabulary.adds_bos
