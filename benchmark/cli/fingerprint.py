"""``fingerprint``: record every stage of a model's run, or of the libraries' own way."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.history_entries import HistoryFile, check_history, fingerprint_entry, keep
from benchmark.cli.options import Revision, out
from benchmark.cli.writing import Output, check_fingerprint_path, save_fingerprint

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings

ProbeName = Literal["own", "vanilla", "tokenizers", "grammars", "server", "vllm", "llama.cpp"]


@output_options("quiet")
@data_options()
@settings_options()
def fingerprint(
    path: Annotated[Path, out("NAME.json, with a columns file, or NAME.json.gz.")],
    model: Annotated[
        str | None,
        typer.Argument(help="A folder, a GGUF file, or an identifier (own only).", metavar="MODEL"),
    ] = None,
    probe: Annotated[
        ProbeName,
        typer.Option(
            help="What is recorded: the benchmark's own run; vanilla use of the libraries, as "
            "documented (4 states); every fetched tokenizer, without a model; what grammar "
            "backends allow with each; or the own run by a server at --base-url, by vLLM offline, "
            "or by a llama.cpp server that is started."
        ),
    ] = "own",
    along: Annotated[
        Path | None, typer.Option(help="Follow this older record's answers.", metavar="OLD")
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(help="Repeats that measure the noise floor.", min=0, max=1000, metavar="N"),
    ] = 0,
    revision: Revision = None,
    history: HistoryFile = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Record a fingerprint of every stage of a run, for compare."""
    from benchmark.cli import probes

    check_fingerprint_path(path)
    check_history(history)
    options = probes.OwnOptions(settings, along, repeats, revision, output.quiet)
    record = probes.RECORDERS[probe](model, data, options)
    save_fingerprint(record, path, output)
    keep(history, fingerprint_entry(record), output)
    for name in ("families", "backends"):
        if name in record.environment.data:
            output.remark(f"{name}: {', '.join(str(record.environment.data[name]).split())}")
