"""``run``: measure a model."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import Json, Model, Quiet, Revision, flag, takes_data, takes_settings

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings

_BESIDE = ("Llama 2 7B", "CodeLlama 13B")
"""Published models shown for scale."""


@takes_data()
@takes_settings()
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
        bool, flag("--set-aside", text="Move another run that is in --out to DIR.1.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on the boxes task; the same command goes on where it stopped."""
    from rich.console import Console

    from benchmark.models.published import published
    from benchmark.runs.measure import run as measure
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.runs.result_table import result_table
    from benchmark.tasks import DEFAULT

    request = RunRequest(
        model, out, data, revision=revision, set_aside=set_aside, **asdict(settings)
    )
    with RunProgress(Console(stderr=True, quiet=quiet)) as progress:
        measured = measure(request, progress)
    if as_json:
        print(json.dumps(measured.document, indent=2))
        return
    # The paper's figures are of its own task.
    beside = [published()[name] for name in _BESIDE if data.task == DEFAULT]
    summaries = {by: scored.summary for by, scored in measured.scores.items()}
    asked = "" if data.task == DEFAULT else f" on the task {data.task}"
    title = f"{Path(model).name}{asked} by operations that changed the box, accuracy in per cent"
    Console().print(result_table(title, summaries, measured.baselines, beside))
    print(f"written: {out / 'predictions.jsonl'}, {out / 'result.json'}")
