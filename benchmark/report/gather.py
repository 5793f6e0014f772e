"""Gathering the data of a report from published results and finished runs."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from benchmark.boxes.histories import StateHistory
from benchmark.errors import DataError, LanguageError, RuleError
from benchmark.fingerprints.summary import read_comparison
from benchmark.hypotheses.claims import audit
from benchmark.hypotheses.pair_verdict import judge_tests, published_difference, published_model
from benchmark.hypotheses.pooled import pooled_experiments
from benchmark.hypotheses.results import Result, Results, published_results
from benchmark.models.published import published, random_row
from benchmark.models.registry import registry
from benchmark.models.registry_types import Pair, RegisteredModel, Registry
from benchmark.reading.documents import read_json
from benchmark.records import Outcome, State
from benchmark.report.data import (
    Audit,
    ModelView,
    PairView,
    ReportData,
    RunComparison,
    RunErrors,
    RunView,
    ScoredAnswer,
    StateView,
)
from benchmark.report.notes import report_notes
from benchmark.report.run_errors import contrasts_of, run_errors
from benchmark.runs.store.results import results_of, unfinished_runs
from benchmark.runs.store.runs import FinishedRun, read_runs
from benchmark.scoring.counts import Counts
from benchmark.scoring.outcomes import SCORES
from benchmark.stats.constants import fresh_rng
from benchmark.stats.intervals import normal_interval
from benchmark.stats.paired import PairedTests, paired_tests
from benchmark.stats.summary import Estimate, Summary, summarize
from benchmark.tasks import Task, task_of

PUBLISHED = "the published results (Table 6)"


def gather(
    folders: Sequence[Path], run_registry: Registry, drift: Sequence[Path] = ()
) -> ReportData:
    """Return the data of a report.

    Args:
        folders: folders with finished runs in or below them; without any, the report has only the
            published results.
        run_registry: the models and pairs that runs are looked up in.
        drift: JSON files that ``compare --json-file`` wrote.

    Raises:
        DataError: if a folder or file has unexpected contents.
    """
    runs = read_runs(folders, run_registry)
    measured = results_of([run.path / "result.json" for run in runs], run_registry)
    views = run_views(runs)
    pairs = tuple(_pair_views(run_registry, measured))
    states = tuple(answered_states(runs))
    errors = run_errors(views, states)
    comparisons = tuple(_comparisons(views, errors))
    unfinished = dict.fromkeys(path for folder in folders for path in unfinished_runs(folder))
    return ReportData(
        created=datetime.now(UTC),
        runs=views,
        models=tuple(_model_views(run_registry, measured)),
        pairs={view.pair.id: view for view in pairs},
        audits=tuple(_audits(measured)),
        comparisons=comparisons,
        states=states,
        chance={numops: percent / 100 for numops, percent in random_row().items()},
        drift=tuple(read_comparison(read_json(path), path) for path in drift),
        notes=report_notes(views, comparisons, pairs, measured, unfinished),
        errors=errors,
    )


def run_views(runs: Sequence[FinishedRun]) -> tuple[RunView, ...]:
    """Return the runs with their summaries and tasks.

    Raises:
        DataError: if a run has an unknown task.
    """
    return tuple(RunView(run, _summaries(run.result), _task(run).name) for run in runs)


def _task(run: FinishedRun) -> Task:
    return task_of(run.document, str(run.path))


def _model_views(run_registry: Registry, measured: Results) -> Iterator[ModelView]:
    """Yield the paper's models, then other measured ones."""
    for model in registry().models.values():
        if model.paper:
            yield _model_view(model, measured)
    for model in run_registry.models.values():
        if not model.paper and measured.of(model.key):
            yield _model_view(model, measured)


def _model_view(model: RegisteredModel, measured: Results) -> ModelView:
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
    """Return the result's outcomes by score, for every score that it has."""
    by_score = dict[str, Result](result.others.items()) | {result.score: result}
    return {
        score: by_score[score].outcomes or ()
        for score in SCORES
        if score in by_score and by_score[score].outcomes
    }


def _summaries(result: Result) -> dict[str, Summary]:
    return {score: summarize(outcomes) for score, outcomes in _outcomes(result).items()}


def published_summary(counts: Counts) -> Summary:
    """Return counts with the paper's own intervals, which treat queries as independent."""

    def estimate(numops: Sequence[int]) -> Estimate:
        tally = Counts({n: counts.by_numops[n] for n in numops}).overall
        return Estimate(tally, normal_interval(tally))

    all_numops = sorted(counts.by_numops)
    return Summary(
        overall=estimate(all_numops),
        nontrivial=estimate([n for n in all_numops if n >= 1]),
        by_numops={n: estimate([n]) for n in all_numops},
    )


def _pair_views(run_registry: Registry, measured: Results) -> Iterator[PairView]:
    """Yield the paper's pairs, then other pairs with a measured model."""
    for pair in registry().pairs.values():
        if pair.paper:
            yield _pair_view(pair, registry(), measured)
    for pair in run_registry.pairs.values():
        if not pair.paper and (measured.of(pair.base) or measured.of(pair.variant)):
            yield _pair_view(pair, run_registry, measured)


def _pair_view(pair: Pair, models: Registry, measured: Results) -> PairView:
    base, variant = (_model_view(models.models[key], measured) for key in (pair.base, pair.variant))
    tests = _pair_tests(pair, measured)
    nontrivial = {score: paired.nontrivial for score, paired in tests.items()}
    verdict = judge_tests(pair, nontrivial) if tests else None
    return PairView(
        pair,
        base,
        variant,
        published_difference(pair) if base.published and variant.published else None,
        tests,
        verdict,
    )


def _pair_tests(pair: Pair, measured: Results) -> dict[str, PairedTests]:
    """Return the pair's tests by score; empty unless both were measured on the same states."""
    base, variant = measured.of(pair.base), measured.of(pair.variant)
    if base is None or variant is None or base.data != variant.data:
        return {}
    return _tests(base, variant)


def _tests(base: Result, variant: Result) -> dict[str, PairedTests]:
    """Return the paired tests of two results on the same states, by the scores that both have."""
    if not any(n >= 1 for n in base.by_numops):
        return {}
    base_outcomes, variant_outcomes = _outcomes(base), _outcomes(variant)
    return {
        score: paired_tests(base_outcomes[score], variant_outcomes[score], fresh_rng)
        for score in SCORES
        if score in base_outcomes and score in variant_outcomes
    }


@cache
def _published_audit() -> Audit:
    return _audit(PUBLISHED, published_results(published().values()))


def _audit(source: str, results: Results) -> Audit:
    return Audit(source, tuple(audit(results)), tuple(pooled_experiments(results)))


def _audits(measured: Results) -> Iterator[Audit]:
    yield _published_audit()
    models = registry().models
    if any(entry.model in models and models[entry.model].paper for entry in measured.entries):
        yield _audit("the runs of this report", measured)


def _comparisons(views: Sequence[RunView], errors: Sequence[RunErrors]) -> Iterator[RunComparison]:
    """Yield the comparison of each run with the first run on the same states."""
    first_runs: dict[str, RunView] = {}
    by_view = {id(one.view): one for one in errors}
    for view in views:
        base = first_runs.setdefault(view.run.result.data, view)
        if base is not view and (tests := _tests(base.run.result, view.run.result)):
            sides = by_view.get(id(base)), by_view.get(id(view))
            changes = contrasts_of(sides[0], sides[1]) if sides[0] and sides[1] else {}
            yield RunComparison(base, view, tests, changes)


def answered_states(runs: Sequence[FinishedRun]) -> list[StateView]:
    """Return every state that has a prediction, with each run's answer to it.

    Raises:
        DataError: if a prediction is not about a state, or predictions do not yield the result of
            their run.
    """
    states: dict[str, State] = {}
    tasks: dict[str, Task] = {}
    histories: dict[str, StateHistory] = {}
    answers: list[dict[str, ScoredAnswer]] = []
    for run in runs:
        task = _task(run)
        for description in run.texts:
            if description not in states:
                states[description] = _parse_state(task, description, run)
                tasks[description] = task
                histories[description] = task.history(description)
        answers.append(
            {d: _score(task, text, states[d], histories[d]) for d, text in run.texts.items()}
        )
        _check_predictions(run, list(answers[-1].values()))
    return [
        StateView(tasks[d], state, histories[d], tuple(run.get(d) for run in answers))
        for d, state in states.items()
    ]


def _parse_state(task: Task, description: str, run: FinishedRun) -> State:
    try:
        return task.state(description)  # predictions do not name the state's sequence
    except (LanguageError, RuleError) as error:
        raise DataError(f"{run.path / 'predictions.jsonl'}: {error}") from error


def _score(task: Task, text: str, state: State, history: StateHistory) -> ScoredAnswer:
    judged = task.judge(state, text)
    codes = task.error_codes(judged.answer, history)
    return ScoredAnswer(text, judged.answer, judged.outcomes, codes)


def _check_predictions(run: FinishedRun, answers: Sequence[ScoredAnswer]) -> None:
    """Refuse predictions that do not yield the stored result, by each of its scores.

    They are in the order of the states. A result without ``exact`` is from an older version, whose
    rules may have read some answers differently: its predictions must be of the same states, in any
    order, and the result's note names the difference.
    """
    of_this_version = "exact" in run.document

    def comparable(outcomes: Iterable[Outcome]) -> list[tuple[object, object]]:
        if of_this_version:
            return [(outcome.numops, outcome.correct) for outcome in outcomes]
        return sorted((outcome.numops, ()) for outcome in outcomes)

    stored = {score: comparable(outcomes) for score, outcomes in _outcomes(run.result).items()}
    scored = {score: comparable(answer.outcomes[score] for answer in answers) for score in stored}
    if answers and scored != stored:
        raise DataError(
            f"{run.path}: predictions.jsonl does not lead to result.json: one of the files was "
            "changed; measure again, or leave this run out"
        )
