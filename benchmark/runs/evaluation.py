"""The scored path, written once: states become prompts, prompts texts, texts outcomes.

Everything that measures goes this way: ``run`` and all verbs on it, fingerprints and their noise,
the controls while they train, the harness adapters, and ``speed``. What differs is what is kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.decoding.engines import check_prompts, compile_constraint, create_engine
from benchmark.decoding.oom_retry import OomRetry
from benchmark.errors import SettingError
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.records import Completion, Outcome, Prompt, State, TokenIds
from benchmark.runs.settings import ResolvedSettings
from benchmark.tasks import JudgedAnswer, Task

if TYPE_CHECKING:
    from benchmark.decoding.constraint import Constraint
    from benchmark.models.loading import LanguageModel

Batch = list[tuple[int, Completion]]
"""Completions as an engine finishes them, each with the index of its prompt."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How prompts were batched: the sizes tried, and what else decides which share a pass."""

    sizes: tuple[int, ...] = ()
    composition: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return it by name; empty if nothing was decoded."""
        return {"sizes": list(self.sizes), "composition": self.composition} if self.sizes else {}


@dataclass(frozen=True)
class Questions:
    """States as one model is asked about them."""

    task: Task
    settings: ResolvedSettings
    tokenizer: TransformersTokenizer
    states: Sequence[State]

    @cached_property
    def prompts(self) -> list[Prompt]:
        """The prompt about each state.

        Raises:
            ModelError: for a chat prompt when the tokenizer has no usable chat template.
        """
        asked, write = self.settings.prompt, self.task.prompt
        return [write(self.tokenizer, state.description, asked) for state in self.states]

    @cached_property
    def prompt_ids(self) -> list[TokenIds]:
        """The token ids of each prompt."""
        return [each.token_ids for each in self.prompts]

    @cached_property
    def correct(self) -> list[TokenIds]:
        """The correct answer to each prompt, without the end of the sequence."""
        return [correct_answer(self.task, self.tokenizer, state) for state in self.states]

    @cached_property
    def drafts(self) -> dict[TokenIds, TokenIds]:
        """The correct answers by prompt: a model that is right needs fewer passes with them."""
        return dict(zip(self.prompt_ids, self.correct, strict=True))

    def check_limit(self) -> None:
        """Refuse a token limit that would cut a correct answer off, if the protocol does.

        Raises:
            SettingError: when the longest answer and its end do not fit.
        """
        limit, longest = self.settings.limits.max_new_tokens, max(map(len, self.correct))
        # One more is needed for the end of the sequence.
        if self.settings.whole_answers and longest >= limit:
            raise SettingError(
                f"--max-new-tokens {limit} would cut correct answers, which take up to "
                f"{longest + 1} tokens; raise it, or take --protocol paper, which cuts"
            )

    def judge(self, index: int, text: str) -> JudgedAnswer:
        """Return what a text says about a state, and what of it is right by every score."""
        return self.task.judge(self.states[index], text)

    def outcomes(self, texts: Sequence[str]) -> dict[str, tuple[Outcome, ...]]:
        """Return what is right in a text about each state, by every score."""
        return self.task.outcomes(self.states, texts)


def correct_answer(task: Task, tokenizer: Tokenizer, state: State) -> TokenIds:
    """Return the ids of the correct answer to a state's prompt, without the end of the sequence."""
    return tokenizer.encode(task.correct_text(state))


@dataclass
class Decoder:
    """A model that decodes prompts as a run with these settings does.

    ``model`` is None for an engine that loads no weights.
    """

    settings: ResolvedSettings
    expression: str
    tokenizer: TransformersTokenizer
    model: "LanguageModel | None"
    say: Callable[[str], None] = print
    batching: Batching = field(default_factory=Batching)
    """Of the last call of :meth:`decode`; the next one begins with the size that fitted."""

    @cached_property
    def constraint(self) -> "Constraint | None":
        """The expression compiled for the tokenizer, None for an engine without it.

        Raises:
            ModelError: when tokenizer and expression do not go together.
        """
        if not self.settings.engine_row.constrained:
            return None
        return compile_constraint(self.expression, self.tokenizer, self.model)

    def engine(self, limits: DecodingLimits, drafts: Mapping[TokenIds, TokenIds]) -> Engine:
        """Return a new engine."""
        return create_engine(
            self.settings.engine,
            self.model,
            self.tokenizer,
            limits,
            self.constraint,
            drafts,
            self.say,
        )

    def check(self, prompts: Sequence[TokenIds]) -> None:
        """Check that weights and tokenizer go together, and that prompts and answers fit.

        Raises:
            ModelError: when they do not.
        """
        check_prompts(self.model, self.tokenizer, prompts, self.settings.limits)

    def decode(
        self,
        prompts: Sequence[TokenIds],
        drafts: Mapping[TokenIds, TokenIds],
        *,
        done: AbstractSet[int] = frozenset(),
        order: Sequence[int] | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Batch]:
        """Check prompts, and return what decodes them, in smaller batches if memory runs out.

        Args:
            prompts: token ids.
            drafts: answers that completions may resemble, by prompt; they change no token.
            done: the indices of prompts whose completions are not wanted any more.
            order: in which prompts go through the model; it decides which share a batch.
            batch_size: to begin with, if not the settings' own.

        Returns:
            batches of completions; iterating raises DoesNotFitError when not even one prompt fits
            into memory.

        Raises:
            ModelError: when weights, tokenizer and prompts do not go together.
        """
        self.check(prompts)
        fitted = self.batching.sizes[-1] if self.batching.sizes else None
        limits = self.settings.limits
        engine = OomRetry(
            lambda fitting: self.engine(fitting, drafts),
            replace(limits, batch_size=batch_size or fitted or limits.batch_size),
        )
        places = range(len(prompts)) if order is None else order
        skipped = frozenset(number for number, index in enumerate(places) if index in done)
        asked = [prompts[index] for index in places]
        return self._batches(engine, engine.generate(asked, skipped), places)

    def _batches(
        self, engine: OomRetry, batches: Iterator[Batch], places: Sequence[int]
    ) -> Iterator[Batch]:
        """Give completions the indices of their prompts, and keep how they were batched."""
        from benchmark.decoding.finite_logits import naming_states

        with naming_states(places, self.tokenizer.name, self.model):
            for batch in batches:
                self.batching = Batching(tuple(engine.batch_sizes), engine.composition)
                yield [(places[number], completion) for number, completion in batch]

    def completions(
        self,
        prompts: Sequence[TokenIds],
        drafts: Mapping[TokenIds, TokenIds],
        order: Sequence[int] | None = None,
        each: Callable[[int], None] = lambda _: None,
    ) -> list[Completion]:
        """Return the completion of each prompt; ``each`` is told the size of every batch."""
        found: dict[int, Completion] = {}
        for batch in self.decode(prompts, drafts, order=order):
            found.update(batch)
            each(len(batch))
        return [found[index] for index in range(len(prompts))]


def evaluate(
    questions: Questions,
    model: "LanguageModel | None",
    *,
    done: AbstractSet[int] = frozenset(),
    batch_size: int | None = None,
    say: Callable[[str], None] = print,
) -> "Evaluation":
    """Return a model's answers to questions, to be iterated; nothing is decoded yet.

    The arguments are those of :meth:`Decoder.decode`.

    Raises:
        ModelError: when weights, tokenizer and prompts do not go together.
    """
    expression = questions.task.expression
    decoder = Decoder(questions.settings, expression, questions.tokenizer, model, say)
    batches = decoder.decode(
        questions.prompt_ids, questions.drafts, done=done, batch_size=batch_size
    )
    return Evaluation(questions, decoder, batches)


@dataclass
class Evaluation:
    """A model's answers to questions as they come, each parsed and scored once."""

    questions: Questions
    decoder: Decoder
    batches: Iterator[Batch]

    @property
    def batching(self) -> Batching:
        """How prompts were batched so far."""
        return self.decoder.batching

    def __iter__(self) -> Iterator[list[tuple[int, JudgedAnswer]]]:
        """Decode, and yield the answers of a batch with the indices of their states."""
        judge = self.questions.judge
        for batch in self.batches:
            yield [(index, judge(index, completion.text)) for index, completion in batch]
