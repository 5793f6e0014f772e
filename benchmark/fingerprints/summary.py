"""Read comparisons of fingerprints that ``compare --json-file FILE`` wrote, for the page."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt

from benchmark.errors import DataError
from benchmark.fingerprints.attribution import Suspect
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.examples import Example
from benchmark.fingerprints.stages import STAGES
from benchmark.models.validation import validate
from benchmark.scoring.error_types import BY_NAME
from benchmark.scoring.outcomes import MAIN, OTHERS


class _SummaryModel(BaseModel):
    """A part of the document; entries that the page does not show are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StageSummary(_SummaryModel):
    """A stage that differs, with the numbers of states; ``failed`` is the line of its error."""

    states: StrictInt
    of: StrictInt
    within_noise: bool = False
    failed: str | None = None
    note: str | None = None


class FlipCounts(_SummaryModel):
    """The numbers of queries that became right (gained) and wrong (lost)."""

    gained: StrictInt
    lost: StrictInt


class Flips(FlipCounts):
    """The same numbers, in total and by numops."""

    by_numops: Mapping[str, FlipCounts] = {}


class ScoreFlips(_SummaryModel):
    """The flips by a score other than the main one."""

    flips: Flips


class TypeGrowth(_SummaryModel):
    """The change of a type of error: queries that have it now only, and that had it, with p."""

    new: StrictInt
    past: StrictInt
    growth: StrictInt
    p_holm: StrictFloat


class LogitSummary(_SummaryModel):
    """The largest difference of a log-probability, and the noise floor, in nats."""

    largest: StrictFloat
    floor: StrictFloat


class ComparisonSummary(_SummaryModel):
    """The difference of two fingerprints.

    ``stage`` is the earliest stage that changed beyond noise. ``flips`` are by the main score,
    ``others`` by each other score, ``errors`` the types of error that changed; older documents
    have none of these two.
    """

    severity: Severity
    stage: str | None
    states: StrictInt
    stages: Mapping[str, StageSummary]
    flips: Flips
    others: Mapping[str, ScoreFlips] = {}
    errors: Mapping[str, TypeGrowth] = {}
    answers_changed: StrictInt = 0
    logits: LogitSummary | None = None
    suspects: tuple[Suspect, ...] = ()
    examples: tuple[Example, ...] = ()
    other_hardware: bool = False
    source: str = ""

    def of_stages(self) -> list[tuple[str, StageSummary | None]]:
        """Return every stage in order, with its difference; None if there is none."""
        others = (name for name in self.stages if name not in STAGES)
        return [(name, self.stages.get(name)) for name in (*STAGES, *others)]

    def error_types(self) -> list[tuple[str, TypeGrowth]]:
        """Return the title and the change of each type of error, the largest growth first.

        A type of another version has its name as the title.
        """
        ordered = sorted(self.errors.items(), key=lambda item: -item[1].growth)
        return [(BY_NAME[n].title if n in BY_NAME else n, change) for n, change in ordered]

    def all_flips(self) -> dict[str, Flips]:
        """Return the flips by the main score, and by other scores if theirs differ."""
        others = {by: one.flips for by, one in self.others.items() if one.flips != self.flips}
        return {MAIN: self.flips, **others}


def read_comparison(document: Mapping[str, object], path: Path) -> ComparisonSummary:
    """Return the comparison in a file's JSON object.

    Raises:
        DataError: if ``compare --json-file`` did not write it.
    """
    if "severity" not in document:
        raise DataError(
            f"{path}: not a comparison; python -m benchmark compare --json-file writes one"
        )
    others = {by: document[by] for by in OTHERS if by in document}
    fields = {**document, "others": others, "source": path.name}
    return validate(ComparisonSummary, fields, f"{path}: not a comparison")
