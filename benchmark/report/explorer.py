"""States and answers for the page's explorer: compact, with each word and text stored once."""

from collections.abc import Iterable, Sequence

from benchmark.boxes.states import replay, state_id
from benchmark.records import Contents, Operation, Outcome
from benchmark.report.data import RunView, ScoredAnswer, StateView
from benchmark.scoring.error_types import ERROR_TYPES
from benchmark.scoring.outcomes import MAIN, PUBLISHED

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class StringTable:
    """Distinct texts with an index each, in the order of their first occurrence."""

    def __init__(self) -> None:
        """Create an empty table."""
        self._indices: dict[str, int] = {}

    def index(self, text: str) -> int:
        """Return the text's index, adding the text if it is new."""
        return self._indices.setdefault(text, len(self._indices))

    @property
    def texts(self) -> list[str]:
        """The texts in the order of their indices."""
        return list(self._indices)


def explorer(runs: Sequence[RunView], states: Sequence[StateView]) -> dict[str, object]:
    """Return the explorer's data as a JSON object.

    ``states`` has ``[id, initial, operations, gold, numops]`` per state. Contents are lists of
    indices into ``words``. An operation is its sentence and the boxes that it names; ``numops``
    has one base-36 digit per query. ``answers`` has one list per run with one entry per state:
    null, or ``[text, outcomes, contents by box, exact outcomes, types]``, where ``text`` is an
    index into ``texts``, the contents of a box without an answer are null, and ``types`` has the
    letter of each type of error, whose names are in ``errors``.
    """
    words, texts = StringTable(), StringTable()
    return {
        "runs": [view.title for view in runs],
        "states": [_state(view, words) for view in states],
        "answers": [
            [_answer(view.answers[number], words, texts) for view in states]
            for number in range(len(runs))
        ],
        "errors": {error.code: error.title for error in ERROR_TYPES},
        "words": words.texts,
        "texts": texts.texts,
    }


def _state(view: StateView, words: StringTable) -> list[object]:
    initial, operations = view.task.operations(view.state.description)
    sentence = view.task.language.sentence
    worlds = replay(initial, operations, view.task.language)
    return [
        state_id(view.state.description),
        [_contents(objects, words) for objects in initial],
        [[sentence(*step), _boxes(step[0])] for step in zip(operations, worlds, strict=False)],
        [_contents(query.gold, words) for query in view.state.queries],
        "".join(_DIGITS[query.numops] for query in view.state.queries),
    ]


def _answer(
    answer: ScoredAnswer | None, words: StringTable, texts: StringTable
) -> list[object] | None:
    if answer is None:
        return None
    return [
        texts.index(answer.text),
        _outcome_digits(answer.outcomes[MAIN]),
        [
            None if objects is None else _contents(sorted(objects), words)
            for objects in answer.answer.contents
        ],
        _outcome_digits(answer.outcomes[PUBLISHED]),
        answer.codes,
    ]


def _outcome_digits(outcome: Outcome) -> str:
    return "".join(str(int(correct)) for correct in outcome.correct)


def _contents(objects: Contents | Iterable[str], words: StringTable) -> list[int]:
    return [words.index(name) for name in objects]


def _boxes(operation: Operation) -> list[int]:
    return [box for box in (operation.source, operation.destination) if box is not None]
