"""Loading weights and tokenizers from folders, and the errors for damaged ones."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from benchmark.errors import ModelError, SettingError
from benchmark.models.loading import DTYPES, LoadOptions, load_model, resolve_device
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

ON_CPU = LoadOptions("cpu", "float32")
VOCABULARY = 352


@pytest.fixture
def model() -> PreTrainedModel:
    """Return the saved model."""
    return tiny_model("llama", VOCABULARY, 1)


@pytest.fixture
def folder(
    tmp_path: Path,
    model: PreTrainedModel,
) -> Path:
    """Return a folder with the model and its tokenizer, saved by transformers."""
    path = tmp_path / "model"
    model.save_pretrained(path)
    tiny_tokenizer().raw.save_pretrained(path)
    return path


def _weights(folder: Path) -> Path:
    return folder / "model.safetensors"


# Weights


def test_pickled_weights_are_read_as_tensors(folder: Path, model: PreTrainedModel) -> None:
    """Without safetensors, pytorch_model.bin yields the same weights."""
    torch.save(load_file(_weights(folder)), folder / "pytorch_model.bin")
    _weights(folder).unlink()
    loaded = load_model(locate(str(folder)), ON_CPU).state_dict()
    assert all(torch.equal(weight, loaded[name]) for name, weight in model.state_dict().items())


class _MaliciousPickle:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("executed"),)


def test_pickled_code_is_never_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle that would call a function is refused before the call."""
    monkeypatch.chdir(tmp_path)
    torch.save({"lm_head.weight": _MaliciousPickle()}, folder / "pytorch_model.bin")
    _weights(folder).unlink()
    with pytest.raises(ModelError, match="cannot load its weights"):
        load_model(locate(str(folder)), ON_CPU)
    assert not Path("executed").exists()


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_obeyed(folder: Path, model: PreTrainedModel, dtype: str) -> None:
    """Weights saved in float32 are loaded in the requested dtype, and only rounded."""
    loaded = load_model(locate(str(folder)), LoadOptions("cpu", dtype))
    expected = getattr(torch, dtype)
    assert loaded.device.type == "cpu"
    assert not loaded.training
    saved = model.state_dict()
    assert loaded.state_dict().keys() == saved.keys()
    for name, weight in loaded.state_dict().items():
        assert weight.dtype == expected
        assert torch.equal(weight, saved[name].to(expected))


def test_dtype_of_the_file_does_not_matter(folder: Path, model: PreTrainedModel) -> None:
    """Weights saved in bfloat16 are loaded in float32 if that is requested."""
    model.to(torch.bfloat16).save_pretrained(folder)
    loaded = load_model(locate(str(folder)), ON_CPU)
    assert {weight.dtype for weight in loaded.state_dict().values()} == {torch.float32}


@torch.inference_mode()
def test_loaded_model_runs_like_the_saved_one(folder: Path, model: PreTrainedModel) -> None:
    """The logits equal those of the saved model."""
    ids = torch.arange(20)[None]
    loaded = load_model(locate(str(folder)), ON_CPU)
    assert torch.equal(loaded(ids).logits, model(ids).logits)


def test_shards_are_loaded(folder: Path, model: PreTrainedModel) -> None:
    """A model in several files is loaded completely."""
    _weights(folder).unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    loaded = load_model(locate(str(folder)), ON_CPU)
    for name, weight in loaded.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name])


def _refusal(folder: Path, options: LoadOptions = ON_CPU) -> str:
    """Return the one-line error for the folder's weights."""
    with pytest.raises(ModelError) as refused:
        load_model(locate(str(folder)), options)
    message = str(refused.value)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-100], id="cut off"),
        pytest.param(lambda content: content[:20], id="cut off in the header"),
        pytest.param(lambda content: b"<html>not found</html>", id="another file"),
        pytest.param(lambda content: b"", id="empty"),
    ],
)
def test_corrupt_safetensors(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    """The error for a damaged file is one line with the model's name."""
    path = _weights(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert "cannot load its weights" in _refusal(folder)


def test_missing_weights(folder: Path) -> None:
    """A model with missing weights is refused: they would be random."""
    path = _weights(folder)
    weights = load_file(path)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in _refusal(folder)


def test_missing_shard(folder: Path, model: PreTrainedModel) -> None:
    """The error names a missing file of the index."""
    _weights(folder).unlink()
    model.save_pretrained(folder, max_shard_size="50KB")
    missing = sorted(folder.glob("*.safetensors"))[1]
    missing.unlink()
    assert missing.name in _refusal(folder)


def _configure(folder: Path, **changes: object) -> None:
    """Change the model's configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_weights_of_another_shape(folder: Path) -> None:
    """Weights whose shapes do not match the configuration are refused."""
    _configure(folder, intermediate_size=64)
    assert "cannot load its weights" in _refusal(folder)


def test_unknown_architecture(folder: Path) -> None:
    """The error names an architecture that transformers does not know."""
    _configure(folder, model_type="unheard-of")
    assert "unheard-of" in _refusal(folder)


def test_a_type_that_is_no_causal_language_model(folder: Path) -> None:
    """The error is one short line, without the list of all classes that transformers has."""
    _configure(folder, model_type="t5")
    assert _refusal(folder).endswith(
        ": cannot load its weights: transformers has no causal language model for T5Config; "
        "check model_type in config.json"
    )


def test_code_of_the_repository_is_never_run(folder: Path, tmp_path: Path) -> None:
    """A model with its own code is refused, and the code is not run."""
    witness = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(witness)!r}, 'w')\n")
    classes = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    _configure(folder, model_type="unheard-of", auto_map=classes)
    assert "cannot load its weights" in _refusal(folder)
    assert not witness.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_the_repository_is_never_run_by_the_tokenizer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """The code of a tokenizer is not run, without asking the user."""
    witness = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(witness)!r}, 'w')\n")
    path = folder / file
    path.write_text(
        json.dumps(
            {
                **json.loads(path.read_text()),
                "auto_map": {"AutoTokenizer": ["own.Slow", "own.Fast"], "AutoConfig": "own.C"},
                "tokenizer_class": "Unheard",
                **({"model_type": "unheard-of"} if file == "config.json" else {}),
            }
        )
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with contextlib.suppress(ModelError):
        load_tokenizer(locate(str(folder)))
    assert not witness.exists()


def test_no_configuration(folder: Path) -> None:
    """Weights without a configuration are refused."""
    (folder / "config.json").unlink()
    assert "config.json" in _refusal(folder)


def test_corrupt_gguf(tmp_path: Path) -> None:
    """An invalid GGUF file is refused, for the weights and for the tokenizer."""
    (tmp_path / "model.gguf").write_bytes(b"nothing of the kind" * 99)
    message = "model.gguf is not a GGUF file, or is damaged: it does not begin with GGUF"
    assert message in _refusal(tmp_path)
    with pytest.raises(ModelError, match=message):
        load_tokenizer(locate(str(tmp_path)))


# Options


def test_unknown_dtype(folder: Path) -> None:
    """A dtype that is not offered is refused with those that are."""
    with pytest.raises(
        SettingError, match=r"unknown dtype 'int4'; choose one of float32, bfloat16"
    ):
        load_model(locate(str(folder)), LoadOptions("cpu", "int4"))


def test_quantization_needs_a_gpu(folder: Path) -> None:
    """Quantization on the CPU is refused before loading."""
    with pytest.raises(SettingError, match=r"--quantization 8bit needs a GPU"):
        load_model(locate(str(folder)), LoadOptions("cpu", "bfloat16", "8bit"))


def test_unknown_quantization(folder: Path) -> None:
    """An unknown quantization is refused on every device."""
    for device in ("cpu", "cuda"):
        with pytest.raises(
            SettingError, match=r"unknown quantization '4bit'; the only one is 8bit"
        ):
            load_model(locate(str(folder)), LoadOptions(device, "bfloat16", "4bit"))


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_device_auto(monkeypatch: pytest.MonkeyPatch, there: bool, device: str) -> None:  # noqa: FBT001
    """``auto`` is the GPU if there is one, and otherwise the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert resolve_device("auto") == device


def test_available_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of an available device is kept."""
    assert resolve_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [resolve_device(name) for name in ("cuda", "cuda:0", "cuda:1")] == [
        "cuda",
        "cuda:0",
        "cuda:1",
    ]


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_without_a_gpu(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """A GPU is refused on a machine without one; the error names the alternative."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match=f"--device {device}: .*no GPU.*--device cpu"):
        resolve_device(device)


def test_gpu_number_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU number beyond the last one is refused."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(SettingError, match=r"cuda:2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "cpu:-1", "auto:1", "meta", "vulkan"])
def test_unknown_device(device: str) -> None:
    """An unknown or unsupported device is refused; the error lists the choices."""
    with pytest.raises(SettingError, match=f"{device}.*cpu"):
        resolve_device(device)


# Tokenizers


def test_tokenizer_is_loaded(folder: Path) -> None:
    """Token bytes, BOS, EOS and chat template equal those of the saved tokenizer."""
    saved, loaded = tiny_tokenizer(), load_tokenizer(locate(str(folder)))
    assert loaded.name == str(folder)
    assert loaded.token_bytes == saved.token_bytes
    assert (loaded.bos_id, loaded.eos_id) == (saved.bos_id, saved.eos_id)
    assert loaded.raw.chat_template == saved.raw.chat_template
    text = "Box 0 contains the bag."
    assert loaded.encode(text) == saved.encode(text)


def _tokenizer_refusal(folder: Path) -> str:
    """Return the one-line error for the folder's tokenizer."""
    with pytest.raises(ModelError) as refused:
        load_tokenizer(locate(str(folder)))
    message = str(refused.value)
    assert message.startswith(str(folder))
    assert "\n" not in message
    return message


def test_folder_without_a_tokenizer(folder: Path) -> None:
    """A folder without a tokenizer is refused."""
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no tokenizer, such as tokenizer.json" in _tokenizer_refusal(folder)


@pytest.mark.parametrize(
    "content", ["{", "", "{}", '{"version": "1.0"}', '{"version": "1.0", "added_tokens": []}']
)
def test_corrupt_tokenizer(folder: Path, content: str) -> None:
    """The error for an invalid tokenizer.json is one line with the model's name."""
    (folder / "tokenizer.json").write_text(content)
    assert "cannot load its tokenizer" in _tokenizer_refusal(folder)


def test_tokenizer_without_eos(folder: Path) -> None:
    """A tokenizer without an end-of-sequence token is refused: no completion could end."""
    path = folder / "tokenizer_config.json"
    configuration = json.loads(path.read_text())
    del configuration["eos_token"]
    path.write_text(json.dumps(configuration))
    assert "no end-of-sequence token" in _tokenizer_refusal(folder)


def test_tokenizer_that_loses_spaces(folder: Path) -> None:
    """A tokenizer whose tokens do not reproduce the prompt is refused."""
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text())
    definition["normalizer"] = {"type": "Replace", "pattern": {"String": " "}, "content": ""}
    path.write_text(json.dumps(definition))
    assert "do not spell the prompt: 'Statement:Box0contains" in _tokenizer_refusal(folder)
