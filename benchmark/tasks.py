"""The tasks: for each one object with all that is its own, and one row in the table.

A task says how its states are generated and read, what a prompt shows, which answers the constraint
allows, how an answer is read and scored, and what random answers would score. Everything else
(models, engines, settings, statistics, fingerprints) works on any task.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.boxes import dataset
from benchmark.boxes.baseline import Percentages, baselines
from benchmark.boxes.language import statement
from benchmark.boxes.states import parse_state
from benchmark.boxes.world import BOXES
from benchmark.decoding.expression import answer_expression
from benchmark.errors import SettingError
from benchmark.prompts.rendering import Demonstrations, demonstrations
from benchmark.records import Answer, Contents, Outcome, State
from benchmark.scoring.outcomes import SCORES, Score, score
from benchmark.scoring.parsing import keeps_format, parse_answer
from benchmark.speed.grammar import answer_grammar


@dataclass(frozen=True, slots=True)
class Judged:
    """A model's text about a state, read and scored once: the outcomes are by every score."""

    text: str
    answer: Answer
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Task:
    """A task about boxes.

    ``expression`` is the regular expression that answers must match, ``grammar`` the same in
    llama.cpp's notation.
    """

    name: str
    what: str
    boxes: int
    expression: str
    grammar: str
    demonstrations: Demonstrations
    scores: Mapping[str, Score]

    def generate(
        self, split: str, seed: int, vocabulary: Contents, *, subsampled: bool = False
    ) -> Iterator[State]:
        """Return the states of a split, see :func:`benchmark.boxes.dataset.generate`."""
        return dataset.generate(split, seed, vocabulary, subsampled=subsampled)

    def state(self, description: str, sample_id: int = 0) -> State:
        """Return the state that a description leads to, with its gold contents.

        Raises:
            LanguageError: for a sentence that is not in the task's language.
            RuleError: for an operation that cannot be carried out.
        """
        return parse_state(sample_id, description)

    def correct_text(self, state: State) -> str:
        """Return the correct answer to a state's prompt."""
        return f"Statement: {statement(tuple(query.gold for query in state.queries))}"

    def parse(self, text: str) -> Answer:
        """Return what a text says of each box; no text raises."""
        return parse_answer(text, self.boxes)

    def keeps_format(self, text: str) -> bool:
        """Return whether a text begins with what the expression describes."""
        return keeps_format(text, self.boxes)

    def judge(self, state: State, text: str) -> Judged:
        """Return what a text about a state says, and what of it is right by every score."""
        answer = self.parse(text)
        return Judged(text, answer, {by: score(answer, state, by) for by in self.scores})

    def baselines(self, states: Sequence[State]) -> dict[str, Percentages]:
        """Return what random answers would score, in per cent, by every reading."""
        return baselines(states)


TASKS: dict[str, Task] = {
    row.name: row
    for row in (
        Task(
            name="boxes",
            what="the paper's: objects are moved, removed and put by name",
            boxes=BOXES,
            expression=answer_expression(BOXES),
            grammar=answer_grammar(BOXES),
            demonstrations=demonstrations(),
            scores=SCORES,
        ),
    )
}
"""The tasks by name; the first is the paper's."""

DEFAULT = next(iter(TASKS))


def task_of(document: Mapping[str, object]) -> Task:
    """Return the task of a result or another document with what it was measured on.

    Raises:
        SettingError: when it names a task that is not known here.
    """
    data = document.get("data")
    return task_named(str(data.get("task", DEFAULT)) if isinstance(data, dict) else DEFAULT)


def task_named(name: str) -> Task:
    """Return the task of that name.

    Raises:
        SettingError: when there is no such task.
    """
    if name not in TASKS:
        raise SettingError(f"no task {name!r}; choose one of {', '.join(TASKS)}")
    return TASKS[name]
