"""``baseline``: the expected accuracy of random answers."""

from benchmark.cli.bundles import output_options
from benchmark.cli.options import PAPER_TASK, Data, Password, Task
from benchmark.cli.writing import Output


@output_options()
def baseline(
    data: Data, password: Password = None, task: Task = PAPER_TASK, *, output: Output
) -> None:
    """Print the random baseline's expected accuracy on the data, in per cent.

    The JSON has the figures comparable with the paper's (overall, nontrivial, by_numops); the
    other readings are under their names (set, mentions).
    """
    from benchmark.boxes.baseline import baselines_as_json
    from benchmark.runs.data import load_states
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.result_table import baseline_table
    from benchmark.tasks import task_named
    from benchmark.terminal import console

    baselines = task_named(task).baselines(load_states(DataRequest(data, password, task=task)))
    if not output.as_json:
        print(f"Random baseline on {data.name} by reading, per cent")
        console().print(baseline_table(baselines))
    output.result(baselines_as_json(baselines))
