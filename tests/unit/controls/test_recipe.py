"""Recipes: the package's own, and invalid ones."""

from pathlib import Path

import pytest

from benchmark.controls.recipe import Recipe, read_recipe
from benchmark.errors import BenchmarkError, DataError, SettingError
from fakes.recipes import TINY_RECIPE


def test_the_package_s_recipe() -> None:
    """It has two copying controls with the same stages, and a tracking one based on the first."""
    models = read_recipe().models
    assert models["copy-a"].stages == models["copy-b"].stages
    assert models["copy-a"].seed != models["copy-b"].seed
    assert models["track"].start == "copy-a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_seed = 'x'", "data_seed: Input should be a valid integer"),
        ("data_seed = '1'", "data_seed: Input should be a valid integer"),
        ("data_seed = true", "data_seed: Input should be a valid integer"),
        ("data_seed = 1.0", "data_seed: Input should be a valid integer"),
        ("data_seed = -1", "data_seed: Input should be greater than or equal to 0"),
        ("data_seed = 0", "vocabulary_size: Field required"),
        ("data_seed = ", "not TOML"),
    ],
)
def test_an_invalid_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file and the field."""
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BenchmarkError, match=f"recipe.toml: {message}"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('start = "copy"', 'start = "none"', "track: no control 'none' is defined before it"),
        ('start = "copy"', 'start = "track"', "track: no control 'track' is defined before it"),
        ('["bare", "prompted"]', '["bear"]', "copy: unknown stage 'bear'"),
        ("batch = 3", "batch = 0", "stages.bare.batch: Input should be greater than or equal to 1"),
        ("batch = 3", "batch = 3\nspeed = 4", "stages.bare.speed: Extra inputs"),
    ],
)
def test_an_inconsistent_recipe_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """The error names a stage or control that is referred to but not defined."""
    path = tmp_path / "recipe.toml"
    path.write_text(TINY_RECIPE.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingError, match=message):
        read_recipe(path)


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    """The error names a missing file."""
    with pytest.raises(DataError, match=r"none.toml: cannot be read"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_cannot_be_changed(recipe: Recipe) -> None:
    """A recipe is frozen."""
    with pytest.raises(ValueError, match="frozen"):
        recipe.data_seed = 1
