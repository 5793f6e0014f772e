"""``score``: score a file of predictions."""

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import PAPER_TASK, Data, Json, Password, Task, flag


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
    as_json: Json = False,
) -> None:
    """Score predictions against gold states, by numops."""
    from benchmark.runs.data import score_files
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.result_table import result_table
    from benchmark.stats.summary import summaries_as_json
    from benchmark.terminal import console

    summaries = score_files(predictions, DataRequest(gold, password, task=task), partial=partial)
    queries = next(iter(summaries.values())).overall.tally.total
    if as_json:
        print(json.dumps(summaries_as_json(summaries), indent=2))
    else:
        console().print(
            result_table(
                f"{predictions.name} against {gold.name}, {queries} queries, per cent", summaries
            )
        )
