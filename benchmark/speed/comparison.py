"""The request, the progress and the measurements of a comparison of engines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from benchmark.decoding.connection import ExternalSettings
from benchmark.records import TokenIds
from benchmark.runs.notices import Notices
from benchmark.runs.requests import RunRequest
from benchmark.speed.differences import FirstDifference
from benchmark.speed.figures import (
    ArithmeticLimit,
    Figures,
    Measurement,
    figures,
    limit_error,
    paper_measurement,
)


@dataclass(frozen=True, slots=True)
class SpeedRequest:
    """The engines to compare, and the states of a model to compare them on.

    Attributes:
        run: the model, the states, and the default settings of engines.
        engines: as :func:`benchmark.speed.specs.parse` takes them.
        slow_states: how many states slow engines are measured on; None for all.
        verify: whether to measure the margins where answers differ from the paper's method.
        external: where the engine ``server`` is.
    """

    run: RunRequest
    engines: str
    slow_states: int | None = None
    repeats: int = 3
    verify: bool = False
    external: ExternalSettings = field(default_factory=ExternalSettings)


class SpeedProgress(Protocol):
    """Shows the present engine and round."""

    def say(self, text: str) -> None:
        """Print a line about a step that is not a measurement."""

    def start(self, total: int) -> None:
        """Begin a number of measurements."""

    def begin(self, label: str, round_number: int) -> None:
        """Show that an engine begins a round, counted from 0."""

    def advance(self) -> None:
        """Count a measurement as done."""


@dataclass
class SpeedComparison:
    """All measurements, possibly incomplete if ``stopped``.

    ``first_differences`` has, by engine label, the first differing token of each state's answer,
    if they were requested.
    """

    name: str
    digest: str
    states: int
    prompts: Sequence[TokenIds]
    measured: list[Measurement]
    environment: dict[str, object]
    notices: Notices
    limits: dict[str, ArithmeticLimit] = field(default_factory=dict)
    first_differences: dict[str, list[FirstDifference]] = field(default_factory=dict)
    stopped: bool = False

    @property
    def paper(self) -> Measurement | None:
        """The measurement of the paper's method, which others are compared with."""
        return paper_measurement(self.measured)

    def figures(self) -> list[Figures]:
        """Return one row per engine, in the requested order."""
        return [figures(one, self.paper, self.limits.get(one.spec.dtype)) for one in self.measured]

    def as_json(self) -> dict[str, object]:
        """Return rows, rounds, answers and margins."""
        rows = self.figures()
        return {
            "model": {"name": self.name, "fingerprint": self.digest},
            "states": self.states,
            "environment": self.environment,
            "notices": self.notices.as_json(),
            "stopped": self.stopped,
            "paper": self.paper.spec.label if self.paper else None,
            "limits": {
                dtype: {
                    "seconds": limit.seconds,
                    **asdict(limit),
                    "error": limit_error(dtype, limit, rows),
                }
                for dtype, limit in self.limits.items()
            },
            "engines": [
                {
                    **row.as_json(),
                    "rounds": measured.rounds,
                    "places": list(measured.state_indices),
                    "seconds_by_batch_size": measured.seconds_by_batch_size,
                    "partings": [
                        asdict(difference)
                        for difference in self.first_differences.get(measured.spec.label, ())
                    ],
                }
                for row, measured in zip(rows, self.measured, strict=True)
            ],
        }
