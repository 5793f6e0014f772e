"""``run``: measure a model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import Json, Model, Quiet, Revision, data_options, flag, settings_options

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@data_options()
@settings_options()
def run(
    model: Model,
    out: Annotated[
        Path, typer.Option(help="Folder for predictions.jsonl and result.json.", metavar="DIR")
    ],
    data: "DataRequest",
    settings: "Settings",
    revision: Revision = None,
    *,
    set_aside: Annotated[
        bool, flag("--set-aside", text="Move a different run in --out to DIR.1.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on the boxes task; rerun the same command to resume."""
    from benchmark.models.published import FOR_SCALE, published
    from benchmark.models.short_name import short_name
    from benchmark.runs.measure import run as measure
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.runs.result_table import result_table
    from benchmark.tasks import DEFAULT
    from benchmark.terminal import console

    request = RunRequest(
        model, out, data, revision=revision, set_aside=set_aside, **asdict(settings)
    )
    with RunProgress(console(stderr=True, quiet=quiet)) as progress:
        measured = measure(request, progress)
    if as_json:
        print(json.dumps(measured.document, indent=2))
        return
    # The paper's figures are of the default task.
    scale = [published()[name] for name in FOR_SCALE if data.task == DEFAULT]
    summaries = {score: scored.summary for score, scored in measured.scores.items()}
    task = "" if data.task == DEFAULT else f" on the task {data.task}"
    title = f"{short_name(model)}{task} by operations that changed the box, accuracy in per cent"
    console().print(result_table(title, summaries, measured.baselines, scale))
    print(f"written: {out / 'predictions.jsonl'}, {out / 'result.json'}")
