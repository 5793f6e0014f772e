"""Configurations of registered models, folders and the hub, and their counted sizes."""

import csv
from pathlib import Path

import pytest

from benchmark.errors import DataError, ModelError, UnavailableModelError
from benchmark.models.registry import registry
from benchmark.planning.architectures import Architecture, architectures, configuration, parse
from benchmark.planning.shape import shape
from fakes.tiny_models import tiny_model

COUNTS = Path(__file__).parents[3] / "fixtures" / "parameter_counts.csv"
TYPES = ("llama", "gemma", "mistral", "qwen2")


def _published() -> dict[str, int]:
    rows = csv.DictReader(COUNTS.read_text(encoding="utf-8").splitlines())
    return {row["huggingface_id"]: int(row["parameters"]) for row in rows}


@pytest.mark.parametrize("key", registry().models)
def test_every_registered_model_is_known(key: str) -> None:
    """Every registered model has a configuration of its registered architecture."""
    model = registry().models[key]
    for entry in (model, *model.alternatives):
        result = architectures().of(entry.huggingface_id)
        assert result is not None
        assert result.model_type == model.architecture


def test_every_architecture_has_a_published_count() -> None:
    """Every architecture has a published number of parameters to compare with."""
    models = architectures().models
    assert {models[name] for name in _published()} == set(architectures().architectures)


@pytest.mark.parametrize(("model", "parameters"), _published().items())
def test_parameters_are_the_published_ones(model: str, parameters: int) -> None:
    """The counted number of parameters is exactly the published one."""
    assert shape(configuration(model)).parameters == parameters


@pytest.mark.parametrize("key", registry().models)
def test_parameters_agree_with_the_name(key: str) -> None:
    """The size in the registry is approximately the number of parameters."""
    model = registry().models[key]
    named = float(model.size.removesuffix("B")) * 1e9
    counted = shape(configuration(model.huggingface_id)).parameters
    assert 0.95 * named < counted < 1.27 * named


@pytest.mark.parametrize("kind", TYPES)
def test_shape_of_a_folder_is_that_of_its_model(kind: str, tmp_path: Path) -> None:
    """The shape of a local folder has as many parameters as its weights."""
    model = tiny_model(kind, 100, 1)
    model.save_pretrained(tmp_path)
    result = shape(configuration(str(tmp_path)))
    assert result.parameters == sum(parameter.numel() for parameter in model.parameters())
    linear = [m for name, m in model.named_modules() if name.endswith("_proj")]
    assert result.linear == sum(module.weight.numel() for module in linear)
    assert result.linear_rows == sum(len(module.weight) for module in linear)
    assert result.head == model.get_output_embeddings().weight.numel()
    assert result.windows == ((8, 8) if kind == "mistral" else (None, None))


def test_tied_embeddings_are_read_as_the_head() -> None:
    """A pass reads all of Gemma, of Llama all but the embeddings."""
    assert shape(configuration("google/gemma-2b")).unread == 0
    assert shape(configuration("huggyllama/llama-7b")).unread == 32000 * 4096


def test_shape_of_a_family_with_other_names() -> None:
    """GPT-2's layers are not called linear, and its configuration names no intermediate size."""
    from transformers import GPT2Config

    result = shape(GPT2Config())
    assert (result.parameters, result.intermediate_size) == (124_439_808, 3072)
    assert result.linear == 12 * (768 * 3 * 768 + 768 * 768 + 2 * 768 * 3072)
    assert result.linear_rows == 12 * (3 * 768 + 768 + 3072 + 768)


@pytest.mark.parametrize("kind", ["mamba", "t5"])
def test_what_cannot_be_counted_is_named(kind: str) -> None:
    """A model without attention or without a language model head is refused by type."""
    from transformers import AutoConfig

    with pytest.raises(ModelError, match=f"model of type '{kind}' cannot be counted") as refused:
        shape(AutoConfig.for_model(kind))
    assert "\n" not in str(refused.value)
    assert "Config, " not in str(refused.value)  # a list of other classes


def test_folder_without_configuration(tmp_path: Path) -> None:
    """A folder without a configuration is refused by name."""
    with pytest.raises(ModelError, match=r"no config\.json and no GGUF"):
        configuration(str(tmp_path))


def test_broken_configuration(tmp_path: Path) -> None:
    """A configuration that is not JSON is refused in one line with the model's name."""
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError) as refused:
        configuration(str(tmp_path))
    assert str(refused.value).startswith(f"{tmp_path}: cannot read its configuration")
    assert "\n" not in str(refused.value)


def test_unknown_model_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the hub does not answer, the message says what to do."""

    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", unreachable)
    with pytest.raises(UnavailableModelError, match=r"somebody/model: .* HF_TOKEN .* config\.json"):
        configuration("somebody/model")


def test_registered_models_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub is not asked for a model that is in the data."""

    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("asked for files")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", unreachable)
    for model in registry().models.values():
        assert configuration(model.huggingface_id).model_type == model.architecture


FACTS = """
[architectures.one]
model_type = "llama"
num_hidden_layers = 2
hidden_size = 8
intermediate_size = 16
num_attention_heads = 2
num_key_value_heads = 1
head_dim = 4
vocab_size = 10
tie_word_embeddings = false
max_position_embeddings = 32
"""


def test_like_takes_over_the_rest() -> None:
    """``like`` takes missing fields from another architecture, transitively."""
    text = FACTS + (
        "[architectures.two]\nlike = 'one'\nvocab_size = 11\n"
        "[architectures.three]\nlike = 'two'\nhead_dim = 5\n[models]\n'a/b' = 'three'\n"
    )
    one = parse(FACTS, "x").architectures["one"]
    expected = Architecture(**{**one.model_dump(), "vocab_size": 11, "head_dim": 5})
    assert parse(text, "x").of("a/b") == expected
    assert parse(text, "x").of("a/c") is None


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[architectures.two]\nlike = 'three'\n", "x: two: like 'three'"),
        ("[architectures.two]\nlike = 'one'\nheads = 3\n", "x: architecture 'two': heads"),
        ("[architectures.two]\nlike = 'one'\nhead_dim = 0\n", "x: architecture 'two': head_dim"),
        ("[models]\n'a/b' = 'two'\n", "x: model 'a/b': no architecture 'two'"),
    ],
)
def test_wrong_data_is_refused(more: str, message: str) -> None:
    """An invalid entry is named."""
    with pytest.raises(DataError) as refused:
        parse(FACTS + more, "x")
    assert str(refused.value).startswith(message)
