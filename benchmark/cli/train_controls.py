"""``train-controls``: train the control models from their recipe."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import out
from benchmark.cli.writing import Output


@output_options("quiet")
def train_controls(
    folder: Annotated[Path, out("Folder for the models.", "DIR")],
    seed: Annotated[int, typer.Option(help="Seed of weights and data.", min=0, metavar="N")] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this control and the one it starts from.", metavar="NAME"),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Your own recipe, TOML.", metavar="FILE")
    ] = None,
    *,
    output: Output,
) -> None:
    """Train the control models; rerun the same command to resume."""
    from benchmark.controls.recipe import read_recipe
    from benchmark.controls.train import train_controls as train

    train(read_recipe(recipe), folder, seed, only or (), output.say)
