"""The tasks. Each is one object with everything that is specific to it, and one row in a table.

A task defines how its states are worded, generated and read, what a prompt contains, which answers
the constraint allows, how an answer is parsed and scored, and what random answers would score.
Everything else (models, engines, settings, statistics, fingerprints) works with any task.

docs/extending.md adds one. The tests in ``tests/unit/test_tasks.py`` run on every row.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.boxes import dataset
from benchmark.boxes.answers import answer_expression
from benchmark.boxes.archive import MEMBER, read_archive
from benchmark.boxes.baseline import Percentages, baselines, mentions
from benchmark.boxes.histories import StateHistory, state_history
from benchmark.boxes.language import STANDARD, Language, parse
from benchmark.boxes.move_contents import MoveContents
from benchmark.boxes.states import parse_state
from benchmark.boxes.world import BOXES
from benchmark.decoding.external import gbnf
from benchmark.errors import DataError, SettingError
from benchmark.models.tokenizer import Tokenizer
from benchmark.prompts import rendering
from benchmark.prompts.rendering import Demonstrations, demonstrations
from benchmark.prompts.settings import PromptSettings
from benchmark.records import (
    Answer,
    Completion,
    Contents,
    Operation,
    Outcome,
    Prompt,
    State,
    World,
)
from benchmark.scoring.error_types import error_codes
from benchmark.scoring.outcomes import SCORES, Score
from benchmark.scoring.parsing import parse_answer


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """A model's text about a state, parsed and scored once, with the outcome by every score.

    ``completion`` has the tokens of the text, if an engine has just decoded it.
    """

    text: str
    answer: Answer
    outcomes: Mapping[str, Outcome]
    completion: Completion | None = None


def by_score(judged: Sequence[JudgedAnswer]) -> dict[str, tuple[Outcome, ...]]:
    """Return the outcomes of judged texts by every score; ``judged`` must not be empty."""
    return {by: tuple(answer.outcomes[by] for answer in judged) for by in judged[0].outcomes}


@dataclass(frozen=True, slots=True)
class Task:
    """A task about seven boxes: worlds and operations are the same, their wording differs.

    ``expression`` is the regular expression that answers must match. ``answer_parser`` takes a
    model's text and the number of boxes, and never raises. ``archive_member`` is the end of the
    path of the task's states in the authors' ZIP, or None if it is unknown.
    """

    name: str
    what: str
    language: Language
    demonstrations: Demonstrations
    expression: str = answer_expression(BOXES)
    scores: Mapping[str, Score] = field(default_factory=lambda: SCORES)
    answer_parser: Callable[[str, int], Answer] = parse_answer
    archive_member: str | None = None

    @property
    def grammar(self) -> str:
        """The expression in llama.cpp's notation."""
        return gbnf.grammar(self.expression)

    def generate(
        self, split: str, seed: int, vocabulary: Contents, *, subsampled: bool = False
    ) -> Iterator[State]:
        """Return the states of a split, see :func:`benchmark.boxes.dataset.generate`."""
        return dataset.generate(
            split, seed, vocabulary, subsampled=subsampled, language=self.language
        )

    def read(self, path: Path, password: str | None = None) -> Iterator[State]:
        """Return the states of a file: JSON lines, or the authors' ZIP.

        Raises:
            DataError: if the file cannot be read, or its data break the rules of the task.
            SettingError: for a ZIP, if the task's place in it is unknown.
        """
        if path.suffix.lower() != ".zip":
            return dataset.read_file(path, self.language)
        if self.archive_member is None:
            raise SettingError(
                f"{path}: the task {self.name} has no known place in the authors' ZIP; "
                "give its states as JSON lines"
            )
        return read_archive(path, password, self.language, self.archive_member)

    def rows(self, state: State) -> Iterator[str]:
        """Return a state as JSON lines, one per query, without line ends."""
        return dataset.rows(state, self.language)

    def state(self, description: str, sample_id: int = 0) -> State:
        """Return the state that a description leads to, with its gold contents.

        Raises:
            LanguageError: for a sentence that is not in the task's language.
            RuleError: for an operation that is impossible.
        """
        return parse_state(sample_id, description, self.language)

    def operations(self, description: str) -> tuple[World, tuple[Operation, ...]]:
        """Return the initial world and the operations of a description.

        Raises:
            LanguageError: for a sentence that is not in the task's language.
        """
        return parse(description, self.language)

    def history(self, description: str) -> StateHistory:
        """Return what happened to every box of a description.

        Raises:
            LanguageError: for a sentence that is not in the task's language.
        """
        return state_history(*self.operations(description))

    def error_codes(self, answer: Answer, history: StateHistory) -> str:
        """Return the type of error of every query that is wrong by ``set``, as one letter each.

        See :mod:`benchmark.scoring.error_types`.
        """
        return error_codes(answer, history, _example_objects(self.demonstrations, self.language))

    def errors(self, answers: Sequence[Answer], states: Sequence[State]) -> tuple[str, ...]:
        """Return the types of error in each answer about its state, see :meth:`error_codes`."""
        return tuple(
            self.error_codes(answer, self.history(state.description))
            for answer, state in zip(answers, states, strict=True)
        )

    def completion(self, description: str, variant: str = "authors") -> str:
        """Return the completion prompt for a description, in one of its variants."""
        return rendering.completion(description, variant, self.demonstrations)

    def prompt(self, tokenizer: Tokenizer, description: str, settings: PromptSettings) -> Prompt:
        """Return the prompt for a description, as text and as token ids.

        Raises:
            ModelError: for a chat prompt if the tokenizer has no usable chat template.
        """
        return rendering.prompt(tokenizer, description, settings, self.demonstrations)

    def prompt_text(self, tokenizer: Tokenizer, description: str, settings: PromptSettings) -> str:
        """Return the text of the prompt for a description, see :meth:`prompt`.

        The tokenizer is used only for its chat template.
        """
        return rendering.prompt_text(tokenizer, description, settings, self.demonstrations)

    def correct_text(self, state: State) -> str:
        """Return the correct answer to a state's prompt."""
        world = tuple(query.gold for query in state.queries)
        return f"Statement: {self.language.statement(world)}"

    def parse(self, text: str) -> Answer:
        """Return what a text says of each box; no text raises."""
        return self.answer_parser(text, BOXES)

    def keeps_format(self, text: str) -> bool:
        """Return whether a text begins with an answer that matches the expression."""
        return re.match(self.expression, text.strip()) is not None

    def judge(self, state: State, text: str) -> JudgedAnswer:
        """Parse a text about a state and return it with its outcome by every score."""
        answer = self.parse(text)
        outcomes = {by: score.outcome(answer, state) for by, score in self.scores.items()}
        return JudgedAnswer(text, answer, outcomes)

    def score(
        self, answers: Sequence[Answer], states: Sequence[State]
    ) -> dict[str, tuple[Outcome, ...]]:
        """Return the outcome of each answer about its state, by every score."""
        pairs = list(zip(answers, states, strict=True))
        return {
            by: tuple(score.outcome(answer, state) for answer, state in pairs)
            for by, score in self.scores.items()
        }

    def outcomes(
        self, states: Sequence[State], texts: Sequence[str]
    ) -> dict[str, tuple[Outcome, ...]]:
        """Return the outcome of each text about its state, by every score."""
        return self.score([self.parse(text) for text in texts], states)

    def mentions(self, state: State) -> tuple[Contents, ...]:
        """Return the objects that the random baseline draws from, for each box."""
        return mentions(state, self.language)

    def baselines(self, states: Sequence[State]) -> dict[str, Percentages]:
        """Return the expected accuracy of random answers in per cent, by every reading."""
        return baselines(states, self.language)


@cache
def _example_objects(demonstrations_: Demonstrations, language: Language) -> frozenset[str]:
    """Return the objects of the solved examples in a prompt."""
    histories = (state_history(*parse(text, language)) for text, _ in demonstrations_.examples)
    return frozenset().union(*(history.mentioned for history in histories))


TASKS: dict[str, Task] = {
    row.name: row
    for row in (
        Task(
            name="boxes",
            what="the paper's: objects are moved, removed and put by name",
            language=STANDARD,
            demonstrations=demonstrations("boxes"),
            archive_member=MEMBER,
        ),
        Task(
            name="move-contents",
            what="MoveContents: a move of all objects of a box does not name them",
            language=MoveContents(),
            demonstrations=demonstrations("move-contents"),
        ),
    )
}
"""The tasks by name; the first is the paper's."""

DEFAULT = next(iter(TASKS))


def task_of(document: Mapping[str, object], source: str = "result") -> Task:
    """Return the task of a result or another document with what it was measured on.

    Raises:
        DataError: naming the source, if it has an unknown task.
    """
    data = document.get("data")
    name = str(data.get("task", DEFAULT)) if isinstance(data, dict) else DEFAULT
    try:
        return task_named(name)
    except SettingError as error:
        raise DataError(f"{source}: {error}") from error


def task_named(name: str) -> Task:
    """Return the task of that name.

    Raises:
        SettingError: if no such task exists.
    """
    if name not in TASKS:
        raise SettingError(f"unknown task {name!r}; choose one of {', '.join(TASKS)}")
    return TASKS[name]
