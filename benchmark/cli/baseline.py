"""``baseline``: what random answers would score."""

import json

from benchmark.cli.options import Data, Json, Password


def baseline(data: Data, password: Password = None, *, as_json: Json = False) -> None:
    """Print the random baseline's expected accuracy on the data, in per cent."""
    from rich.console import Console

    from benchmark.boxes import baseline as chance
    from benchmark.pipeline import DataRequest, load_states
    from benchmark.report.table import baseline_table

    percentages = chance.baseline(load_states(DataRequest(data, password)))
    if as_json:
        print(json.dumps(percentages, indent=2))
    else:
        print(f"Random baseline on {data.name}, per cent")
        Console().print(baseline_table(percentages))
