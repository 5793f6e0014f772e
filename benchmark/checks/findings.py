"""Differences that a check finds, and its exit status."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["answer", "near tie", "decoding", "prefill", "ids", "rendering"]
"""What differs.

``answer``: the tokens of an answer. ``near tie``: the same, where two tokens are so near that
rounding in the dtype, or noise, decides. ``decoding`` and ``prefill``: log-probabilities while
decoding, and those of a pass over prompt and answer. ``ids``: the engine scored other ids than it
was sent.
``rendering``: a server makes other ids from a prompt's text or messages.
"""

ExitStatus = Literal[0, 3, 4]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place at which an engine differs from itself.

    Attributes:
        state: the number of the prompt.
        place: the token's index in the answer; below 0 it is one of the prompt.
        kind: what differs.
        size: in nats; of an answer the margin between the two tokens, if it is known.
        tokens: the answer's token, and the other one if the answers differ.
        arrangement: in which arrangement it was seen.
    """

    state: int
    place: int
    kind: Kind
    size: float | None
    tokens: tuple[int, ...]
    arrangement: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check.

    Attributes:
        check: its name.
        subject: engine and model.
        answers: how many answers were compared.
        places: how many log-probabilities were compared.
        largest: the largest difference of a log-probability, in nats.
        floor: what counts as noise, in nats.
        differences: those beyond the floor, and answers that differ.
        notes: what a reader should know.
    """

    check: str
    subject: str
    answers: int
    places: int
    largest: float
    floor: float
    differences: Sequence[Difference]
    notes: Sequence[str] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """4 if answers or ids differ, 3 if log-probabilities or near ties do, else 0."""
        kinds = {difference.kind for difference in self.differences}
        if kinds & {"answer", "ids", "rendering"}:
            return 4
        return 3 if kinds else 0

    def as_json(self) -> dict[str, object]:
        """Return all fields by name, and the exit status; an infinite size is None."""
        differences = [{**asdict(d), "size": _finite(d.size)} for d in self.differences]
        sizes = {"largest": _finite(self.largest), "floor": _finite(self.floor)}
        fields = {**asdict(self), **sizes, "differences": differences}
        return {**fields, "exit_status": self.exit_status}


def distances(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return absolute differences of log-probabilities, in the shape of both.

    They are NaN where one is unknown (NaN), and infinite where one of the two is.
    """
    with np.errstate(invalid="ignore"):  # of two equal infinities
        return np.where(one == two, 0.0, np.abs(one - two))


def _finite(size: float | None) -> float | None:
    return size if size is not None and math.isfinite(size) else None
