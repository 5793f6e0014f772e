"""``train-controls``: the control models from their recipe."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def train_controls(
    out: Annotated[Path, typer.Option(help="Folder for the models.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="Seed of weights and texts.", min=0)] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this control, and what it starts from.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Another recipe, in TOML.", metavar="FILE")
    ] = None,
) -> None:
    """Train the control models; the same command goes on where it stopped."""
    from benchmark.controls.recipe import read_recipe
    from benchmark.controls.train import train_controls as train

    train(read_recipe(recipe), out, seed, only or (), lambda text: print(text, file=sys.stderr))
