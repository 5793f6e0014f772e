"""Answers against gold by each score, and outcomes in the documents that are kept of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, digits
from types import MappingProxyType

from benchmark.boxes.language import items
from benchmark.errors import DataError
from benchmark.records import Answer, Outcome, Query, State

_DIGITS = digits + ascii_lowercase


def same_set(answer: Answer, query: Query) -> bool:
    """Whether the objects given for the box are the gold set, whole words compared."""
    return answer.contents[query.box] == frozenset(query.gold)


def same_text(answer: Answer, query: Query) -> bool:
    """Whether the words given for the box are those of the gold statement, as they are.

    Order, repetition and a missing ``the`` count as wrong. Table 6 was most likely scored so:
    the authors' metrics script compares strings where it is run as their README says.
    """
    return answer.verbatim[query.box] == items(query.gold)


@dataclass(frozen=True, slots=True)
class Score:
    """A score: whether an answer is right about a query, and for that what it has to have."""

    right: Callable[[Answer, Query], bool]
    words: str

    def outcome(self, answer: Answer, state: State) -> Outcome:
        """Return which queries of a state the answer has right."""
        correct = tuple(self.right(answer, query) for query in state.queries)
        return Outcome(state.sample_id, tuple(query.numops for query in state.queries), correct)


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "set": Score(same_set, "the same objects"),
        "exact": Score(same_text, "the same words in the same order"),
    }
)
"""The scores by name: ``set`` is the main measure, ``exact`` the one comparable with Table 6."""

MAIN, PUBLISHED = "set", "exact"
"""The main measure, and the score that is compared with published figures."""

OTHERS = tuple(by for by in SCORES if by != MAIN)
"""The scores beside the main measure."""


def main_first(parts: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return one object of what each score says: the main one's as it is, others by name."""
    others = {by: dict(part) for by, part in parts.items() if by != MAIN}
    return {**parts.get(MAIN, {}), **others}


def score(answer: Answer, state: State, by: str = "set") -> Outcome:
    """Return which queries of a state the answer has right, by the score of that name."""
    return SCORES[by].outcome(answer, state)


def outcomes_as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return the outcomes, one entry per state in each list, one character per query.

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


def read_outcomes(
    document: Mapping[str, object], source: str = "result", by: str = "set"
) -> list[Outcome]:
    """Return the outcomes by one score; the inverse of :func:`outcomes_as_json` for ``set``.

    The document has the others under the score's name, with the sequences and numops of ``set``.

    Raises:
        DataError: naming the source, when the fields are missing or do not fit each other.
    """
    try:
        whole = document if by == "set" else {**document, **_object(document[by])}
        columns = [whole[name] for name in ("sequences", "numops", "outcomes")]
        rows = zip(*(_list(column) for column in columns), strict=True)
        return [_outcome(*row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{source}: sequences, numops and outcomes do not fit together ({error}); measure again"
        ) from error


def outcomes_by_score(
    scores: Mapping[str, Sequence[Outcome]],
) -> dict[str, dict[str, object]]:
    """Return the outcomes as JSON by score; sequences and numops, which are the same, but once."""
    columns = {by: outcomes_as_json(outcomes) for by, outcomes in scores.items()}
    return {
        by: part if by == MAIN else {"outcomes": part["outcomes"]} for by, part in columns.items()
    }


def read_scores(
    document: Mapping[str, object], source: str = "result"
) -> dict[str, tuple[Outcome, ...]]:
    """Return the outcomes by every score that the document has; older ones have ``set`` alone.

    Raises:
        DataError: as :func:`read_outcomes`.
    """
    there = [by for by in SCORES if by == MAIN or by in document]
    return {by: tuple(read_outcomes(document, source, by)) for by in there}


def _object(part: object) -> dict[str, object]:
    if not isinstance(part, dict):
        raise TypeError(f"not an object: {part!r:.40}")
    return part


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
