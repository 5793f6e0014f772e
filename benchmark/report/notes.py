"""Notes of a report: the runs that are missing from its parts, and the reasons."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shlex import quote

from benchmark.hypotheses.results import Results
from benchmark.report.data import PairView, RunComparison, RunView
from benchmark.runs.store.runs import FinishedRun


def report_notes(
    views: Sequence[RunView],
    comparisons: Sequence[RunComparison],
    pairs: Sequence[PairView],
    measured: Results,
    unfinished: Iterable[Path],
) -> tuple[str, ...]:
    """Return one line per run or pair that is missing from a part of the report."""
    return (
        *(_unfinished_note(path) for path in unfinished),
        *_run_notes([view.run for view in views], measured),
        *_comparison_notes(views, comparisons),
        *_pair_notes(pairs, measured),
        *measured.notes,
    )


def _unfinished_note(path: Path) -> str:
    """Return how to resume a run, which may have been moved since it was begun."""
    return f"{path}: not finished; to resume, repeat its command with --out {quote(str(path))}"


def _run_notes(runs: Sequence[FinishedRun], measured: Results) -> Iterator[str]:
    """Name the runs that are missing from the states, claims, pairs or tables."""
    for run in runs:
        if not run.texts:
            yield f"{run.label}: no predictions.jsonl next to its result; not among the states"
        if run.registered is None:
            yield f"{run.label}: not in the registry; in no claim, pair or table of the paper"
    registered = [f"{run.path / 'result.json'}: " for run in runs if run.registered]
    for entry in measured.ignored:
        if entry.startswith(tuple(registered)):
            yield f"in no claim, pair or table of the paper: {entry}"


def _comparison_notes(
    views: Sequence[RunView], comparisons: Sequence[RunComparison]
) -> Iterator[str]:
    """Name the runs that are compared with no other run."""
    compared = [view for pair in comparisons for view in (pair.base, pair.variant)]
    for view in views:
        others = [other for other in views if other is not view]
        if not others or any(view is other for other in compared):
            continue
        same_states = any(other.run.result.data == view.run.result.data for other in others)
        reason = (
            "no query of its states has one or more operations"
            if same_states
            else "no other run has the same states"
        )
        yield f"{view.run.label}: not compared with another run: {reason}"


def _pair_notes(pairs: Sequence[PairView], measured: Results) -> Iterator[str]:
    """Name the pairs whose models were both measured, but not on the same states."""
    for view in pairs:
        base, variant = measured.of(view.pair.base), measured.of(view.pair.variant)
        if base and variant and base.data != variant.data:
            yield (
                f"{view.base.model.name} and {view.variant.model.name}: not compared as the pair "
                f"{view.pair.id}: they were measured on different states"
            )
