"""``vanilla``: record the libraries as their documentation uses them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import data_options
from benchmark.cli.writing import check_fingerprint_path, save_fingerprint

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest


@data_options("data", "password", "states", "seed", states=4)
def vanilla(
    model: Annotated[Path, typer.Argument(help="A folder or a GGUF file.")],
    out: Annotated[Path, typer.Option(help="NAME.json or NAME.json.gz, for compare.")],
    data: "DataRequest",
) -> None:
    """Record the stages of vanilla use: AutoTokenizer, from_transformers, a str prompt."""
    from benchmark.fingerprints.vanilla import vanilla_fingerprint

    check_fingerprint_path(out)
    record = vanilla_fingerprint(model, data)
    save_fingerprint(record, out)
