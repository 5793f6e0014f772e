"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer


def flag(*names: str, text: str) -> object:
    """An option that is there or not: typer would show a type after it that nobody gives."""
    return typer.Option(*names, metavar="", help=text)


Model = Annotated[
    str,
    typer.Option(help="A local folder or GGUF file, or a Hugging Face identifier.", metavar="M"),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0)]
DataSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the generated data, 0 where no --data is given.", min=0),
]
Json = Annotated[bool, flag("--json", text="Print JSON instead of a table.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write it as JSON here.", metavar="FILE")
]
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
PromptVariant = Annotated[
    str,
    typer.Option(help="Wording of a completion: authors, or table2 with its line break."),
]
InstructionRole = Annotated[
    str | None,
    typer.Option(help="Of a chat's instruction: system or user; default: as the authors' code."),
]
Bos = Annotated[
    str,
    typer.Option(help="auto: as the model's own tokenizer does; always; or never."),
]
Quiet = Annotated[bool, flag("--quiet", "-q", text="Show no progress.")]
Retry = Annotated[bool, flag("--retry", text="Try again what could not be installed or run.")]
Repeats = Annotated[
    int, typer.Option(help="Measure each fingerprint's noise floor so often.", min=0, max=1000)
]
Engine = Annotated[
    str | None,
    typer.Option(help="outlines, unconstrained or speculative; default: the protocol's."),
]
Protocol = Annotated[str, typer.Option(help="default or paper.")]
Quantization = Annotated[str | None, typer.Option(help="8bit; needs a GPU.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the hub.")]
MaxNewTokens = Annotated[
    int | None, typer.Option(help="Limit of an answer; default: the protocol's (256, 100).")
]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", help="Your own models and pairs, TOML.", metavar="FILE"),
]
ModelStoreFolder = Annotated[
    Path, typer.Option("--store", help="Where measurements are kept.", metavar="DIR")
]
