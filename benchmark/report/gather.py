"""What a report is made of, joined from published figures and finished runs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from benchmark.errors import DataError, LanguageError, RuleError
from benchmark.fingerprints.summary import read_drift
from benchmark.hypotheses.claims import audit
from benchmark.hypotheses.pair_verdict import judge_tests, published_difference, published_model
from benchmark.hypotheses.results import Result, Results, published_results
from benchmark.models.published import published, random_row
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.reading import read_json
from benchmark.records import Outcome, State
from benchmark.report.data import (
    Answered,
    Audit,
    Compared,
    ModelView,
    PairView,
    ReportData,
    RunView,
    StateView,
)
from benchmark.runs.store.results import results_of
from benchmark.runs.store.runs import FinishedRun, read_runs
from benchmark.scoring.counts import Counts
from benchmark.scoring.outcomes import SCORES
from benchmark.stats.constants import fresh_rng
from benchmark.stats.intervals import normal_interval
from benchmark.stats.paired import PairedTests, paired_tests
from benchmark.stats.summary import Estimate, Summary, summarize
from benchmark.tasks import Task, task_of

PUBLISHED = "the published results (Table 6)"


def gather(folders: Sequence[Path], known: Registry, drift: Sequence[Path] = ()) -> ReportData:
    """Everything that a report shows.

    Args:
        folders: with finished runs in or below them; none for the published results alone.
        known: the models and pairs that runs may be of.
        drift: JSON files of comparisons with a recorded state of the libraries.

    Raises:
        DataError: when a folder or file is not what it should be.
    """
    runs = read_runs(folders, known)
    measured = results_of([run.path / "result.json" for run in runs], known)
    views = tuple(RunView(run, _summaries(run.result)) for run in runs)
    return ReportData(
        made=datetime.now(UTC),
        runs=views,
        models=tuple(_models(known, measured)),
        pairs={view.pair.id: view for view in _pairs(known, measured)},
        audits=tuple(_audits(measured)),
        compared=tuple(_compared(views)),
        states=tuple(answered_states(runs)),
        chance={numops: percent / 100 for numops, percent in random_row().items()},
        drift=tuple(read_drift(read_json(path), path) for path in drift),
        notes=tuple(_notes(runs, measured)),
    )


def _models(known: Registry, measured: Results) -> Iterator[ModelView]:
    """The paper's models, then what was measured of others."""
    for model in registry().models.values():
        if model.paper:
            yield _model(model, measured)
    for model in known.models.values():
        if not model.paper and measured.of(model.key):
            yield _model(model, measured)


def _model(model: RegisteredModel, measured: Results) -> ModelView:
    printed, result = published_model(model.key), measured.of(model.key)
    comparable = result and result.by("exact")
    return ModelView(
        model,
        published_summary(Counts(printed.by_numops)) if printed else None,
        _summaries(result) if result else {},
        comparable.chance if comparable else {},
        result.alternative if result else None,
    )


def _outcomes(result: Result) -> dict[str, tuple[Outcome, ...]]:
    """The outcomes by every score that is known of the result."""
    every = dict[str, Result](result.others.items()) | {result.score: result}
    return {by: every[by].outcomes or () for by in SCORES if by in every and every[by].outcomes}


def _summaries(result: Result) -> dict[str, Summary]:
    return {by: summarize(outcomes) for by, outcomes in _outcomes(result).items()}


def published_summary(counts: Counts) -> Summary:
    """Counts with the paper's own intervals, which take queries as independent."""

    def estimate(numops: Sequence[int]) -> Estimate:
        tally = Counts({n: counts.by_numops[n] for n in numops}).overall
        return Estimate(tally, normal_interval(tally))

    every = sorted(counts.by_numops)
    return Summary(
        overall=estimate(every),
        nontrivial=estimate([n for n in every if n >= 1]),
        by_numops={n: estimate([n]) for n in every},
    )


def _pairs(known: Registry, measured: Results) -> Iterator[PairView]:
    """The paper's pairs, then others of which something was measured."""
    papers = [pair for pair in registry().pairs.values() if pair.paper]
    for pair in papers:
        yield _pair(pair, registry(), measured)
    for pair in known.pairs.values():
        if not pair.paper and (measured.of(pair.base) or measured.of(pair.variant)):
            yield _pair(pair, known, measured)


def _pair(pair: Pair, known: Registry, measured: Results) -> PairView:
    base, variant = (_model(known.models[key], measured) for key in (pair.base, pair.variant))
    tests = _tests_of(pair, measured)
    nontrivial = {by: some.nontrivial for by, some in tests.items()}
    verdict = judge_tests(pair, nontrivial) if tests else None
    return PairView(
        pair,
        base,
        variant,
        published_difference(pair) if base.published and variant.published else None,
        tests,
        verdict.figures if verdict else None,
        verdict.holds if verdict else None,
    )


def _tests_of(pair: Pair, measured: Results) -> dict[str, PairedTests]:
    """The paired tests by every score, where both were measured on the same states."""
    base, variant = measured.of(pair.base), measured.of(pair.variant)
    if base is None or variant is None or base.data != variant.data:
        return {}
    return _tests(base, variant)


def _tests(base: Result, variant: Result) -> dict[str, PairedTests]:
    """The paired tests of two results on the same states, by the scores that both have."""
    if not any(n >= 1 for n in base.by_numops):
        return {}
    before, after = _outcomes(base), _outcomes(variant)
    return {
        by: paired_tests(before[by], after[by], fresh_rng)
        for by in SCORES
        if by in before and by in after
    }


@cache
def _published_audit() -> Audit:
    return Audit(PUBLISHED, tuple(audit(published_results(published().values()))))


def _audits(measured: Results) -> Iterator[Audit]:
    yield _published_audit()
    papers = registry().models
    if any(entry.model in papers and papers[entry.model].paper for entry in measured.entries):
        yield Audit("the runs of this report", tuple(audit(measured)))


def _compared(views: Sequence[RunView]) -> Iterator[Compared]:
    """Each run against the first one on the same states."""
    first: dict[str, RunView] = {}
    for view in views:
        base = first.setdefault(view.run.result.data, view)
        if base is not view and (tests := _tests(base.run.result, view.run.result)):
            yield Compared(base, view, tests)


def answered_states(runs: Sequence[FinishedRun]) -> list[StateView]:
    """Every state that has a prediction, and each run's answer to it.

    Raises:
        DataError: when a prediction is about no state, or leads to another result than its run's.
    """
    states: dict[str, State] = {}
    tasks: dict[str, Task] = {}
    answers: list[dict[str, Answered]] = []
    for run in runs:
        for description in run.texts:
            if description not in states:
                states[description] = _parsed(description, run)
                tasks[description] = task_of(run.document, str(run.path))
        task = task_of(run.document, str(run.path))
        answers.append({d: _answered(task, text, states[d]) for d, text in run.texts.items()})
        _check(run, list(answers[-1].values()))
    return [
        StateView(tasks[description], state, tuple(each.get(description) for each in answers))
        for description, state in states.items()
    ]


def _parsed(description: str, run: FinishedRun) -> State:
    try:
        # Of which sequence it is is not told there.
        return task_of(run.document, str(run.path)).state(description)
    except (LanguageError, RuleError) as error:
        raise DataError(f"{run.path / 'predictions.jsonl'}: {error}") from error


def _answered(task: Task, text: str, state: State) -> Answered:
    judged = task.judge(state, text)
    return Answered(text, judged.answer, judged.outcomes)


def _check(run: FinishedRun, answers: Sequence[Answered]) -> None:
    """Refuse predictions that do not lead to the result beside them, by each of its scores.

    A result without ``exact`` is of an older version, whose rules may have read some texts in
    another way: its predictions must be of the same states, and its note says what differs.
    """
    of_this_version = "exact" in run.document

    def kinds(some: Iterable[Outcome]) -> list[tuple[object, object]]:
        return sorted((each.numops, each.correct if of_this_version else ()) for each in some)

    told = _outcomes(run.result)
    found = {by: kinds(each.outcomes[by] for each in answers) for by in told}
    if answers and found != {by: kinds(outcomes) for by, outcomes in told.items()}:
        raise DataError(
            f"{run.path}: predictions.jsonl does not lead to result.json; the one or the other was "
            "changed: measure again, or leave this run out"
        )


def _notes(runs: Sequence[FinishedRun], measured: Results) -> Iterator[str]:
    for run in runs:
        if not run.texts:
            yield f"{run.label}: no predictions.jsonl beside its result; not among the states"
        if run.registered is None:
            yield f"{run.label}: not in the registry; in no claim, pair or table"
    for path in (path for path in measured.ignored if " measurement of " in path):
        yield f"in no claim, pair or table: {path}"
    yield from measured.notes
