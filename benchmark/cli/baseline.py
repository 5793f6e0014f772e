"""``baseline``: what random answers would score."""

import json

from benchmark.cli.options import PAPER_TASK, Data, Json, Password, Task


def baseline(
    data: Data, password: Password = None, task: Task = PAPER_TASK, *, as_json: Json = False
) -> None:
    """Print the random baseline's expected accuracy on the data, in per cent.

    The JSON has the figures comparable with the paper's (overall, nontrivial, by_numops), and
    those of the other readings under their names (set, mentions).
    """
    from rich.console import Console

    from benchmark.boxes.baseline import baselines_as_json
    from benchmark.runs.baseline_table import baseline_table
    from benchmark.runs.data import load_states
    from benchmark.runs.requests import DataRequest
    from benchmark.tasks import task_named

    found = task_named(task).baselines(load_states(DataRequest(data, password, task=task)))
    if as_json:
        print(json.dumps(baselines_as_json(found), indent=2))
    else:
        print(f"Random baseline on {data.name} by how it is read, per cent")
        Console().print(baseline_table(found))
