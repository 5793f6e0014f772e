"""Answers against gold, and outcomes in the documents that are kept of them."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase, digits

from benchmark.errors import DataError
from benchmark.records import Answer, Outcome, State

_DIGITS = digits + ascii_lowercase


def score(answer: Answer, state: State) -> Outcome:
    """Right where the set of objects given for the box is the gold set, whole words compared."""
    correct = tuple(answer.contents[query.box] == frozenset(query.gold) for query in state.queries)
    return Outcome(state.sample_id, tuple(query.numops for query in state.queries), correct)


def outcomes_as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The outcomes, one entry a state in each list, one character a query.

    ``sequences`` are the clusters, ``numops`` digits to the base 36, ``outcomes`` 1 for right.

    Raises:
        DataError: when more than 35 operations changed one box.
    """
    if any(n >= len(_DIGITS) for outcome in outcomes for n in outcome.numops):
        raise DataError("more than 35 operations changed one box; such results cannot be kept")
    return {
        "sequences": [outcome.sample_id for outcome in outcomes],
        "numops": ["".join(map(_DIGITS.__getitem__, outcome.numops)) for outcome in outcomes],
        "outcomes": ["".join(str(int(right)) for right in outcome.correct) for outcome in outcomes],
    }


def read_outcomes(document: Mapping[str, object], source: str = "result") -> list[Outcome]:
    """The inverse of :func:`outcomes_as_json`, on any document that holds these fields.

    Raises:
        DataError: naming the source, when the fields are missing or do not fit each other.
    """
    try:
        columns = [document[name] for name in ("sequences", "numops", "outcomes")]
        rows = zip(*(_list(column) for column in columns), strict=True)
        return [_outcome(*row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{source}: sequences, numops and outcomes do not fit together ({error}); measure again"
        ) from error


def _list(column: object) -> list[object]:
    if not isinstance(column, list):
        raise TypeError(f"not a list: {column!r:.40}")
    return column


def _outcome(sequence: object, numops: object, correct: object) -> Outcome:
    if not (isinstance(sequence, int) and isinstance(numops, str) and isinstance(correct, str)):
        raise TypeError(f"not an entry of a state: {(sequence, numops, correct)!r:.60}")
    if len(numops) != len(correct) or set(correct) - set("01"):
        raise ValueError(f"numops {numops} and outcomes {correct}")
    return Outcome(
        sequence,
        tuple(int(digit, len(_DIGITS)) for digit in numops),
        tuple(right == "1" for right in correct),
    )
