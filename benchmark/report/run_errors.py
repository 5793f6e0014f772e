"""What went wrong in finished runs, from their predictions."""

from collections.abc import Iterable, Sequence
from itertools import count

from benchmark.records import Outcome
from benchmark.report.data import RunErrors, RunView, ScoredAnswer, StateView
from benchmark.runs.store.runs import FinishedRun
from benchmark.stats.constants import fresh_rng
from benchmark.stats.error_contrast import TypeContrast, contrast_errors
from benchmark.stats.error_summary import AnsweredState, summarize_errors


def run_errors(views: Sequence[RunView], states: Iterable[StateView]) -> tuple[RunErrors, ...]:
    """Return what went wrong in each run; runs without predictions are left out."""
    by_description = {view.state.description: view for view in states}
    results = []
    for number, view in enumerate(views):
        run_states = [by_description[description] for description in view.run.texts]
        pairs = [(state, answer) for state in run_states if (answer := state.answers[number])]
        if pairs:
            results.append(RunErrors(view, summarize_errors(_answered(view.run, pairs))))
    return tuple(results)


def contrasts_of(base: RunErrors, variant: RunErrors) -> dict[str, TypeContrast]:
    """Return which types of error grew from one run to another on the same states.

    Empty if the states differ, or their order.
    """
    one, other = base.view.run, variant.view.run
    if one.result.data != other.result.data or list(one.texts) != list(other.texts):
        return {}
    codes = (base.summary.codes, variant.summary.codes)
    return contrast_errors(one.result.outcomes or (), *codes, fresh_rng)


def _answered(
    run: FinishedRun, pairs: Sequence[tuple[StateView, ScoredAnswer]]
) -> Iterable[AnsweredState]:
    """Yield the states; one of an unknown sequence counts with those of the same beginning."""
    numbers = count()
    by_beginning = dict[str, int]()
    for (view, answer), sequence in zip(pairs, sequences(run, pairs), strict=True):
        beginning = view.state.description.partition(".")[0]
        if sequence is None and beginning not in by_beginning:
            by_beginning[beginning] = next(numbers)
        cluster = by_beginning[beginning] if sequence is None else sequence
        yield AnsweredState(cluster, view.state, view.history, answer.answer, answer.codes)


def sequences(
    run: FinishedRun, pairs: Sequence[tuple[StateView, ScoredAnswer]]
) -> Sequence[int | None]:
    """Return the sequence of each state, the cluster of statistics; None if it is unknown.

    Predictions do not name the sequence, but a result has the sequences in the order of the data,
    and a finished run has its predictions in the same order. They are matched by order if all
    outcomes agree and the states of a sequence have the same initial contents. Otherwise the
    sequence is unknown.
    """
    stored: tuple[Outcome, ...] = run.result.outcomes or ()
    stored_outcomes = [(outcome.numops, outcome.correct) for outcome in stored]
    if stored_outcomes != [(a.outcome.numops, a.outcome.correct) for _, a in pairs]:
        return [None] * len(pairs)
    starts = {
        (outcome.sample_id, view.state.description.partition(".")[0])
        for outcome, (view, _) in zip(stored, pairs, strict=True)
    }
    if len(starts) > len({sample_id for sample_id, _ in starts}):
        return [None] * len(pairs)
    return [outcome.sample_id for outcome in stored]
