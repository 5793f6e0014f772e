"""Score answers against gold, and write and read outcomes as documents."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, digits
from types import MappingProxyType

from benchmark.boxes.language import items
from benchmark.errors import DataError
from benchmark.records import Answer, Outcome, Query, State

_DIGITS = digits + ascii_lowercase


def same_set(answer: Answer, query: Query) -> bool:
    """Return whether the objects in the answer are the gold set, comparing whole words."""
    return answer.contents[query.box] == frozenset(query.gold)


def same_text(answer: Answer, query: Query) -> bool:
    """Return whether the answer has the words of the gold statement for the box, unchanged.

    Another order, a repetition or a missing ``the`` is wrong. Table 6 was most likely scored in
    this way: the authors' metrics script compares strings if it is run as their README says.
    """
    return answer.verbatim[query.box] == items(query.gold)


@dataclass(frozen=True, slots=True)
class Score:
    """A score: the function that decides whether an answer is right, and its rule in words."""

    right: Callable[[Answer, Query], bool]
    words: str

    def outcome(self, answer: Answer, state: State) -> Outcome:
        """Return which queries of a state are right in the answer."""
        correct = tuple(self.right(answer, query) for query in state.queries)
        return Outcome(state.sample_id, tuple(query.numops for query in state.queries), correct)


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "set": Score(same_set, "the same objects"),
        "exact": Score(same_text, "the same words in the same order"),
    }
)
"""The scores by name. ``set`` is the main measure, ``exact`` is comparable with Table 6."""

MAIN, PUBLISHED = "set", "exact"
"""The main measure, and the score to compare with published figures."""

OTHERS = tuple(by for by in SCORES if by != MAIN)
"""All scores except the main measure."""


def main_first(parts: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Merge the fields of all scores: the main score's at the top, the others under their names."""
    others = {by: dict(part) for by, part in parts.items() if by != MAIN}
    return {**parts.get(MAIN, {}), **others}


def score(answer: Answer, state: State, by: str = "set") -> Outcome:
    """Return which queries of a state are right in the answer, by the score of that name."""
    return SCORES[by].outcome(answer, state)


def outcomes_as_json(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return the outcomes, one entry per state in each list, one character per query.

    ``sequences`` are the clusters, ``numops`` are digits in base 36, ``outcomes`` are 1 for right.

    Raises:
        DataError: if more than 35 operations changed one box.
    """
    if any(n >= len(_DIGITS) for outcome in outcomes for n in outcome.numops):
        raise DataError("more than 35 operations changed one box; such results cannot be stored")
    return {
        "sequences": [outcome.sample_id for outcome in outcomes],
        "numops": ["".join(map(_DIGITS.__getitem__, outcome.numops)) for outcome in outcomes],
        "outcomes": ["".join(str(int(right)) for right in outcome.correct) for outcome in outcomes],
    }


def read_outcomes(
    document: Mapping[str, object], source: str = "result", by: str = "set"
) -> list[Outcome]:
    """Return the outcomes by one score; the inverse of :func:`outcomes_as_json` for ``set``.

    Another score has its outcomes under its name, and shares the sequences and numops of ``set``.

    Raises:
        DataError: naming the source, if fields are missing or inconsistent.
    """
    try:
        merged = document if by == "set" else {**document, **_object(document[by])}
        columns = [merged[name] for name in ("sequences", "numops", "outcomes")]
        rows = zip(*(_list(column) for column in columns), strict=True)
        return [_outcome(*row) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{source}: sequences, numops and outcomes are inconsistent ({error}); measure again"
        ) from error


def outcomes_by_score(
    scores: Mapping[str, Sequence[Outcome]],
) -> dict[str, dict[str, object]]:
    """Return the outcomes as JSON by score; only ``set`` has the shared sequences and numops."""
    documents = {by: outcomes_as_json(outcomes) for by, outcomes in scores.items()}
    return {
        by: document if by == MAIN else {"outcomes": document["outcomes"]}
        for by, document in documents.items()
    }


def read_scores(
    document: Mapping[str, object], source: str = "result"
) -> dict[str, tuple[Outcome, ...]]:
    """Return the outcomes by every score in the document; older documents have only ``set``.

    Raises:
        DataError: as :func:`read_outcomes`.
    """
    names = [by for by in SCORES if by == MAIN or by in document]
    return {by: tuple(read_outcomes(document, source, by)) for by in names}


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"not an object: {value!r:.40}")
    return value


def _list(column: object) -> list[object]:
    if not isinstance(column, list):
        raise TypeError(f"not a list: {column!r:.40}")
    return column


def _outcome(sequence: object, numops: object, correct: object) -> Outcome:
    if not (type(sequence) is int and isinstance(numops, str) and isinstance(correct, str)):
        raise TypeError(f"not an entry of a state: {(sequence, numops, correct)!r:.60}")
    if len(numops) != len(correct) or set(correct) - set("01"):
        raise ValueError(f"numops {numops} and outcomes {correct}")
    return Outcome(
        sequence,
        tuple(int(digit, len(_DIGITS)) for digit in numops),
        tuple(right == "1" for right in correct),
    )
