"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0)]
DataSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the generated data, 0 where no --data is given.", min=0),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Password = Annotated[
    str | None, typer.Option(help="Password of the original ZIP (the authors' README gives it).")
]
Data = Annotated[
    Path,
    typer.Option(help="JSON lines in the authors' schema, or their original ZIP.", metavar="FILE"),
]
