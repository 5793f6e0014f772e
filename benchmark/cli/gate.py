"""``gate``: is the second of two evaluations worse?"""

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.bundles import output_options
from benchmark.cli.compare import JunitFile
from benchmark.cli.history_entries import HistoryFile, check_history, gate_entry, keep
from benchmark.cli.options import flag, option
from benchmark.cli.writing import Output, check_writable

OldLog = Annotated[
    Path, typer.Argument(help="The log of the old evaluation: file or folder.", metavar="OLD")
]
NewLog = Annotated[Path, typer.Argument(help="That of the new one.", metavar="NEW")]
Metric = Annotated[
    list[str] | None,
    option(
        "The score, of every task or of one; default: each task's first that is 0 or 1.",
        metavar="[TASK=]NAME",
    ),
]
Margin = Annotated[
    float,
    option("Largest drop that passes, in the score's unit.", least=0, most=1_000_000, metavar="X"),
]
ClusterField = Annotated[
    str | None,
    option("Samples with the same value of this field belong together.", metavar="FIELD"),
]
LowerIsBetter = Annotated[
    bool,
    flag("--lower-is-better", text="Where the logs do not say which is better, a lower score is."),
]


@output_options()
def gate(
    old: OldLog,
    new: NewLog,
    metric: Metric = None,
    margin: Margin = 0.02,
    cluster: ClusterField = None,
    lower_is_better: LowerIsBetter = False,
    junit_file: JunitFile = None,
    history: HistoryFile = None,
    *,
    output: Output,
) -> None:
    """Decide from two evaluation logs, of any harness, whether the second is worse.

    OLD and NEW are logs with samples of lm-evaluation-harness, Inspect or lighteval, or runs.

    Exit status: 0 passes, 3 undecided (too few samples for the margin), 4 worse by more than the
    margin, 2 misuse.
    """
    from benchmark.gate.ci import junit, report_to_github
    from benchmark.gate.result import gate as decide
    from benchmark.gate.table import gate_table
    from benchmark.streams import workflow_command
    from benchmark.terminal import console
    from benchmark.writing import write_text

    check_writable(junit_file)
    check_history(history)
    result = decide(
        old,
        new,
        metric=metric or (),
        margin=margin,
        cluster=cluster,
        lower_is_better=lower_is_better,
    )
    annotation = report_to_github(result)
    if not output.as_json:
        console().print(gate_table(result))
        if annotation:
            workflow_command(annotation)
    if junit_file:
        write_text(junit_file, [junit(result)])
    kept = keep(history, gate_entry(result), output)
    output.result({**result.as_json(), **kept})
    raise typer.Exit(result.exit_status)
