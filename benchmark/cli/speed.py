"""``speed``: time engines against each other."""

import signal
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.options import Model, flag, option
from benchmark.cli.writing import Output
from benchmark.decoding.engines import ENGINES

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest
    from benchmark.runs.settings import Settings
    from benchmark.speed.comparison import SpeedComparison

Engines = Annotated[
    str,
    option(
        "NAME[+PRODUCTS][+unfused][@BATCH|@best][:DTYPE], separated by commas; of "
        f"{', '.join(ENGINES)}. PRODUCTS is a matrix-product backend.",
        metavar="LIST",
    ),
]
SlowStates = Annotated[
    int | None, option("Time slow engines on only K states, evenly spread.", metavar="K")
]
Rounds = Annotated[int, option("Number of rounds.", metavar="R")]
Verify = Annotated[
    bool, flag("--verify", text="Show the margins where answers differ from outlines'.")
]

_INTERRUPTED = 130


@output_options()
@data_options(states=32)
@settings_options(
    "prompt_format",
    "device",
    "dtype",
    "batch_size",
    "max_new_tokens",
    "base_url",
    "kind",
    "concurrency",
)
def speed(
    model: Model,
    engines: Engines = "speculative,outlines",
    slow_states: SlowStates = None,
    repeats: Rounds = 3,
    *,
    data: "DataRequest",
    settings: "Settings",
    verify: Verify = False,
    output: Output,
) -> None:
    """Time engines in turn on the same states (docs/speed.md explains the figures).

    The JSON has all figures and answers.
    """
    from benchmark.decoding.connection import ExternalSettings
    from benchmark.runs.requests import RunRequest
    from benchmark.speed.comparison import SpeedRequest
    from benchmark.speed.progress import EnginesProgress
    from benchmark.speed.run import speed as measure
    from benchmark.terminal import console

    external = ExternalSettings(settings.base_url, settings.kind or "auto", settings.concurrency)
    settings = replace(settings, base_url=None, kind=None, concurrency=None)
    request = SpeedRequest(
        run=RunRequest.of(settings, model, data),
        engines=engines,
        slow_states=slow_states,
        repeats=repeats,
        verify=verify,
        external=external,
    )
    # Ended from outside it ends its engines' processes as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with EnginesProgress(console(stderr=True, quiet=output.quiet)) as progress:
        race = measure(request, progress)
    if not output.as_json:
        _show(race, repeats)
    output.result(race.as_json())
    if race.stopped:
        sys.exit(_INTERRUPTED)


def _show(race: "SpeedComparison", repeats: int) -> None:
    """Print the table, what it means, and where answers differ."""
    from benchmark.models.short_name import short_name
    from benchmark.speed.table import differences_table, speed_notes, speed_table
    from benchmark.terminal import console

    shown, rows = console(), race.figures()
    shown.print(speed_table(f"{short_name(race.name)}, {race.states} states", rows))
    paper = race.paper.spec if race.paper else None
    for note in speed_notes(rows, race.limits, paper, repeats):
        shown.print(note, highlight=False)
    for label, differences in race.first_differences.items():
        compared = next(row.compared for row in rows if row.spec.label == label) or 0
        if differences:
            shown.print(differences_table(label, differences, compared))
            certified = sum(one.certified is True for one in differences)
            shown.print(f"{certified} of these {len(differences)} answers are certified")
        else:
            shown.print(f"{label}: all of {compared} answers are the paper's method's")
    if race.stopped:
        shown.print("stopped: these are the rounds that were finished")
