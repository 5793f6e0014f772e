"""``vanilla``: record the libraries as their documentation uses them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import takes_data
from benchmark.cli.writing import check_record_name, keep_record

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest


@takes_data("data", "password", "states", "seed", states=4)
def vanilla(
    model: Annotated[Path, typer.Argument(help="A folder or a GGUF file.")],
    out: Annotated[Path, typer.Option(help="NAME.json or NAME.json.gz, for compare.")],
    data: "DataRequest",
) -> None:
    """Record the stages of vanilla use: AutoTokenizer, from_transformers, a str prompt."""
    from benchmark.fingerprints.vanilla import vanilla_fingerprint

    check_record_name(out)
    record = vanilla_fingerprint(model, data)
    keep_record(record, out)
