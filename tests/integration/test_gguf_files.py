"""GGUF files: their pre-tokenizer, tokenizer files next to them, and tensors nobody uses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers

from benchmark.errors import ModelError
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.measure import run
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from fakes.gguf_models import DEFINITION, TRACK, write_gguf

TEXT = "Statement: Box 0 contains the bag and the map, Box 6 contains nothing.\n\nDescription: 12"


def _load(folder: Path) -> TransformersTokenizer:
    return load_tokenizer(locate(str(folder)))


def _expected_ids(definition: dict[str, Any], *, digits: bool) -> list[int]:
    """Return the ids of the text by the vocabulary, split as GPT-2 or also at digits."""
    tokenizer = Tokenizer.from_str(json.dumps(definition))
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    split_digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split_digits, gpt2]) if digits else gpt2
    ids: list[int] = tokenizer.encode(TEXT, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize(
    ("pre", "digits"), [("gpt-2", False), ("olmo", False), ("smollm", True), ("starcoder", True)]
)
def test_known_pre_tokenizers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pre: str, *, digits: bool
) -> None:
    """Files with a supported pre-tokenizer are split by its rule; their vocabularies follow it."""
    definition = json.loads(json.dumps(DEFINITION))
    if digits:
        merges = definition["model"]["merges"]
        kept = [merge for merge in merges if not any(map(str.isdigit, "".join(merge)))]
        definition["model"]["merges"] = kept
    monkeypatch.setitem(DEFINITION, "model", definition["model"])
    ids = _load(write_gguf(tmp_path / "m.gguf", pre)).encode(TEXT)
    assert list(ids) == _expected_ids(definition, digits=digits)


@pytest.mark.parametrize(
    ("pre", "named"),
    [
        (None, "does not name its pre-tokenizer"),
        ("default", "does not name its pre-tokenizer"),
        ("deepseek-llm", "the pre-tokenizer 'deepseek-llm'"),
        ("unheard-of", "the pre-tokenizer 'unheard-of'"),
    ],
)
def test_unknown_pre_tokenizers_are_refused(tmp_path: Path, pre: str | None, named: str) -> None:
    """Another pre-tokenizer, or a missing one, is refused with the way to choose one."""
    folder = write_gguf(tmp_path / "m.gguf", pre)
    with pytest.raises(ModelError, match=named) as error:
        _load(folder)
    assert "tokenizer.json next to the file" in str(error.value)
    assert "\n" not in str(error.value)


def test_merged_digits_contradict_a_split_at_digits(tmp_path: Path) -> None:
    """A vocabulary that merges digits is refused if transformers does not split at them."""
    folder = write_gguf(tmp_path / "m.gguf", "smollm", merges=("1 2",))
    with pytest.raises(ModelError, match="the pre-tokenizer 'smollm'"):
        _load(folder)


@pytest.mark.parametrize("pre", [None, "unheard-of", "gpt-2"])
@pytest.mark.parametrize("config", [True, False])
def test_tokenizer_files_next_to_a_gguf_file(
    tmp_path: Path, pre: str | None, *, config: bool
) -> None:
    """tokenizer.json decides the ids; special tokens are in its files or in the GGUF file."""
    folder = write_gguf(tmp_path / "m.gguf", pre)
    shutil.copy(TRACK / "tokenizer.json", folder)
    if config:
        shutil.copy(TRACK / "tokenizer_config.json", folder)
    tokenizer, own = _load(folder), load_tokenizer(locate(str(TRACK)))
    assert tokenizer.encode(TEXT) == own.encode(TEXT)
    assert (tokenizer.bos_id, tokenizer.eos_id) == (own.bos_id, own.eos_id)


def _swap_tokens(definition: Any) -> None:  # noqa: ANN401
    vocabulary = definition["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.__getitem__)[300:302]
    vocabulary[words[0]], vocabulary[words[1]] = vocabulary[words[1]], vocabulary[words[0]]


def _swap_merges(definition: Any) -> None:  # noqa: ANN401
    merges = definition["model"]["merges"]
    merges[0], merges[1] = merges[1], merges[0]


def _drop_last_merge(definition: Any) -> None:  # noqa: ANN401
    definition["model"]["merges"].pop()


def _add_token(definition: Any, *, special: bool = False) -> None:  # noqa: ANN401
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    token = {"id": 689, "content": "<added>", "special": special, **flags}
    definition["added_tokens"].append(token)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_swap_tokens, "token 3[0-9]+ is '.*' in the GGUF file, but '.*' in the tokenizer.json"),
        (_swap_merges, "merge 0 is '.*' in the GGUF file, but '.*' in the"),
        (_drop_last_merge, "merge [0-9]+ is '.*' in the GGUF file, but None in the"),
        (_add_token, "has 689 tokens, but the tokenizer.json next to it also has '<added>'"),
    ],
)
def test_tokenizer_of_another_model_is_refused(
    tmp_path: Path, change: Callable[[Any], None], named: str
) -> None:
    """A tokenizer.json with another vocabulary is refused, with the first difference."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    definition = json.loads(json.dumps(DEFINITION))
    change(definition)
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    with pytest.raises(ModelError, match=named) as error:
        _load(folder)
    assert "tokenizer files of the GGUF file's own model" in str(error.value)
    assert "\n" not in str(error.value)


def test_further_special_tokens_are_no_other_vocabulary(tmp_path: Path) -> None:
    """A special token after the last of the GGUF file, as of images, is in no text."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    definition = json.loads(json.dumps(DEFINITION))
    _add_token(definition, special=True)
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    assert _load(folder).encode(TEXT) == load_tokenizer(locate(str(TRACK))).encode(TEXT)


def test_other_special_tokens_are_refused(tmp_path: Path) -> None:
    """A role that the tokenizer files and the GGUF file give to different tokens is refused."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    shutil.copy(TRACK / "tokenizer.json", folder)
    config = json.loads((TRACK / "tokenizer_config.json").read_text())
    config["eos_token"], config["bos_token"] = config["bos_token"], config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"the bos_token is '.*' in the tokenizer files next to"):
        _load(folder)


def test_gguf_with_tokenizer_files_is_measured(tmp_path: Path) -> None:
    """A GGUF file with its tokenizer files answers as the same model in safetensors."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TRACK / name, folder)
    texts = [
        run(
            RunRequest(str(model), tmp_path / str(n), DataRequest(states=1), device="cpu"), Quiet()
        ).texts
        for n, model in enumerate((folder, TRACK))
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ({"block_count": 3}, r"block_count of the GGUF file is 3, but its tensors have 4"),
        ({"block_count": 5}, r"block_count of the GGUF file is 5, but its tensors have 4"),
        ({"block_count": 2**32 - 1}, r"llama\.block_count of the GGUF file is 4294967295, not"),
        ({"embedding_length": 64}, r"embedding_length of the GGUF file is 64, but .* 128"),
        ({"embedding_length": 2**31}, r"llama\.embedding_length of the GGUF file is 2147483648"),
        ({"vocab_size": 700}, r"vocab_size of the GGUF file is 700, but .* 689"),
        ({"head_count": 2**31}, r"llama\.attention\.head_count of the GGUF file is 2147483648"),
        ({"context_length": 2**32 - 1}, r"llama\.context_length of the GGUF file is 4294967295"),
        ({"head_count": 0}, r"llama\.attention\.head_count of the GGUF file is 0, not an integer"),
        ({"head_count_kv": 0}, r"llama\.attention\.head_count_kv of the GGUF file is 0, not an"),
        ({"context_length": 0}, r"llama\.context_length of the GGUF file is 0, not an integer fr"),
        ({"block_count": 0}, r"llama\.block_count of the GGUF file is 0, not an integer from 1 to"),
    ],
)
def test_metadata_that_the_tensors_contradict(
    tmp_path: Path, numbers: dict[str, int], named: str
) -> None:
    """Numbers of blocks, widths and tokens that cannot be right are named, before building."""
    location = locate(str(write_gguf(tmp_path / "m.gguf", "gpt-2", numbers=numbers)))
    with pytest.raises(ModelError, match=named):
        load_tokenizer(location)
    with pytest.raises(ModelError, match=named):
        load_model(location, LoadOptions("cpu", "float32"))


def test_cut_off_tensors_are_named(tmp_path: Path) -> None:
    """A header that is right is not enough."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    content = (folder / "m.gguf").read_bytes()
    (folder / "m.gguf").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"m\.gguf is damaged or cut off: .* download it again"):
        load_tokenizer(locate(str(folder)))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (b"tokenizer.ggml.tokens", "the GGUF file has no tokens"),
        (b"tokenizer.ggml.merges", "cannot load its tokenizer: KeyError: "),
    ],
)
def test_a_missing_vocabulary_is_named(tmp_path: Path, key: bytes, words: str) -> None:
    """Rather than by a key of Python alone."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    content = (folder / "m.gguf").read_bytes()
    (folder / "m.gguf").write_bytes(content.replace(key, key[:-1] + b"x"))
    with pytest.raises(ModelError, match=words):
        load_tokenizer(locate(str(folder)))


@pytest.mark.parametrize("name", ["rope_freqs.weight", "blk.0.attn_q.bias", "output_extra.weight"])
def test_unused_tensors_of_a_gguf_file_are_refused(tmp_path: Path, name: str) -> None:
    """A tensor of the file that the model does not take is refused."""
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2", extra=name)
    with pytest.raises(ModelError, match=r"would (not )?be used"):
        load_model(locate(str(folder)), LoadOptions("cpu", "float32"))


def test_the_weights_of_a_gguf_file_are_used(tmp_path: Path) -> None:
    """Without further tensors the file is the control model."""
    options = LoadOptions("cpu", "float32")
    folder = write_gguf(tmp_path / "m.gguf", "gpt-2")
    loaded = load_model(locate(str(folder)), options).state_dict()
    for name, tensor in load_model(locate(str(TRACK)), options).state_dict().items():
        assert np.array_equal(loaded[name].numpy(), tensor.numpy()), name
