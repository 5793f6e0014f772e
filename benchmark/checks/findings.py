"""Differences that a check finds, and its exit status."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["answer", "near tie", "decoding", "prefill", "ids", "rendering"]
"""What differs.

``answer``: the tokens of an answer. ``near tie``: the same, where two tokens are so likely that the
observed rounding decides. ``decoding`` and ``prefill``: log-probabilities while decoding, and those
of a pass over prompt and answer. ``ids``: the engine scored other ids than it was sent.
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
        """Return all fields by name, and the exit status."""
        return {**asdict(self), "exit_status": self.exit_status}
