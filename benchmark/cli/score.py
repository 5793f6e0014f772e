"""``score``: score a file of predictions."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import PAPER_TASK, Data, Password, Task, flag
from benchmark.cli.writing import Output

_NAME_WIDTH = 22
"""Two names leave room for the rest of a title in 80 columns."""


@output_options()
def score(
    predictions: Annotated[
        Path, typer.Option(help='JSON lines {"input": ..., "prediction": ...}.', metavar="FILE")
    ],
    gold: Data,
    password: Password = None,
    task: Task = PAPER_TASK,
    *,
    partial: Annotated[
        bool,
        flag("--partial", text="Score only the states that have a prediction."),
    ] = False,
    errors: Annotated[
        bool, flag("--errors", text="Show what went wrong too, as the verb errors does.")
    ] = False,
    output: Output,
) -> None:
    """Score predictions against gold states, by numops."""
    from rich.text import Text

    from benchmark.runs.data import score_files
    from benchmark.runs.error_tables import NamedErrors, error_tables
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.result_table import result_table
    from benchmark.stats.summary import summaries_as_json
    from benchmark.terminal import console, shortened

    request = DataRequest(gold, password, task=task)
    scored = score_files(predictions, request, partial=partial, errors=errors)
    summaries = scored.summaries
    queries = next(iter(summaries.values())).overall.tally.total
    if not output.as_json:
        names = [shortened(path.name, _NAME_WIDTH) for path in (predictions, gold)]
        title = f"{' against '.join(names)}, {queries} queries, per cent"
        console().print(result_table(title, summaries))
        if scored.errors:
            console().print(Text(), error_tables([NamedErrors(names[0], scored.errors)]))
    analysis = {"errors": scored.errors.as_json()} if scored.errors else {}
    output.result({**summaries_as_json(summaries), **analysis})
