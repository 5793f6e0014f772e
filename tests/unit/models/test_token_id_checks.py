"""Ids in a tokenizer's files that would make a list of gigabytes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmark.errors import ModelError, RefusedModelError
from benchmark.models import token_id_checks
from benchmark.models.location import locate
from benchmark.models.token_id_checks import check_ids
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.models.vocabularies import load_vocabulary
from fakes.json_files import edit_json

TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
LARGEST = 2**31 - 1


def _model(vocabulary: object, *added: object) -> dict[str, object]:
    return {"model": {"vocab": vocabulary}, "added_tokens": [*added]}


@pytest.mark.parametrize("number", [2**20, LARGEST, 10**18])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tokenizer.json", _model({"a": 0, "zzz": -1})),
        ("tokenizer.json", _model({"a": 0}, {"id": -1, "content": "zzz"})),
        ("tokenizer.json", _model([["a", -0.5]], {"id": -1, "content": "zzz"})),
        ("vocab.json", {"a": 0, "zzz": -1}),
        ("added_tokens.json", {"zzz": -1}),
        ("tekken.json", {"vocab": [{"rank": -1, "token_bytes": "zzz"}]}),
        ("tekken.json", {"vocab": [], "special_tokens": [{"rank": -1, "token_str": "zzz"}]}),
    ],
)
def test_an_absurd_id_is_named(
    tmp_path: Path, name: str, content: Mapping[str, object], number: int
) -> None:
    """With its file and token, and the bound."""
    (tmp_path / name).write_text(json.dumps(content).replace("-1", str(number)))
    with pytest.raises(RefusedModelError, match=f"m: {name} has id {number} for 'zzz', not an id"):
        check_ids("m", tmp_path)


def test_other_files_with_ids(tmp_path: Path) -> None:
    """The key of an object, and a line of tiktoken's."""
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"added_tokens_decoder": {str(LARGEST): {"content": "x"}}}))
    with pytest.raises(RefusedModelError, match=f"tokenizer_config.json has id {LARGEST}"):
        check_ids("m", tmp_path)
    path.unlink()
    (tmp_path / "qwen.tiktoken").write_text(f"IQ== 0\nIg== {LARGEST}\n")
    with pytest.raises(RefusedModelError, match=f"qwen.tiktoken has id {LARGEST} for 'Ig=='"):
        check_ids("m", tmp_path)


def test_a_large_vocabulary_and_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids may have gaps; large numbers that are no ids, and texts of digits, are left alone."""
    monkeypatch.setattr(token_id_checks, "_HARMLESS", 100)
    vocabulary = {f"t{number}": number for number in range(0, 400, 2)}
    document = _model({**vocabulary, str(10**9): 1}, {"id": 401, "content": "x"})
    document["truncation"] = {"max_length": 10**30}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    (tmp_path / "vocab.json").write_text(json.dumps({"0" * 20: 0}))
    check_ids("m", tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(_model(vocabulary | {"zzz": 402})))
    with pytest.raises(RefusedModelError, match="id 402 for 'zzz', not an id from 0 to 401"):
        check_ids("m", tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """If it has a number that may be an id."""
    (tmp_path / "vocab.json").write_text('{"a": 99999999')
    with pytest.raises(ModelError, match=r"m: cannot load its tokenizer: .*vocab.json: not JSON"):
        check_ids("m", tmp_path)


def test_nothing_is_built_from_absurd_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a run nor for a fetched tokenizer."""
    folder = tmp_path / "model"
    shutil.copytree(TRACK, folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    model["vocab"]["zzz"] = LARGEST
    edit_json(folder / "tokenizer.json", model=model)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", None)
    with pytest.raises(RefusedModelError, match="'zzz'"):
        load_tokenizer(locate(str(folder)))
    with pytest.raises(RefusedModelError, match="'zzz'"):
        load_vocabulary(folder, "tokenizer.json")
