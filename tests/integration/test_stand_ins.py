"""Stand-ins of every architecture load as models do, and are measured by ``run``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from benchmark.cli.app import app
from benchmark.models.architectures import architectures, configuration
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.registry import registry
from benchmark.models.shape import shape
from benchmark.models.tokenizer import TransformersTokenizer

Create = Callable[..., PreTrainedModel]

TOKENIZERS = {
    "llama2-70b": "llama",
    "deepseek-7b": "deepseek-llm",
    "gemma-7b": "gemma",
    "mistral-7b": "mistral",
    "qwen2.5-7b": "smollm2",
}
"""An architecture of each family, and the source of a tokenizer of its kind."""


@pytest.mark.parametrize("name", architectures().architectures)
def test_stand_in_is_of_its_architecture(stand_in_model: Create, name: str) -> None:
    """Class, tied embeddings, window, and whether heads share keys, are those of the real model."""
    real = architectures().architectures[name]
    found = stand_in_model(real, 50, 1).config
    assert type(found) is type(real.configuration())
    assert found.tie_word_embeddings == real.tie_word_embeddings
    shares = real.num_attention_heads > real.num_key_value_heads
    assert (found.num_attention_heads > found.num_key_value_heads) == shares
    assert bool(shape(found).windows[0]) == bool(real.sliding_window)
    assert (found.head_dim * found.num_attention_heads > found.hidden_size) == (
        real.head_dim * real.num_attention_heads > real.hidden_size
    )


def test_seed_decides_the_weights(stand_in_model: Create) -> None:
    """The same seed gives the same weights, another seed others."""
    real = architectures().architectures["llama-7b"]
    one, same, other = (stand_in_model(real, 50, 1, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(weight, same[name]) for name, weight in one.items())
    assert not torch.equal(one["lm_head.weight"], other["lm_head.weight"])


@pytest.mark.parametrize(("name", "source"), TOKENIZERS.items())
def test_stand_in_is_measured(
    name: str,
    source: str,
    stand_in_model: Create,
    real_tokenizer: Callable[[str], TransformersTokenizer],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With a real tokenizer of its family, ``run`` decodes two states under the constraint."""
    tokenizer = real_tokenizer(source)
    real = architectures().architectures[name]
    model = stand_in_model(real, len(tokenizer.raw), tokenizer.eos_id)
    folder = tmp_path / name
    model.save_pretrained(folder)
    tokenizer.raw.save_pretrained(folder)
    loaded = load_model(locate(str(folder)), LoadOptions("cpu", "float32"))
    assert type(loaded) is type(model)
    assert shape(configuration(str(folder))) == shape(loaded.config)
    arguments = ("--model", str(folder), "--out", str(tmp_path / "run"), "--states", "2")
    app(["run", *arguments, "--device", "cpu", "--json"], standalone_mode=False)
    result = json.loads(capsys.readouterr().out)
    assert result["overall"]["total"] == 14
    predictions = (tmp_path / "run" / "predictions.jsonl").read_text(encoding="utf-8")
    for line in predictions.splitlines():
        assert json.loads(line)["prediction"].startswith("Statement: Box 0 contains")


def test_every_architecture_of_the_registry_has_a_family() -> None:
    """No registered architecture is left out of the test above."""
    models = {architectures().architectures[name].model_type for name in TOKENIZERS}
    assert {model.architecture for model in registry().models.values()} == models
