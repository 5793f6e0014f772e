"""Recipes of control models."""

from pathlib import Path

TINY_RECIPE = Path(__file__).with_name("tiny_recipe.toml")
"""The controls ``copy`` and ``track`` with a training of seconds."""
