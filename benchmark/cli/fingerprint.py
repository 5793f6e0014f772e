"""``fingerprint``: record every stage of a model's run."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import Revision, data_options, settings_options
from benchmark.cli.writing import check_fingerprint_path, save_fingerprint

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@data_options()
@settings_options()
def fingerprint(
    model: Annotated[str, typer.Argument(help="A folder, a GGUF file, or an identifier.")],
    out: Annotated[Path, typer.Option(help="NAME.json, with a columns file, or NAME.json.gz.")],
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
    from benchmark.fingerprints.record_run import FingerprintRequest
    from benchmark.fingerprints.record_run import fingerprint as recorded
    from benchmark.fingerprints.storage import read_fingerprint
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.terminal import console

    check_fingerprint_path(out)
    run = RunRequest(model, out, data, revision=revision, **asdict(settings))
    request = FingerprintRequest(run, read_fingerprint(along) if along else None, repeats)
    with RunProgress(console(stderr=True)) as progress:
        record = recorded(request, progress)
    save_fingerprint(record, out)
