"""``fingerprint``: record every stage of a model's run, or of the libraries' own way."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli.options import Revision, data_options, settings_options
from benchmark.cli.writing import check_fingerprint_path, save_fingerprint

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings

ProbeName = Literal["own", "vanilla", "tokenizers"]


@data_options()
@settings_options()
def fingerprint(
    out: Annotated[Path, typer.Option(help="NAME.json, with a columns file, or NAME.json.gz.")],
    model: Annotated[
        str | None,
        typer.Argument(help="A folder, a GGUF file, or an identifier (own only)."),
    ] = None,
    probe: Annotated[
        ProbeName,
        typer.Option(
            help="What is recorded: the benchmark's own run; vanilla use of the libraries, as "
            "documented (4 states); or every fetched tokenizer, without a model."
        ),
    ] = "own",
    along: Annotated[
        Path | None, typer.Option(help="Follow this older record's answers.", metavar="OLD")
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="Repeats that measure the noise floor.", min=0, max=1000)
    ] = 0,
    revision: Revision = None,
    *,
    data: "DataRequest",
    settings: "Settings",
) -> None:
    """Record a fingerprint of every stage of a run, for compare."""
    from benchmark.cli import probes

    check_fingerprint_path(out)
    options = probes.OwnOptions(settings, along, repeats, revision)
    record = probes.RECORDERS[probe](model, data, options)
    save_fingerprint(record, out)
    if probe == "tokenizers":
        print(f"families: {', '.join(str(record.environment.data['families']).split())}")
