"""Which types of error grew between two records."""

from collections.abc import Mapping, Sequence

from benchmark.errors import LanguageError
from benchmark.fingerprints.alignment import StateAlignment
from benchmark.fingerprints.record import Fingerprint
from benchmark.records import Answer, State
from benchmark.scoring.error_types import BY_NAME, are_codes
from benchmark.stats.constants import fresh_rng
from benchmark.stats.error_contrast import TypeContrast, contrast_errors
from benchmark.tasks import Task
from benchmark.terminal import p_value


def recorded_errors(
    task: Task, answers: Sequence[Answer], states: Sequence[State]
) -> tuple[str, ...]:
    """Return the types of error of each state, for a record.

    None if a description is not in the task's language: the record then shows, as every stage does,
    what is asked and answered, and the stage of the dataset shows the cause.
    """
    try:
        return task.errors(answers, states)
    except LanguageError:
        return ()


def error_changes(
    old: Fingerprint, new: Fingerprint, alignment: StateAlignment
) -> dict[str, TypeContrast]:
    """Return the change of each type of error, on the states with the same queries.

    Empty if no type changed, or if one of the records has no types or has types of another version.
    """
    if not (old.errors and new.errors and are_codes(old.errors) and are_codes(new.errors)):
        return {}
    before, after = old.outcomes, new.outcomes
    pairs = [
        (one, other)
        for one, other in alignment.pairs
        if (before[one].sample_id, before[one].numops)
        == (after[other].sample_id, after[other].numops)
    ]
    codes = [(old.errors[one], new.errors[other]) for one, other in pairs]
    if all(was == now for was, now in codes):
        return {}
    outcomes = [before[one] for one, _ in pairs]
    first, second = ([side[n] for side in codes] for n in (0, 1))
    changes = contrast_errors(outcomes, first, second, fresh_rng)
    return {name: change for name, change in changes.items() if change.changed}


def error_change_line(changes: Mapping[str, TypeContrast]) -> str:
    """Return the growth of each type that changed, the largest first, with p-values by Holm."""
    ordered = sorted(changes.items(), key=lambda item: -abs(item[1].growth))
    words = (
        f"{BY_NAME[name].title} {change.growth:+d} (p {p_value(change.adjusted)})"
        for name, change in ordered
    )
    return f"types of error: {', '.join(words)}"
