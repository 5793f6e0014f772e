"""Comparisons of fingerprints, as ``compare --json FILE`` writes them and the page shows them."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmark.errors import DataError
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.stages import STAGES
from benchmark.models.validation import validate
from benchmark.scoring.outcomes import MAIN, OTHERS


class _SummaryModel(BaseModel):
    """A part of the document; what the page does not show is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StageShift(_SummaryModel):
    """A stage that differs: in so many states, of so many; ``failed`` is the line of its error."""

    states: int
    of: int
    within_noise: bool = False
    failed: str | None = None
    note: str | None = None


class Turned(_SummaryModel):
    """Queries that are right now and were not, and the other way round."""

    gained: int
    lost: int


class Flips(Turned):
    """The same, by numops too."""

    by_numops: Mapping[str, Turned] = {}


class Turns(_SummaryModel):
    """The flips by a score other than the main one."""

    flips: Flips


class LogitShift(_SummaryModel):
    """The largest difference of a log-probability, and the floor it is held against, in nats."""

    largest: float
    floor: float


class DriftSuspect(_SummaryModel):
    """A difference of the environments; ``reach``: how directly it acts on the stage, 3 to 0."""

    kind: str
    name: str
    old: str | None = None
    new: str | None = None
    reach: int = 0


class DriftExample(_SummaryModel):
    """A state in which the stage moved, old and new."""

    state: int
    where: str
    old: str
    new: str


class Drift(_SummaryModel):
    """What two fingerprints differ in; ``stage`` is the earliest that moved beyond noise.

    ``flips`` are by the main score, ``others`` those by each other one, none in older documents.
    """

    severity: Severity
    stage: str | None
    states: int
    stages: Mapping[str, StageShift]
    flips: Flips
    others: Mapping[str, Turns] = {}
    answers_changed: int = 0
    logits: LogitShift | None = None
    suspects: tuple[DriftSuspect, ...] = ()
    examples: tuple[DriftExample, ...] = ()
    other_hardware: bool = False
    source: str = ""

    def of_stages(self) -> list[tuple[str, StageShift | None]]:
        """Every stage, in order, with how it moved; None where it did not."""
        return [(name, self.stages.get(name)) for name in (*STAGES, *self._others())]

    def all_flips(self) -> dict[str, Flips]:
        """The flips by every score, the main one first; others where theirs differ."""
        others = {by: each.flips for by, each in self.others.items() if each.flips != self.flips}
        return {MAIN: self.flips, **others}

    def _others(self) -> list[str]:
        return [name for name in self.stages if name not in STAGES]


def read_drift(document: Mapping[str, object], path: Path) -> Drift:
    """The comparison in a file's JSON object.

    Raises:
        DataError: when it is not what ``compare --json`` writes.
    """
    if "severity" not in document:
        raise DataError(f"{path}: no comparison; python -m benchmark compare --json writes one")
    others = {by: document[by] for by in OTHERS if by in document}
    given = {**document, "others": others, "source": path.name}
    return validate(Drift, given, f"{path}: no comparison")
