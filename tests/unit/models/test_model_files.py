"""The files of a model's folder that decide on a score, and those that do not."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from benchmark.errors import ModelError
from benchmark.models.location import locate
from benchmark.models.model_files import configuration_files, tokenizer_files, weight_files
from fakes.tiny_models import tiny_model

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def _write(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def _index(folder: Path, name: str, shards: tuple[str, ...]) -> None:
    weight_map = {f"layer.{n}": shard for n, shard in enumerate(shards)}
    (folder / f"{name}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )


def _digest_changes(folder: Path, name: str) -> bool:
    before = locate(str(folder)).digest
    (folder / name).write_text("changed")
    return locate(str(folder)).digest != before


def test_single_file_comes_before_shards(tmp_path: Path) -> None:
    """Next to model.safetensors, shards, other copies and their indices are not read."""
    copies = (*SHARDS, "consolidated.safetensors", "pytorch_model.bin")
    folder = _write(tmp_path, "model.safetensors", "config.json", *copies)
    _index(folder, "model.safetensors", SHARDS)
    (folder / "config.json").write_text("{}")
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    assert [path.name for path in configuration_files(folder)] == ["config.json"]
    assert locate(str(folder)).safetensors is True
    for name in (*copies, "model.safetensors.index.json"):
        assert not _digest_changes(folder, name)
    assert _digest_changes(folder, "model.safetensors")


def test_shards_are_those_of_the_index(tmp_path: Path) -> None:
    """Without model.safetensors the shards that the index names are read, and no others."""
    folder = _write(tmp_path, *SHARDS, "old-00001-of-00001.safetensors", "pytorch_model.bin")
    _index(folder, "model.safetensors", SHARDS)
    assert [path.name for path in weight_files(folder)] == list(SHARDS)
    assert not _digest_changes(folder, "old-00001-of-00001.safetensors")
    assert _digest_changes(folder, SHARDS[1])
    before = locate(str(folder)).digest
    _index(folder, "model.safetensors", SHARDS[::-1])
    assert locate(str(folder)).digest != before


def test_missing_shard_is_refused(tmp_path: Path) -> None:
    """An index that names a missing file, or is not an index, is an error with the next step."""
    folder = _write(tmp_path, SHARDS[0])
    _index(folder, "model.safetensors", SHARDS)
    with pytest.raises(ModelError, match=rf"names {SHARDS[1]}, which is missing; download"):
        locate(str(folder))
    index = folder / "model.safetensors.index.json"
    for damaged, message in (
        ("{}", "has no object metadata; add one"),
        ('{"metadata": null, "weight_map": {"a": "b"}}', "has no object metadata"),
        ('{"metadata": [], "weight_map": {"a": "b"}}', "has no object metadata"),
        ('{"metadata": {}}', "not an index of weights"),
        ('{"metadata": {}, "weight_map": ["a"]}', "not an index of weights"),
        ('{"metadata": {}, "weight_map": {"a": ["b"]}}', "not an index of weights"),
        (
            '{"metadata": {}, "weight_map": {"a": "../x.safetensors"}}',
            "outside of its folder; download",
        ),
        ('{"metadata": {}, "weight_map": {"a": "/etc/passwd"}}', "outside of its folder"),
        (json.dumps({"metadata": {}, "weight_map": {"a": "x" * 5000}}), "which is missing"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
    ):
        index.write_text(damaged)
        with pytest.raises(ModelError, match=message):
            locate(str(folder))


def test_safetensors_of_another_name_do_not_hide_pickled_weights(tmp_path: Path) -> None:
    """Transformers reads pytorch_model.bin if there is no model.safetensors."""
    folder = _write(tmp_path, "consolidated.safetensors", "pytorch_model.bin")
    location = locate(str(folder))
    assert location.safetensors is False
    assert not _digest_changes(folder, "consolidated.safetensors")


def test_weights_named_in_the_configuration(tmp_path: Path) -> None:
    """``transformers_weights`` comes first, as in transformers."""
    folder = _write(tmp_path, "model.safetensors", "other.safetensors")
    (folder / "config.json").write_text('{"transformers_weights": "other.safetensors"}')
    assert [path.name for path in weight_files(folder)] == ["other.safetensors"]
    (folder / "config.json").write_text('{"transformers_weights": "../other.safetensors"}')
    with pytest.raises(ModelError, match=r"config\.json: names .* outside of its folder"):
        weight_files(folder)


@pytest.mark.parametrize(
    "name",
    [
        *("README.txt", "notes.txt", "trainer_state.json", "all_results.json"),
        *("notes.json", "recipe.json", "preprocessor_config.json", "my_tokens.txt", "page.jinja"),
    ],
)
def test_files_that_nothing_reads_do_not_count(tmp_path: Path, name: str) -> None:
    """Notes and records of training change no score."""
    folder = _write(tmp_path, "model.safetensors", name)
    assert not _digest_changes(folder, name)


def _names_of_vocabularies() -> list[str]:
    """Return the files that the installed classes of tokenizers read, from their source."""
    import transformers

    sources = (Path(transformers.__file__).parent / "models").glob("*/tokenization_*.py")
    texts = (path.read_text(encoding="utf-8") for path in sources)
    return sorted({name for text in texts for name in _FILE.findall(text)})


_FILE = re.compile(r'"\w+_file": *"([^"]+)"')


def test_every_file_of_a_tokenizer_counts(tmp_path: Path) -> None:
    """The files of all classes of transformers are part of the digest."""
    names = _names_of_vocabularies()
    assert {"vocab.json", "merges.txt", "spiece.model"} <= set(names)
    for name in names:
        (tmp_path / name).touch()
    assert sorted(path.name for path in tokenizer_files(tmp_path)) == names


@pytest.mark.parametrize("name", ["vocab.txt", "merges.txt", "special_tokens_map.json"])
def test_files_of_tokenizers_count(tmp_path: Path, name: str) -> None:
    """Vocabularies and merges are part of the digest."""
    folder = _write(tmp_path, "model.safetensors", name)
    assert _digest_changes(folder, name)


@pytest.mark.parametrize("weights", ["adapter_model.safetensors", "model.safetensors", "a.gguf"])
def test_adapter_is_refused(tmp_path: Path, weights: str) -> None:
    """A folder with a PEFT adapter is refused, alone or next to a model, by folder or by file."""
    folder = _write(tmp_path, weights, "adapter_config.json")
    with pytest.raises(ModelError, match=r"PEFT adapter .* merge it into its base"):
        locate(str(folder / weights if weights.endswith(".gguf") else folder))


def test_same_files_as_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The selected files are those that transformers opens, for every layout."""
    from transformers import LlamaForCausalLM, modeling_utils

    model = tiny_model("llama", 64, 0)
    opened = list[list[str]]()
    original = modeling_utils._get_resolved_checkpoint_files

    def resolved(*args: object, **options: object) -> object:
        result = original(*args, **options)
        opened.append(sorted(Path(path).name for path in result[0]))
        return result

    monkeypatch.setattr(modeling_utils, "_get_resolved_checkpoint_files", resolved)
    for name, size in (("single", "1GB"), ("sharded", "40KB"), ("both", "40KB")):
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=size)
        if name == "both":
            weights = {}
            for path in weight_files(folder):
                weights.update(load_file(path))
            save_file(weights, folder / "model.safetensors", {"format": "pt"})
        LlamaForCausalLM.from_pretrained(folder, use_safetensors=locate(str(folder)).safetensors)
        assert [path.name for path in weight_files(folder)] == opened[-1]
    assert [len(names) > 1 for names in opened] == [False, True, False]
