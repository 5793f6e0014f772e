"""The data of a report: frozen records that ``gather`` fills and the other modules show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from benchmark.boxes.histories import StateHistory
from benchmark.fingerprints.summary import ComparisonSummary
from benchmark.hypotheses.claims import JudgedClaim
from benchmark.hypotheses.pair_verdict import PairVerdict
from benchmark.hypotheses.pooled import PooledExperiment
from benchmark.hypotheses.results import Queries, Result
from benchmark.models.registry_types import Pair, RegisteredModel
from benchmark.records import Answer, Outcome, State
from benchmark.runs.store.runs import FinishedRun
from benchmark.scoring.outcomes import MAIN, PUBLISHED
from benchmark.stats.error_contrast import TypeContrast
from benchmark.stats.error_summary import ErrorSummary
from benchmark.stats.paired import AdjustedPValues, PairedTests, adjusted
from benchmark.stats.published import UnpairedTest
from benchmark.stats.summary import Summary
from benchmark.tasks import DEFAULT, Task

Chance = Mapping[int, float]
"""The random baseline's accuracy in 0..1 by numops."""


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model with its published results and those measured here, by score.

    ``alternative`` is the repository that was measured, if it is not the default one. ``chance``
    is the random baseline on the measured states, by the score that is comparable with the
    published figures.
    """

    model: RegisteredModel
    published: Summary | None
    scores: Mapping[str, Summary]
    chance: Chance
    alternative: str | None = None

    @property
    def repository(self) -> str:
        """The measured repository, or the one that ``run`` would load."""
        return self.alternative or self.model.huggingface_id

    @property
    def measured(self) -> Summary | None:
        """The measured results by the score that is comparable with the published figures."""
        return self.scores.get(PUBLISHED)


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair with both models' results and their difference.

    ``published`` compares the published counts. ``tests`` are the paired tests by score, if both
    models were measured on the same states; ``verdict`` and ``holds`` then say whether the pair
    shows the expected difference.
    """

    pair: Pair
    base: ModelView
    variant: ModelView
    published: UnpairedTest | None
    tests: Mapping[str, PairedTests]
    verdict: PairVerdict | None

    @property
    def measured(self) -> PairedTests | None:
        """The tests by the score that is comparable with the published figures."""
        return self.tests.get(PUBLISHED)


@dataclass(frozen=True, slots=True)
class RunView:
    """A finished run with its summary by each score, and its task."""

    run: FinishedRun
    summaries: Mapping[str, Summary]
    task: str

    @property
    def title(self) -> str:
        """The run's label, with its task if it is not the default one."""
        return f"{self.run.label}{'' if self.task == DEFAULT else f', task {self.task}'}"

    @property
    def summary(self) -> Summary:
        """The summary by the main score."""
        return self.summaries[MAIN]

    def result(self, score: str) -> Result:
        """Return the run's result by one of its scores."""
        result = self.run.result
        results = (result, *result.others.values())
        return next(scored for scored in results if scored.score == score)

    def chance_on(self, score: str, queries: Queries) -> float | None:
        """Return the random baseline's accuracy (0..1) on the run's queries; None if not known."""
        return self.result(score).chance_on(queries)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs on the same states with the paired tests of their outcomes, by score.

    ``errors`` is the change of each type of error; empty if one has no predictions.
    """

    base: RunView
    variant: RunView
    tests: Mapping[str, PairedTests]
    errors: Mapping[str, TypeContrast] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audit:
    """The claims decided on one set of results, and the pooled effects of its experiments."""

    source: str
    judged: tuple[JudgedClaim, ...]
    pooled: tuple[PooledExperiment, ...]


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """A run's answer to a state: the text, the parsed contents by box, and the outcome by score.

    ``codes`` has the type of error of each query as one letter.
    """

    text: str
    answer: Answer
    outcomes: Mapping[str, Outcome]
    codes: str

    @property
    def outcome(self) -> Outcome:
        """The outcome by the main score."""
        return self.outcomes[MAIN]


@dataclass(frozen=True, slots=True)
class StateView:
    """A state and the runs' answers to it, in run order; None if a run has no such state."""

    task: Task
    state: State
    history: StateHistory
    answers: tuple[ScoredAnswer | None, ...]


@dataclass(frozen=True, slots=True)
class RunErrors:
    """A run with what went wrong in it."""

    view: RunView
    summary: ErrorSummary


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows.

    ``models`` are the paper's models followed by other measured ones; ``pairs`` likewise, by
    identifier. ``chance`` is the paper's random row. ``drift`` are the comparisons with recorded
    fingerprints. ``notes`` name the runs that were left out and the reason. ``errors`` are those of
    the runs with predictions.
    """

    created: datetime
    runs: tuple[RunView, ...]
    models: tuple[ModelView, ...]
    pairs: Mapping[str, PairView]
    audits: tuple[Audit, ...]
    comparisons: tuple[RunComparison, ...]
    states: tuple[StateView, ...]
    chance: Chance
    drift: tuple[ComparisonSummary, ...]
    notes: tuple[str, ...]
    errors: tuple[RunErrors, ...] = ()

    @property
    def p_values(self) -> list[AdjustedPValues]:
        """The p-values of each comparison by the main score, adjusted for all comparisons."""
        return adjusted([comparison.tests[MAIN] for comparison in self.comparisons])
