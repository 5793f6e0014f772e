"""Byte-level tokenizers of vocabularies without a ``tokenizer.json``."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from gguf import GGUFWriter

from benchmark.errors import DataError, ModelError
from benchmark.models.byte_level_vocabularies import tokenizer_from_gguf, tokenizer_from_tekken
from fakes.naive_tekken import naive_tekken

TEXT = "Box 0 contains the bag, Box 1 nothing.\nÄ 17"
WORDS = (b"Bo", b"Box", b" B", b" Bo", b" Box", b"in", b"ing", b"th", b"the", b" the", b"\n\xc3")


@pytest.fixture
def tekken() -> dict[str, Any]:
    """The 256 bytes and a few words, with ten special tokens more than are named."""
    ranked = [*(bytes([byte]) for byte in range(256)), *WORDS]
    vocabulary = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for rank, token in enumerate(ranked)
    ]
    config = {"pattern": r" ?\p{L}+|\p{N}|\s+|[^\s\p{L}\p{N}]+", "default_num_special_tokens": 30}
    config["default_vocab_size"] = 30 + len(ranked) - 1
    return {"config": config, "vocab": vocabulary}


def test_tekken_merges_by_rank(tekken: dict[str, Any], tmp_path: Path) -> None:
    """Ids are those of merging the pair of the lowest rank; the last entry is beyond the size."""
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps(tekken))
    tokenizer = tokenizer_from_tekken(path)
    assert tokenizer.encode(TEXT, add_special_tokens=False) == naive_tekken(tekken, TEXT)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)
    assert tokenizer.convert_ids_to_tokens([3, 29]) == ["[INST]", "<SPECIAL_29>"]
    assert len(tokenizer) == tekken["config"]["default_vocab_size"]


def test_another_json_is_no_tekken(tmp_path: Path) -> None:
    """The line names the file."""
    path = tmp_path / "tekken.json"
    path.write_text('{"config": {}}')
    with pytest.raises(DataError, match="not a tekken"):
        tokenizer_from_tekken(path)


def _gguf(path: Path, pre: str) -> Path:
    """Write a vocabulary whose EOS is its first token, as those of GPT-NeoX and Falcon."""
    tokens = ["<eos>", "a", "b", "ab", "[PAD4]"]
    writer = GGUFWriter(path, "falcon")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_merges(["a b"])
    writer.add_token_types([3, 1, 1, 1, 5])
    writer.add_eos_token_id(0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def test_special_tokens_keep_their_ids(tmp_path: Path) -> None:
    """Also those before the text's tokens; padding is no token."""
    tokenizer = tokenizer_from_gguf(_gguf(tmp_path / "x.gguf", "falcon"))
    assert tokenizer.encode("ab<eos>b") == [3, 0, 2]
    assert (tokenizer.eos_token_id, tokenizer.bos_token) == (0, None)
    assert "[PAD4]" not in tokenizer.get_vocab()


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    """Another rule would change ids without an error."""
    with pytest.raises(ModelError, match="no rule for its pre-tokenizer 'other'"):
        tokenizer_from_gguf(_gguf(tmp_path / "x.gguf", "other"))
