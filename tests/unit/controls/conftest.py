"""A recipe that trains in seconds, and the tokenizer it makes."""

from pathlib import Path

import pytest

from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.controls.texts import Texts
from benchmark.controls.vocabulary import train_tokenizer
from benchmark.models.tokenizer import TransformersTokenizer

TINY = """
data_seed = 0
vocabulary_size = 2048
vocabulary_texts = 200
measure_every = 2
measure_states = 2
checkpoint_every = 1
[shape]
hidden_size = 16
intermediate_size = 16
layers = 1
heads = 2
max_positions = 512
[optimizer]
beta1 = 0.9
beta2 = 0.98
weight_decay = 0.01
clip = 1.0
[stages.bare]
target = "initial"
prefix = false
operations = [0, 1]
steps = 2
batch = 3
learning_rate = 1e-2
final_learning_rate = 5e-3
warmup = 2
[stages.prompted]
target = "final"
prefix = true
operations = [2]
steps = 2
batch = 3
learning_rate = 1e-2
final_learning_rate = 5e-3
warmup = 2
[models.copy]
seed = 1
stages = ["bare", "prompted"]
[models.track]
seed = 2
start = "copy"
stages = ["prompted"]
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the tiny recipe."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def recipe(tiny: Path) -> Recipe:
    """Two steps a stage of a model with one layer."""
    return read_recipe(tiny)


@pytest.fixture(scope="session")
def tokenizer(recipe: Recipe) -> TransformersTokenizer:
    """The controls' tokenizer."""
    texts = Texts(recipe).prompts((0,), recipe.vocabulary_texts)
    return TransformersTokenizer(train_tokenizer(texts, recipe.vocabulary_size), "controls")
