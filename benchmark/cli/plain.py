"""``plain``: what the libraries give when they are used as their documentation says."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import DataFile, DataSeed, Password, States
from benchmark.cli.writing import check_record_name, keep_record


def plain(
    model: Annotated[Path, typer.Argument(help="A folder or a GGUF file.")],
    out: Annotated[Path, typer.Option(help="NAME.json or NAME.json.gz, for compare.")],
    data: DataFile = None,
    password: Password = None,
    states: States = 4,
    seed: DataSeed = None,
) -> None:
    """Record the stages of plain use: AutoTokenizer, from_transformers, a str prompt."""
    from benchmark.pipeline import DataRequest
    from benchmark.plain.use import plain_use

    check_record_name(out)
    record = plain_use(model, DataRequest(data, password, seed, states))
    keep_record(record, out)
