"""States and answers as the page's explorer reads them: compact, each word and text once."""

from collections.abc import Iterable, Sequence

from benchmark.boxes.states import replay, state_id
from benchmark.records import Contents, Operation, Outcome
from benchmark.report.data import Answered, RunView, StateView
from benchmark.scoring.outcomes import MAIN, PUBLISHED

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class Numbered:
    """Texts by the number of their first coming."""

    def __init__(self) -> None:
        """None yet."""
        self._numbers: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The text's number, a new one where it is new."""
        return self._numbers.setdefault(text, len(self._numbers))

    @property
    def all(self) -> list[str]:
        """The texts in the order of their numbers."""
        return list(self._numbers)


def explorer(runs: Sequence[RunView], states: Sequence[StateView]) -> dict[str, object]:
    """The document: ``states`` as ``[id, initial, operations, gold, numops]``, and ``answers``.

    Contents are lists of numbers of ``words``. An operation is its sentence and the boxes that
    it names; ``numops`` has a digit to the base 36 a query. ``answers`` has an entry a run: for
    each state null, or ``[text, outcomes, contents by box, exact outcomes]``, where ``text`` is a
    number of ``texts`` and a box that is not answered for is null.
    """
    words, texts = Numbered(), Numbered()
    return {
        "runs": [view.run.label for view in runs],
        "states": [_state(view, words) for view in states],
        "answers": [
            [_answer(view.answers[number], words, texts) for view in states]
            for number in range(len(runs))
        ],
        "words": words.all,
        "texts": texts.all,
    }


def _state(view: StateView, words: Numbered) -> list[object]:
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


def _answer(answered: Answered | None, words: Numbered, texts: Numbered) -> list[object] | None:
    if answered is None:
        return None
    return [
        texts.of(answered.text),
        _digits(answered.outcomes[MAIN]),
        [
            None if said is None else _contents(sorted(said), words)
            for said in answered.answer.contents
        ],
        _digits(answered.outcomes[PUBLISHED]),
    ]


def _digits(outcome: Outcome) -> str:
    return "".join(str(int(right)) for right in outcome.correct)


def _contents(objects: Contents | Iterable[str], words: Numbered) -> list[int]:
    return [words.of(name) for name in objects]


def _boxes(operation: Operation) -> list[int]:
    return [box for box in (operation.source, operation.destination) if box is not None]
