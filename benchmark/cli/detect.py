"""Options in points of accuracy: ``--margin``, and ``--detect`` of ``plan`` and ``run``."""

from collections.abc import Iterator
from typing import Annotated

from benchmark.cli.options import option


def _valid(points: float | None) -> float | None:
    """Return the number of points if it is above 0 and at most 100.

    Raises:
        BadParameter: otherwise.
    """
    from typer import BadParameter

    if points is None or 0 < points <= 100:  # noqa: PLR2004  # points of accuracy
        return points
    raise BadParameter(f"{points:g} is not above 0 and at most 100 points")


DetectPoints = Annotated[
    float | None,
    option(
        "Say how many states show a difference of this many points.",
        "--detect",
        metavar="POINTS",
        check=_valid,
    ),
]

Margin = Annotated[
    float | None,
    option(
        "The largest difference that counts as none, in points.",
        "--margin",
        metavar="POINTS",
        check=_valid,
    ),
]


def margin_share(points: float | None, default: float) -> float:
    """Return the margin as a share: that of ``--margin``, or the default."""
    return default if points is None else points / 100


def detect_lines(points: float, task: str, states: int | None = None) -> Iterator[str]:
    """Yield the states needed under each assumption, in lines of at most 80 columns.

    With the ``states`` of a run, a line says how many of the assumptions they are enough for.
    """
    from benchmark.stats.constants import LEVEL, POWER
    from benchmark.stats.states_needed import few_states_warning, states_needed

    noun = "point" if points == 1 else "points"
    yield (
        f"States that show {points:g} {noun} at numops >= 1, two models "
        f"(power {100 * POWER:.0f} %, level {100 * LEVEL:.0f} %):"
    )
    rows = states_needed(points, task)
    for needed in rows:
        assumption = needed.assumption
        yield f"{needed.states:>8,}  {100 * assumption.changed:4.1f} % change; {assumption.source}"
    if states is None:
        return
    enough = sum(needed.states <= states for needed in rows)
    rows_words = f"enough for {enough} of {len(rows)} rows" if enough else "below every row"
    yield f"{states:>8,}  {'state' if states == 1 else 'states'} of this run: {rows_words}"
    if warning := few_states_warning(states):
        yield warning


def detect_as_json(
    points: float | None, task: str, run_states: int | None = None
) -> dict[str, object]:
    """Return the states needed as the key ``detect``, and those of a run with their warning.

    Without the option there is no key.
    """
    from benchmark.stats.states_needed import few_states_warning, states_needed

    if points is None:
        return {}
    states = [needed.as_json() for needed in states_needed(points, task)]
    found: dict[str, object] = {"points": points, "task": task, "states": states}
    if run_states is not None:
        warning = few_states_warning(run_states) or None
        found |= {"run_states": run_states, "warning": warning}
    return {"detect": found}
