"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Option(help="A local folder or GGUF file, or a Hugging Face identifier.", metavar="M"),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0)]
DataSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the generated data, 0 where no --data is given.", min=0),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON instead of a table.")]
Password = Annotated[
    str | None, typer.Option(help="Password of the original ZIP (the authors' README gives it).")
]
Data = Annotated[
    Path,
    typer.Option(help="JSON lines in the authors' schema, or their original ZIP.", metavar="FILE"),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data", help="JSON lines or the original ZIP; default: generated.", metavar="FILE"
    ),
]
States = Annotated[int | None, typer.Option(help="Only the first so many states.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; default: the protocol's.")
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Prompts decoded together; default: the protocol's (32, the paper's 1)."),
]
PromptFormat = Annotated[str, typer.Option(help="completion or chat.")]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", help="Your own models and pairs, TOML.", metavar="FILE"),
]
ModelStoreFolder = Annotated[
    Path, typer.Option("--store", help="Where measurements are kept.", metavar="DIR")
]
