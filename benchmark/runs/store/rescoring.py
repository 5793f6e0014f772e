"""Score the predictions of a stored result again.

Results of older versions have only the ``set`` score, and the random baseline by another reading;
the rest is computed from the predictions. Whether an answer keeps the format is stored in no
result and is always computed from them.
"""

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import DataError, LanguageError, RuleError
from benchmark.records import Outcome, State
from benchmark.scoring.predictions import read_predictions
from benchmark.tasks import Task, by_score


@dataclass(frozen=True, slots=True)
class Rescored:
    """Outcomes by every score, and the random baseline in 0..1 by reading and numops.

    The outcomes by ``format`` have one query per state, with numops 0: whether the answer keeps
    the format.
    """

    outcomes: Mapping[str, tuple[Outcome, ...]]
    chance: Mapping[str, Mapping[int, float]]


def rescore(task: Task, stored: Sequence[Outcome], predictions: Path) -> Rescored | None:
    """Score the predictions of a result again; return None if they are of other states.

    A finished run has its predictions in the order of its states. In this order they are accepted
    even if their ``set`` outcomes differ from the stored ones, as after a change of the rules. In
    another order they are matched by their outcomes, and states with the same numops and outcomes
    may be confused.

    ``stored`` are the ``set`` outcomes of the result.

    Raises:
        DataError: when the file was not written by ``run``.
    """
    texts = read_predictions(predictions, regular=True)
    states = [_state(task, description, predictions) for description in texts]
    judged = [task.judge(*pair) for pair in zip(states, texts.values(), strict=True)]
    if not judged:
        return None
    outcomes = by_score(judged)
    order = _order(stored, outcomes["set"]) or _same_order(stored, outcomes["set"])
    if order is None:
        return None
    outcomes["format"] = tuple(Outcome(0, (0,), (task.keeps_format(t.text),)) for t in judged)
    return Rescored(
        {score: _in_order(stored, scored, order) for score, scored in outcomes.items()},
        _chance(task, states),
    )


def _state(task: Task, description: str, source: Path) -> State:
    try:
        return task.state(description)  # its sequence is not in the file
    except (LanguageError, RuleError) as error:
        raise DataError(f"{source}: {error}") from error


def _order(stored: Sequence[Outcome], rescored: Sequence[Outcome]) -> list[int] | None:
    """Return for each stored outcome the index of the first equal one that is not used yet."""
    indices = defaultdict[object, deque[int]](deque)
    for index, outcome in enumerate(rescored):
        indices[outcome.numops, outcome.correct].append(index)
    queues = [indices[outcome.numops, outcome.correct] for outcome in stored]
    if len(stored) != len(rescored):
        return None
    order = [queue.popleft() for queue in queues if queue]
    return order if len(order) == len(stored) else None


def _same_order(stored: Sequence[Outcome], rescored: Sequence[Outcome]) -> list[int] | None:
    """Return the indices in order, if both have the same numops in the same order."""
    alike = [one.numops for one in stored] == [other.numops for other in rescored]
    return list(range(len(stored))) if alike else None


def _in_order(
    stored: Sequence[Outcome], outcomes: Sequence[Outcome], order: Sequence[int]
) -> tuple[Outcome, ...]:
    pairs = zip(stored, order, strict=True)
    return tuple(replace(outcomes[index], sample_id=old.sample_id) for old, index in pairs)


def _chance(task: Task, states: Sequence[State]) -> dict[str, dict[int, float]]:
    return {
        name: {
            int(n): percent / 100
            for n, percent in baseline["by_numops"].items()
            if percent is not None
        }
        for name, baseline in task.baselines(states).items()
    }
