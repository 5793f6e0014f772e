"""The evaluation core: from states to prompts, from prompts to answers, from answers to outcomes.

Every measurement uses it: ``run`` and the verbs built on it, fingerprints and their noise, the
controls during training, the harness adapters, and ``speed``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.decoding.engines import (
    EngineInputs,
    check_prompts,
    compile_constraint,
    create_engine,
)
from benchmark.decoding.oom_retry import OomRetry
from benchmark.errors import SettingError
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.records import Completion, Outcome, Prompt, State, TokenIds
from benchmark.runs.settings import ResolvedSettings
from benchmark.tasks import JudgedAnswer, Task

if TYPE_CHECKING:
    from benchmark.decoding.constraint import Constraint
    from benchmark.decoding.log_probs import ScoringEngine
    from benchmark.models.loading import LanguageModel

CompletionBatch = list[tuple[int, Completion]]
"""Completions that an engine finished together, each with the index of its prompt."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How prompts were batched: the sizes that were used, and what else an engine reports."""

    sizes: tuple[int, ...] = ()
    composition: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the fields by name; empty if nothing was decoded."""
        return {"sizes": list(self.sizes), "composition": self.composition} if self.sizes else {}


@dataclass(frozen=True)
class Questions:
    """The states, and the prompts of one model about them."""

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
        settings, prompt = self.settings.prompt, self.task.prompt
        return [prompt(self.tokenizer, state.description, settings) for state in self.states]

    @cached_property
    def prompt_ids(self) -> list[TokenIds]:
        """The token ids of each prompt."""
        return [prompt.token_ids for prompt in self.prompts]

    @cached_property
    def correct(self) -> list[TokenIds]:
        """The token ids of the correct answer to each prompt, without the end of the sequence."""
        return [correct_answer(self.task, self.tokenizer, state) for state in self.states]

    @cached_property
    def drafts(self) -> dict[TokenIds, TokenIds]:
        """The correct answers by prompt; as drafts they save passes when the model is right."""
        return dict(zip(self.prompt_ids, self.correct, strict=True))

    def check_limit(self) -> None:
        """Refuse a token limit that would cut a correct answer, if the protocol says so.

        Raises:
            SettingError: when the longest answer and its end do not fit.
        """
        limit, longest = self.settings.limits.max_new_tokens, max(map(len, self.correct))
        # The end of the sequence takes one more token.
        if self.settings.whole_answers and longest >= limit:
            raise SettingError(
                f"--max-new-tokens {limit} would cut correct answers, which take up to "
                f"{longest + 1} tokens; raise it, or use --protocol paper, which allows cuts"
            )

    def judge(self, index: int, text: str) -> JudgedAnswer:
        """Parse a text about the state at an index, and score it by every score."""
        return self.task.judge(self.states[index], text)

    def outcomes(self, texts: Sequence[str]) -> dict[str, tuple[Outcome, ...]]:
        """Score one text per state, by every score."""
        return self.task.outcomes(self.states, texts)


def correct_answer(task: Task, tokenizer: Tokenizer, state: State) -> TokenIds:
    """Return the token ids of the correct answer, without the end of the sequence."""
    return tokenizer.encode(task.correct_text(state))


@dataclass
class Decoder:
    """Decodes prompts with a model under the settings of a run.

    ``model`` is None for an engine that loads no weights.
    """

    settings: ResolvedSettings
    expression: str
    tokenizer: TransformersTokenizer
    model: "LanguageModel | None"
    say: Callable[[str], None] = print
    products: str | None = None
    """The matrix-product backend that the engine is to use; None if it chooses."""
    fused: bool = True
    """Whether the engine may use compiled kernels."""
    batching: Batching = field(default_factory=Batching)
    """The batching of the last :meth:`decode`; the next one begins with the size that fitted."""

    @cached_property
    def constraint(self) -> "Constraint | None":
        """The expression compiled for the tokenizer; None for an unconstrained engine.

        Raises:
            ModelError: when the tokenizer cannot write what the expression allows.
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
            self.products,
            self.settings.connection,
            fused=self.fused,
        )

    def scoring(self, prompts: Sequence[TokenIds]) -> "ScoringEngine | None":
        """Return what decodes and scores these prompts in any arrangement; None if none can."""
        inputs = EngineInputs(
            self.model,
            self.tokenizer,
            self.settings.limits,
            self.constraint,
            say=self.say,
            connection=self.settings.connection,
        )
        return self.settings.engine_row.create_scoring(inputs, prompts)

    def check(self, prompts: Sequence[TokenIds]) -> None:
        """Check that weights and tokenizer match, and that prompts and answers fit.

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
    ) -> Iterator[CompletionBatch]:
        """Check the prompts and return an iterator that decodes them.

        If memory runs out, the batch size is halved.

        Args:
            prompts: token ids.
            drafts: likely answers by prompt; they change no token.
            done: the indices of prompts to skip.
            order: the order of decoding, which decides on the batches; by default that of
                ``prompts``.
            batch_size: the first batch size; by default that of the settings.

        Returns:
            An iterator over batches of completions. It raises DoesNotFitError when not even one
            prompt fits into memory.

        Raises:
            ModelError: when weights, tokenizer and prompts do not match.
        """
        self.check(prompts)
        fitted = self.batching.sizes[-1] if self.batching.sizes else None
        limits = self.settings.limits
        engine = OomRetry(
            lambda fitting: self.engine(fitting, drafts),
            replace(limits, batch_size=batch_size or fitted or limits.batch_size),
        )
        indices = range(len(prompts)) if order is None else order
        skipped = frozenset(number for number, index in enumerate(indices) if index in done)
        ordered = [prompts[index] for index in indices]
        return self._batches(engine, engine.generate(ordered, skipped), indices)

    def _batches(
        self, engine: OomRetry, batches: Iterator[CompletionBatch], indices: Sequence[int]
    ) -> Iterator[CompletionBatch]:
        """Translate the engine's numbers into indices of prompts, and record the batching."""
        from benchmark.decoding.finite_logits import naming_states

        with naming_states(indices, self.tokenizer.name, self.model):
            for batch in batches:
                self.batching = Batching(tuple(engine.batch_sizes), engine.composition)
                yield [(indices[number], completion) for number, completion in batch]

    def completions(
        self,
        prompts: Sequence[TokenIds],
        drafts: Mapping[TokenIds, TokenIds],
        order: Sequence[int] | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> list[Completion]:
        """Return the completion of each prompt; call ``on_batch`` with the size of every batch."""
        completions: dict[int, Completion] = {}
        for batch in self.decode(prompts, drafts, order=order):
            completions.update(batch)
            on_batch(len(batch))
        return [completions[index] for index in range(len(prompts))]


def evaluate(
    questions: Questions,
    model: "LanguageModel | None",
    *,
    done: AbstractSet[int] = frozenset(),
    batch_size: int | None = None,
    say: Callable[[str], None] = print,
) -> "Evaluation":
    """Return an iterable over a model's answers; nothing is decoded until it is iterated.

    For the arguments see :meth:`Decoder.decode`.

    Raises:
        ModelError: when weights, tokenizer and prompts do not match.
    """
    expression = questions.task.expression
    decoder = Decoder(questions.settings, expression, questions.tokenizer, model, say)
    batches = decoder.decode(
        questions.prompt_ids, questions.drafts, done=done, batch_size=batch_size
    )
    return Evaluation(questions, decoder, batches)


@dataclass
class Evaluation:
    """A model's answers batch by batch, each parsed and scored once."""

    questions: Questions
    decoder: Decoder
    batches: Iterator[CompletionBatch]

    @property
    def batching(self) -> Batching:
        """How prompts have been batched so far."""
        return self.decoder.batching

    def __iter__(self) -> Iterator[list[tuple[int, JudgedAnswer]]]:
        """Decode, and yield the answers of each batch with the indices of their states."""
        judge = self.questions.judge
        for batch in self.batches:
            yield [
                (index, replace(judge(index, completion.text), completion=completion))
                for index, completion in batch
            ]
