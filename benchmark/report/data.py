"""What a report is made of: frozen records that the pipeline hands over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from benchmark.fingerprints.summary import Drift
from benchmark.hypotheses.claims import JudgedClaim
from benchmark.models.registry_types import Pair, RegisteredModel
from benchmark.records import Answer, Outcome, State
from benchmark.runs.store.runs import FinishedRun
from benchmark.scoring.outcomes import MAIN, PUBLISHED
from benchmark.stats.paired import PairedTests
from benchmark.stats.published import UnpairedTest
from benchmark.stats.summary import Summary
from benchmark.tasks import Task

Chance = Mapping[int, float]
"""The random baseline's accuracy in 0..1 by numops."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with what is published of it, and what was measured of it here, by every score.

    ``alternative`` is the repository that was measured, where it is not the default one; ``chance``
    is the random baseline on the states that it was measured on, by the score that is set beside
    published figures.
    """

    model: RegisteredModel
    published: Summary | None
    scores: Mapping[str, Summary]
    chance: Chance
    alternative: str | None = None

    @property
    def repository(self) -> str:
        """The repository that was measured, or would be."""
        return self.alternative or self.model.huggingface_id

    @property
    def measured(self) -> Summary | None:
        """What was measured, by the score that is set beside published figures."""
        return self.scores.get(PUBLISHED)


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair with both models' figures and how far apart they are.

    ``published`` is of counts; ``tests`` are paired, by every score, where both were measured on
    the same states, and ``verdict`` then says whether the pair shows what it is expected to.
    """

    pair: Pair
    base: ModelView
    variant: ModelView
    published: UnpairedTest | None
    tests: Mapping[str, PairedTests]
    verdict: str | None
    holds: bool | None

    @property
    def measured(self) -> PairedTests | None:
        """The tests by the score that is set beside published figures."""
        return self.tests.get(PUBLISHED)


@dataclass(frozen=True, slots=True)
class RunView:
    """A finished run with its summary by every score."""

    run: FinishedRun
    summaries: Mapping[str, Summary]

    @property
    def summary(self) -> Summary:
        """The summary by the main score."""
        return self.summaries[MAIN]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs on the same states with the paired tests of their outcomes, by every score."""

    base: RunView
    variant: RunView
    tests: Mapping[str, PairedTests]


@dataclass(frozen=True, slots=True)
class Audit:
    """The claims decided on one set of results."""

    source: str
    judged: tuple[JudgedClaim, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a run says about a state: the text, as contents by box, and what is right by score."""

    text: str
    answer: Answer
    outcomes: Mapping[str, Outcome]

    @property
    def outcome(self) -> Outcome:
        """The outcome by the main score."""
        return self.outcomes[MAIN]


@dataclass(frozen=True, slots=True)
class StateView:
    """A state and each run's answer to it, in the order of the runs; None where not asked."""

    task: Task
    state: State
    answers: tuple[Answered | None, ...]


@dataclass(frozen=True, slots=True)
class ReportData:
    """All of a report.

    ``models`` are the paper's, then others that were measured; ``pairs`` likewise, by
    identifier. ``chance`` is the paper's random row. ``drift`` are the documents of comparisons
    with a recorded state of the libraries. ``notes`` say what was left out.
    """

    made: datetime
    runs: tuple[RunView, ...]
    models: tuple[ModelView, ...]
    pairs: Mapping[str, PairView]
    audits: tuple[Audit, ...]
    compared: tuple[Compared, ...]
    states: tuple[StateView, ...]
    chance: Chance
    drift: tuple[Drift, ...]
    notes: tuple[str, ...]
