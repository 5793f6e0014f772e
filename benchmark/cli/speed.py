"""``speed``: time engines against each other."""

import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.options import Model, data_options, flag, settings_options
from benchmark.cli.writing import check_writable, write_json
from benchmark.decoding.engines import ENGINES

_INTERRUPTED = 130


if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings


@data_options(states=32)
@settings_options("prompt_format", "device", "dtype", "batch_size", "max_new_tokens")
def speed(
    model: Model,
    engines: Annotated[
        str,
        typer.Option(
            help=f"NAME[@BATCH|@best][:DTYPE], separated by commas; of {', '.join(ENGINES)}.",
            metavar="LIST",
        ),
    ] = "speculative,outlines",
    slow_states: Annotated[
        int | None,
        typer.Option(help="Time slow engines on only K states, evenly spread.", metavar="K"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Number of rounds.", metavar="R")] = 3,
    *,
    data: "DataRequest",
    settings: "Settings",
    verify: Annotated[
        bool,
        flag("--verify", text="Show the margins where answers differ from outlines'."),
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write all figures and answers here.", metavar="FILE"),
    ] = None,
) -> None:
    """Time engines in turn on the same states (docs/speed.md explains the figures)."""
    from benchmark.models.short_name import short_name
    from benchmark.runs.requests import RunRequest
    from benchmark.speed.comparison import SpeedRequest
    from benchmark.speed.progress import EnginesProgress
    from benchmark.speed.run import speed as measure
    from benchmark.speed.table import differences_table, speed_notes, speed_table
    from benchmark.terminal import console

    request = SpeedRequest(
        run=RunRequest(model, Path("unused"), data, **asdict(settings)),
        engines=engines,
        slow_states=slow_states,
        repeats=repeats,
        verify=verify,
    )
    check_writable(json_file)
    # Ended from outside it ends its engines' processes as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with EnginesProgress(console(stderr=True)) as progress:
        race = measure(request, progress)
    rows = race.figures()
    paper = race.paper.spec if race.paper else None
    shown = console()
    title = f"{short_name(race.name)}, {race.states} states"
    shown.print(speed_table(title, rows))
    for note in speed_notes(rows, race.limits, paper, repeats):
        shown.print(note, highlight=False)
    for label, differences in race.first_differences.items():
        row = next(row for row in rows if row.spec.label == label)
        if differences:
            shown.print(differences_table(label, differences, row.compared or 0))
        else:
            shown.print(f"{label}: all of {row.compared} answers are the paper's method's")
    write_json(json_file, race.as_json())
    if race.stopped:
        shown.print("stopped: these are the rounds that were finished")
        sys.exit(_INTERRUPTED)
