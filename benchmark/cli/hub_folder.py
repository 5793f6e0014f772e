"""``hub-folder``: write a fetched tokenizer as its hub repository has it."""

from pathlib import Path
from typing import Annotated

import typer


def hub_folder(
    name: Annotated[str, typer.Argument(help="deepseek-llm, mistral or llama.")],
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
) -> None:
    """Write a fetched tokenizer with the settings of its hub repository, for vanilla and bisect."""
    from benchmark.fingerprints.hub_folder import write_hub_folder

    write_hub_folder(name, out)
    print(f"written: {out}")
