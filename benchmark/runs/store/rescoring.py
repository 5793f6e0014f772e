"""What the predictions beside a result say when they are read and scored again.

Results of older versions have the ``set`` score alone and the random baseline by another reading;
what is missing is worked out from the predictions. Whether an answer keeps the format is in no
result, and always worked out from them.
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
    """Score the predictions of a result again; None if they are not of its states.

    A finished run has its predictions in the order of its states. In any other order, states with
    the same numops and the same boxes right may be taken for each other. In that order they are
    taken also if they lead to other ``set`` outcomes, as texts do after a change of the rules.

    Args:
        task: what the states are of.
        stored: the outcomes by ``set`` that the result has.
        predictions: the file beside it.

    Raises:
        DataError: when the file is not what ``run`` writes.
    """
    texts = read_predictions(predictions)
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
        {by: _in_order(stored, some, order) for by, some in outcomes.items()}, _chance(task, states)
    )


def _state(task: Task, description: str, source: Path) -> State:
    try:
        return task.state(description)  # of which sequence it is is not told there
    except (LanguageError, RuleError) as error:
        raise DataError(f"{source}: {error}") from error


def _order(stored: Sequence[Outcome], found: Sequence[Outcome]) -> list[int] | None:
    """For each stored outcome the number of the first equal one that is left."""
    places = defaultdict[object, deque[int]](deque)
    for place, outcome in enumerate(found):
        places[outcome.numops, outcome.correct].append(place)
    queues = [places[outcome.numops, outcome.correct] for outcome in stored]
    if len(stored) != len(found):
        return None
    order = [queue.popleft() for queue in queues if queue]
    return order if len(order) == len(stored) else None


def _same_order(stored: Sequence[Outcome], found: Sequence[Outcome]) -> list[int] | None:
    """The places as they are, if both have the same numops in the same order."""
    alike = [each.numops for each in stored] == [each.numops for each in found]
    return list(range(len(stored))) if alike else None


def _in_order(
    stored: Sequence[Outcome], outcomes: Sequence[Outcome], order: Sequence[int]
) -> tuple[Outcome, ...]:
    pairs = zip(stored, order, strict=True)
    return tuple(replace(outcomes[place], sample_id=each.sample_id) for each, place in pairs)


def _chance(task: Task, states: Sequence[State]) -> dict[str, dict[int, float]]:
    return {
        name: {
            int(n): percent / 100
            for n, percent in found["by_numops"].items()
            if percent is not None
        }
        for name, found in task.baselines(states).items()
    }
