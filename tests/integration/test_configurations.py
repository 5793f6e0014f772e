"""Configurations and folders that cannot be right: each is refused in one line, quickly."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ModelError
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from fakes.command_line import command_line
from fakes.json_files import edit_json

TRACK = Path(__file__).parents[2] / "fixtures" / "models" / "track"
HUGE = 10**12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the control model."""
    return Path(shutil.copytree(TRACK, tmp_path / "model"))


def _refusal(folder: Path) -> str:
    """Return the message of loading tokenizer and weights, as a run does."""
    with pytest.raises(ModelError) as error:
        _load(folder)
    message = str(error.value)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return message


def _load(folder: Path) -> None:
    location = locate(str(folder))
    load_tokenizer(location)
    load_model(location, LoadOptions("cpu", "float32"))


# Fields


@pytest.mark.parametrize(
    ("file", "field", "value", "expected"),
    [
        ("config.json", "pad_token_id", 10**6, "not a token id from 0 to 688"),
        ("config.json", "pad_token_id", 689, "not a token id from 0 to 688"),
        ("config.json", "pad_token_id", -2, "not a token id"),
        ("config.json", "eos_token_id", [1, HUGE], "not a token id"),
        ("config.json", "bos_token_id", "0", "not a token id"),
        ("config.json", "bos_token_id", True, "not a token id"),
        ("generation_config.json", "eos_token_id", 689, "not a token id from 0 to 688"),
        ("generation_config.json", "pad_token_id", 0.5, "not a token id"),
        ("config.json", "num_hidden_layers", HUGE, "not an integer from 1 to 4096"),
        ("config.json", "num_hidden_layers", -1, "not an integer"),
        ("config.json", "num_hidden_layers", "4", "not an integer"),
        ("config.json", "vocab_size", HUGE, "not an integer"),
        ("config.json", "hidden_size", HUGE, "not an integer"),
        ("config.json", "hidden_size", 128.0, "not an integer"),
        ("config.json", "intermediate_size", 0, "not an integer"),
        ("config.json", "num_attention_heads", 0, "not an integer"),
        ("config.json", "num_key_value_heads", HUGE, "not an integer"),
        ("config.json", "head_dim", [], "head_dim"),
        ("config.json", "max_position_embeddings", 10**30, "not an integer"),
        ("config.json", "num_labels", HUGE, "not an integer from 0 to 65536"),
        ("config.json", "num_local_experts", HUGE, "not an integer"),
        ("config.json", "sliding_window", 0.5, "not an integer"),
        ("config.json", "rms_norm_eps", "1e-6", "not a finite number"),
        ("config.json", "rms_norm_eps", float("nan"), "not a finite number"),
        ("config.json", "tie_word_embeddings", "no", "not true or false"),
        ("config.json", "model_type", 5, "not a string"),
        ("config.json", "architectures", "BertForMaskedLM", "not a list of strings"),
        (
            "config.json",
            "rope_parameters",
            {"rope_theta": "x", "rope_type": "default"},
            "rope_theta of rope_parameters in config.json is 'x', not a number above 0",
        ),
        *(
            ("config.json", "rope_parameters", {"rope_type": "linear", **wrong}, "a number above 0")
            for wrong in ({"factor": 0.0}, {"factor": -1}, {"rope_theta": 0, "factor": 2.0})
        ),
        ("config.json", "rope_theta", -1, "rope_theta in config.json is -1, not a number above 0"),
        ("config.json", "rope_parameters", {"rope_type": 5}, "rope_type of rope_parameters"),
        ("config.json", "num_hidden_layers", 5, "has 5 layers, but the weights have 4"),
        ("config.json", "vocab_size", 700, "vocab_size in config.json is 700, but model.embed"),
        ("tokenizer_config.json", "add_bos_token", "yes", "not true or false"),
        ("tokenizer_config.json", "model_max_length", "long", "not a finite number"),
        ("tokenizer_config.json", "eos_token", 1, "not a token"),
        ("tokenizer_config.json", "eos_token", {"content": 1}, "not a token"),
        ("tokenizer_config.json", "chat_template", 7, "not a template"),
        ("tokenizer_config.json", "tokenizer_class", ["a"], "not a string"),
        ("tokenizer_config.json", "added_tokens_decoder", 1, "not an object"),
        ("tokenizer_config.json", "eos_token", "</unknown>", "the eos_token of the tokenizer has"),
    ],
)
def test_wrong_values(folder: Path, file: str, field: str, value: object, expected: str) -> None:
    """A wrong type, a value out of range, or one that the weights contradict is named."""
    edit_json(folder / file, **{field: value})
    message = _refusal(folder)
    assert expected in message
    assert file in message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hidden_act": "unheard-of"}, "KeyError: 'unheard-of'; check hidden_act ('unheard-of')"),
        ({"num_attention_heads": 3}, "check hidden_size (128), num_attention_heads (3) in config"),
        ({"head_dim": 7}, "`head_dim`=7"),
        ({"intermediate_size": 512}, "12 have other shapes than by config.json; "),
        ({"hidden_size": 4096}, "embed_tokens.weight is 689 x 128, not 689 x 4096; check that"),
        ({"dtype": "float99"}, "attribute 'float99'; check dtype ('float99') in config.json"),
        ({"dtype": None, "torch_dtype": "float3"}, "check torch_dtype ('float3') in config.json"),
        (
            {"rope_parameters": {"rope_type": "x", "rope_theta": 1.0}},
            "KeyError: 'x'; check rope_type ('x') in config.json",
        ),
    ],
)
def test_values_that_only_the_library_refuses(
    folder: Path, fields: dict[str, object], expected: str
) -> None:
    """What the benchmark does not check itself ends in one line too, with the field if it shows."""
    edit_json(folder / "config.json", **fields)
    message = _refusal(folder)
    assert expected in message
    assert "Validation" not in message


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("config.json", {"pad_token_id": -1}),
        ("config.json", {"eos_token_id": [1, 688]}),
        ("config.json", {"head_dim": 32, "n_inner": None}),
        ("config.json", {"return_dict": False}),
        ("tokenizer_config.json", {"model_max_length": 10**30}),
        ("tokenizer_config.json", {"chat_template": [{"name": "default", "template": "x"}]}),
    ],
)
def test_unusual_values_that_are_right(folder: Path, file: str, fields: dict[str, object]) -> None:
    """Values that real models have are loaded."""
    edit_json(folder / file, **fields)
    _load(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "[" * 10_000, '{"a": ' + "9" * 5000 + "}"])
def test_files_that_are_not_json_objects(folder: Path, name: str, content: str) -> None:
    """A file that is no object, or nested endlessly, is named."""
    (folder / name).write_text(content)
    assert name in _refusal(folder)


def test_command_line_names_file_and_field(folder: Path, tmp_path: Path) -> None:
    """A pad token outside the vocabulary is one line and exit code 2."""
    edit_json(folder / "config.json", pad_token_id=10**6)
    done = command_line(
        *("run", "--states", "1", "--model", str(folder), "--out", str(tmp_path / "out"), "-q")
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "pad_token_id in config.json is 1000000" in done.stderr
    assert done.stderr.count("\n") == 1


# Folders


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _looping_link(path: Path) -> None:
    path.symlink_to(path.name)


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (_pipe, "is a pipe, not a regular file"),
    (_socket, "is a socket, not a regular file"),
    (_device, "is a device, not a regular file"),
    (_folder, "is a folder, but a file is expected"),
    (_broken_link, "is a link that cannot be followed: No such file or directory"),
    (_looping_link, "is a link that cannot be followed: Too many levels of symbolic links"),
]


@pytest.mark.parametrize(("make", "named"), KINDS)
@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "merges.txt"],
)
def test_what_is_no_regular_file(
    folder: Path, name: str, make: Callable[[Path], None], named: str
) -> None:
    """A pipe, socket, device, folder or broken link in place of a file is named, not opened."""
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    assert _refusal(folder).startswith(f"{folder}: {name} {named}")


def test_other_files_of_any_kind(folder: Path) -> None:
    """What nothing opens may be of any kind."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("nowhere")
    (folder / "checkpoints").mkdir()
    (folder / "consolidated.safetensors").symlink_to("nowhere")
    assert locate(str(folder)).digest == locate(str(TRACK)).digest


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    """A folder of links, as in the cache of the hub, is a model."""
    folder = tmp_path / "links"
    folder.mkdir()
    for path in TRACK.iterdir():
        (folder / path.name).symlink_to(path)
    assert locate(str(folder)).digest == locate(str(TRACK)).digest


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointers_of_git_lfs(folder: Path, name: str) -> None:
    """A file that was not downloaded is named, with the command that does it."""
    (folder / name).write_text(POINTER)
    assert f"{name} is a Git LFS pointer, not the file: run git lfs pull" in _refusal(folder)


@pytest.mark.parametrize(
    "name", ["model.gguf", "pytorch_model.bin", "model.safetensors.index.json"]
)
def test_pointers_in_place_of_other_weights(folder: Path, name: str) -> None:
    """Pointers in place of GGUF files, pickled weights and indices are named too."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_text(POINTER)
    assert "run git lfs pull" in _refusal(folder)


def test_pointers_of_weights_that_are_not_read(folder: Path) -> None:
    """A second copy of the weights need not be downloaded."""
    (folder / "pytorch_model.bin").write_text(POINTER)
    assert locate(str(folder)).safetensors
