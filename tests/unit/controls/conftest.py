"""A recipe that trains in seconds, and its tokenizer."""

import pytest

from benchmark.controls.data import TrainingTexts
from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.controls.vocabulary import train_tokenizer
from benchmark.models.tokenizer import TransformersTokenizer
from fakes.recipes import TINY_RECIPE


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Return a recipe with two steps per stage and one layer."""
    return read_recipe(TINY_RECIPE)


@pytest.fixture(scope="session")
def tokenizer(recipe: Recipe) -> TransformersTokenizer:
    """Return the controls' tokenizer."""
    texts = TrainingTexts(recipe).prompts((0,), recipe.vocabulary_texts)
    return TransformersTokenizer(train_tokenizer(texts, recipe.vocabulary_size), "controls")
