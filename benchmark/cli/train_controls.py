"""``train-controls``: train the control models from their recipe."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def train_controls(
    out: Annotated[Path, typer.Option(help="Folder for the models.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="Seed of weights and data.", min=0)] = 0,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this control and the one it starts from.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Your own recipe, TOML.", metavar="FILE")
    ] = None,
) -> None:
    """Train the control models; rerun the same command to resume."""
    from benchmark.controls.recipe import read_recipe
    from benchmark.controls.train import train_controls as train

    train(read_recipe(recipe), out, seed, only or (), lambda text: print(text, file=sys.stderr))
