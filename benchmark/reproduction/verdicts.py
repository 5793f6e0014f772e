"""The verdict on a pair: its hypothesis, and what departs from the published counts.

``pytest -m gpu``, ``reproduce`` and ``merge`` judge pairs by it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.hypotheses.pair_verdict import PairVerdict, departures, judge, published_model
from benchmark.models.registry_types import Pair
from benchmark.reading.documents import read_json
from benchmark.runs.paired_comparison import paired_tests_of
from benchmark.runs.store.results import model_name
from benchmark.runs.store.stored_result import read_result
from benchmark.stats.constants import CLOSE_MARGIN
from benchmark.stats.summary import Scored
from benchmark.tasks import task_of

Scores = Mapping[str, Scored]
"""What a model got right, by score."""


@dataclass(frozen=True, slots=True)
class PairReport:
    """The verdict on a pair; ``departures`` are those from the published counts of its models."""

    pair: Pair
    verdict: PairVerdict
    departures: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """What fails: a hypothesis that is not supported, and the departures."""
        refuted = self.verdict.holds is False
        own = (f"{self.pair.hypothesis}: {self.verdict.words}",) if refuted else ()
        return (*own, *self.departures)


@dataclass(frozen=True, slots=True)
class UnjudgedPair:
    """A pair without a verdict, and why."""

    pair: Pair
    reason: str


PairOutcome = PairReport | UnjudgedPair


def report_pair(
    pair: Pair,
    base: Scores,
    variant: Scores,
    task: str,
    *,
    published: bool = True,
    margin: float = CLOSE_MARGIN,
) -> PairReport:
    """Judge a pair by what both models got right on the same states.

    Args:
        pair: the pair.
        base: the scores of its base.
        variant: the scores of its variant.
        task: the name of the task.
        published: whether both models are compared with the published counts.
        margin: the largest departure (0..1) from a published difference that counts as none.

    Raises:
        ValueError: if they are of different states, or no query has numops >= 1.
    """
    verdict = judge(pair, paired_tests_of(base, variant), task, margin)
    rows = [(published_model(k), s) for k, s in ((pair.base, base), (pair.variant, variant))]
    lines = [line for row, s in rows if row and published for line in departures(row, s, task)]
    return PairReport(pair, verdict, tuple(lines))


def judge_stored(
    pairs: Iterable[Pair], folders: Mapping[str, Path | str], margin: float
) -> list[PairOutcome]:
    """Judge pairs whose models are measured.

    Args:
        pairs: the pairs.
        folders: the folder of a model's run by its key, or why there is none.
        margin: that of :func:`report_pair`.

    Raises:
        DataError: if a result cannot be read.
    """
    return [_judged(pair, folders, margin) for pair in pairs]


def _judged(pair: Pair, folders: Mapping[str, Path | str], margin: float) -> PairOutcome:
    missing = "not measured"
    places = {key: folders.get(key, missing) for key in (pair.base, pair.variant)}
    reasons = [f"{key}: {place}" for key, place in places.items() if isinstance(place, str)]
    if reasons:
        return UnjudgedPair(pair, "; ".join(reasons))
    (base, task), (variant, other) = (_stored(Path(place)) for place in places.values())
    if task != other:
        return UnjudgedPair(pair, f"its models are measured on the tasks {task} and {other}")
    try:
        return report_pair(pair, base, variant, task, margin=margin)
    except ValueError as error:
        return UnjudgedPair(pair, f"its models are not comparable: {error}")


def _stored(folder: Path) -> tuple[dict[str, Scored], str]:
    """Return the scores in the folder of a finished run, and the name of its task."""
    path = folder / "result.json"
    document = read_json(path)
    result = read_result(model_name(document, path), document, path)
    by_score = {by: result.by(by) for by in ("set", "exact")}
    scores = {by: Scored.of(r.outcomes) for by, r in by_score.items() if r and r.outcomes}
    return scores, task_of(document, str(path)).name
