"""Recipes: the project's own, and what is refused."""

from pathlib import Path

import pytest

from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.errors import SettingError


def test_the_project_s_recipe_is_whole() -> None:
    """It makes two copying controls by the same stages, and a tracking one from the first."""
    models = read_recipe().models
    assert models["copy-a"].stages == models["copy-b"].stages
    assert models["copy-a"].seed != models["copy-b"].seed
    assert models["track"].start == "copy-a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_seed = 'x'", "data_seed: Input should be a valid integer"),
        ("data_seed = 0", "vocabulary_size: Field required"),
        ("data_seed = ", "cannot read the recipe"),
    ],
)
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The message names the file and the field."""
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=f"recipe.toml: {message}"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('start = "copy"', 'start = "none"', "track: no control 'none' stands before it"),
        ('start = "copy"', 'start = "track"', "track: no control 'track' stands before it"),
        ('["bare", "prompted"]', '["bear"]', "copy: there is no stage 'bear'"),
        ("batch = 3", "batch = 3\nspeed = 4", "stages.bare.speed: Extra inputs"),
    ],
)
def test_a_recipe_that_does_not_hold_together_is_refused(
    tiny_recipe: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Stages and controls that are named but not there are named in the message."""
    path = tmp_path / "recipe.toml"
    path.write_text(tiny_recipe.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingError, match=message):
        read_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(SettingError, match=r"none.toml: cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_cannot_be_changed(recipe: Recipe) -> None:
    """It is frozen: what identifies a model stays as it was read."""
    with pytest.raises(ValueError, match="frozen"):
        recipe.data_seed = 1
