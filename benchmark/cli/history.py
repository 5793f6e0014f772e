"""``history``: the results of a watch over time."""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.options import flag, option
from benchmark.cli.writing import Output, check_writable

HistoryPath = Annotated[
    Path, typer.Argument(help="What --history of another verb has written.", metavar="FILE")
]
PageFile = Annotated[Path | None, option("Write an HTML page with the trends.", metavar="FILE")]


@output_options()
def history(
    path: HistoryPath,
    page: PageFile = None,
    *,
    exit_code: Annotated[
        bool, flag("--exit-code", text="Exit with 3 if an alarm is open, drifts included.")
    ] = False,
    output: Output,
) -> None:
    """Show the trend of past runs, slow drifts, and the alarms that are open.

    The history is written by --history of canary, compare, fingerprint and gate.

    Exit status: 0, or with --exit-code 3 if an alarm is open.
    """
    from benchmark.history.page import history_page
    from benchmark.history.table import history_table
    from benchmark.history.trends import evaluate_file
    from benchmark.terminal import console
    from benchmark.writing import write_text

    check_writable(page)
    evaluated = evaluate_file(path)
    if not output.as_json:
        console().print(history_table(evaluated, path.name))
    output.result(evaluated.as_json())
    if page:
        write_text(page, [history_page(evaluated, path.name)])
        output.remark(f"written: {page}")
    if exit_code and evaluated.book.open:
        raise typer.Exit(3)
