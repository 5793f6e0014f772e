"""``run``: measure a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.detect import DetectPoints, detect_as_json, detect_lines
from benchmark.cli.options import Model, Revision, flag, out
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.run_result import RunResult
    from benchmark.runs.settings import Settings

_WIDTH = 80


@output_options()
@data_options()
@settings_options()
def run(
    model: Model,
    folder: Annotated[Path, out("Folder for predictions.jsonl and result.json.", "DIR")],
    data: "DataRequest",
    settings: "Settings",
    revision: Revision = None,
    detect: DetectPoints = None,
    *,
    set_aside: Annotated[
        bool, flag("--set-aside", text="Move a different run in --out to DIR.1.")
    ] = False,
    output: Output,
) -> None:
    """Measure a model on the boxes task; rerun the same command to resume."""
    from benchmark.runs.data import load_states
    from benchmark.runs.measure import run as measure
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.terminal import console

    request = RunRequest.of(
        settings, model, data, out=folder, revision=revision, set_aside=set_aside
    )
    states = None
    if detect is not None:
        states = len(load_states(data))
        output.say("\n".join(detect_lines(detect, data.task, states)))
    with RunProgress(console(stderr=True, quiet=output.quiet)) as progress:
        measured = measure(request, progress)
    if not output.as_json:
        _show(model, data.task, measured)
    output.remark(f"written: {folder / 'predictions.jsonl'}, {folder / 'result.json'}")
    output.result({**measured.document, **detect_as_json(detect, data.task, states)})


def _show(model: str, task: str, measured: "RunResult") -> None:
    """Print the table, next to published models if they had the same task."""
    from benchmark.models.published import FOR_SCALE, published
    from benchmark.models.short_name import short_name
    from benchmark.runs.result_table import result_table
    from benchmark.tasks import DEFAULT
    from benchmark.terminal import console, shortened

    # The paper's figures are of the default task.
    scale = [published()[name] for name in FOR_SCALE if task == DEFAULT]
    summaries = {score: scored.summary for score, scored in measured.scores.items()}
    rest = ": accuracy in per cent by numops (changes to the box)"
    rest = rest if task == DEFAULT else f", {task}{rest}"
    title = shortened(short_name(model), _WIDTH - len(rest)) + rest
    console().print(result_table(title, summaries, measured.baselines, scale))
