"""A recipe that trains in seconds, and the tokenizer it makes."""

from pathlib import Path

import pytest

from benchmark.controls.data import TrainingTexts
from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.controls.vocabulary import train_tokenizer
from benchmark.models.tokenizer import TransformersTokenizer


@pytest.fixture(scope="session")
def recipe(tiny_recipe: Path) -> Recipe:
    """Two steps a stage of a model with one layer."""
    return read_recipe(tiny_recipe)


@pytest.fixture(scope="session")
def tokenizer(recipe: Recipe) -> TransformersTokenizer:
    """The controls' tokenizer."""
    texts = TrainingTexts(recipe).prompts((0,), recipe.vocabulary_texts)
    return TransformersTokenizer(train_tokenizer(texts, recipe.vocabulary_size), "controls")
