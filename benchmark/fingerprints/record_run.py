"""One environment's fingerprint of a model: every stage of the pipeline, recorded."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from benchmark.decoding.engines import compile_constraint
from benchmark.errors import SettingError
from benchmark.fingerprints.inference import Loaded, decoded, log_probabilities
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.noise_measurement import repeated
from benchmark.fingerprints.record import Allowed, Fingerprint, first_samples
from benchmark.fingerprints.run_environment import run_environment
from benchmark.fingerprints.stage import Stage
from benchmark.fingerprints.stage_recorder import MissingStageError, StageRecorder, needed
from benchmark.fingerprints.stages import (
    CONSTRAINT,
    DATASET,
    GENERATED_IDS,
    LOGITS,
    OUTCOME,
    PROMPT,
    PROMPT_IDS,
    STAGES,
    WEIGHTS,
    allowed_set,
    own_libraries,
)
from benchmark.models.loading import load_model, load_tokenizer
from benchmark.models.location import Location, locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Completion, State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, installed
from benchmark.runs.evaluation import Decoder, Questions
from benchmark.runs.measure import prepare
from benchmark.runs.model_store import ModelStore
from benchmark.runs.requests import Progress, RunRequest
from benchmark.runs.resolution import registered_bos, resolve
from benchmark.runs.settings import ResolvedSettings
from benchmark.tasks import Task, task_named

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FingerprintRequest:
    """A run whose stages are recorded.

    ``along`` gives the answers to follow, those of an older record; without it they are the
    model's own. ``repeats`` is how often the noise floor is sampled. ``order`` is that in which
    states go through the model, by default their own: the record is the same but for rounding.
    """

    run: RunRequest
    along: Fingerprint | None = None
    repeats: int = 0
    order: Sequence[int] | None = None


def fingerprint(request: FingerprintRequest, progress: Progress) -> Fingerprint:
    """Record every stage of a run; one that raises is recorded as failed.

    Raises:
        BenchmarkError: when the request cannot be met: no such data, model or setting.
    """
    task, settings = task_named(request.run.data.task), resolve(request.run)
    states = load_states(request.run.data)
    location = locate(request.run.model, request.run.revision)
    progress.say(f"fingerprint of {location.name} on {len(states)} states")
    made = _Fingerprint(request, task, settings, states, location, progress)
    if request.along is None:
        made.check_limit()
    return made.record()


def placed_fingerprint(store: ModelStore, request: RunRequest, repeats: int) -> Fingerprint:
    """The fingerprint of the request, made now, where its model has room; it is not stored.

    Raises:
        BenchmarkError: as :func:`fingerprint`.
    """
    with store.placement.place(prepare(request, store.progress)) as device:
        placed = replace(request, device=device)
        return fingerprint(FingerprintRequest(placed, repeats=repeats), store.progress)


@dataclass
class _Fingerprint:
    """One run that is being recorded: the pieces that the rows of the stages are made from."""

    request: FingerprintRequest
    task: Task
    settings: ResolvedSettings
    states: Sequence[State]
    location: Location
    progress: Progress
    attempts: StageRecorder = field(default_factory=StageRecorder)

    def record(self) -> Fingerprint:
        for row in STAGES.values():
            if self.settings.engine_row.loads_weights or not row.of_weights:
                self.attempts.take(row, self)
        prompts = self._get(PROMPT_IDS)
        record = Fingerprint(
            environment=self._environment(),
            stages=self.attempts.stages,
            path=tuple(self.path),
            output=self._output,
            texts=tuple(completion.text for completion in self._get(GENERATED_IDS) or ()),
            lengths=tuple(map(len, prompts or ())),
            allowed=self._get(CONSTRAINT),
            logits=self._get(LOGITS) if self.settings.engine_row.loads_weights else None,
            scores=self._get(OUTCOME) or {},
            samples=first_samples(self._get(PROMPT), prompts),
            code=code_digests(),
        )
        return repeated(record, self._loaded, self.request.repeats, self.progress)

    def check_limit(self) -> None:
        """Refuse a token limit that cuts correct answers, as ``run`` does before any weights.

        What follows an older record finds it out in the stage ``output``: there it is the finding.
        """
        try:
            self._questions.check_limit()
        except SettingError:
            raise
        except Exception:  # noqa: BLE001  # the stage of the token ids records it
            self.progress.say("the token limit cannot be checked: there are no token ids")

    def value(self, stage: Stage[T]) -> T:
        return needed(self._get(stage), stage.name)

    def texts(self) -> list[str]:
        asked = self.settings.prompt
        if asked.prompt_format == "completion":
            # No tokenizer has a part in it: one that cannot be loaded breaks a later stage.
            write, variant = self.task.completion, asked.prompt_variant
            return [write(state.description, variant) for state in self.states]
        chat, tokenizer = self.task.prompt_text, self.tokenizer
        return [chat(tokenizer, state.description, asked) for state in self.states]

    def prompts(self) -> list[TokenIds]:
        return self._questions.prompt_ids

    def model(self) -> "LanguageModel":
        options = self.settings.options
        self.progress.say(f"loading {self.location.name} in {options.dtype} on {options.device}")
        return load_model(self.location, options)

    def decoded(self) -> list[Completion]:
        ready = needed(self._loaded, self._missing())
        self.progress.start(len(self.states), 0)
        return decoded(ready, self.progress)

    def allowed(self) -> Allowed:
        from benchmark.decoding.constraint_trace import ConstraintTrace

        if len(self.path) != len(self.states):
            raise MissingStageError(f"not reached: {self._missing()} failed")
        if not self.settings.engine_row.constrained:
            return Allowed((), ((),) * len(self.path))
        walker = ConstraintTrace(
            compile_constraint(self.task.expression, self.tokenizer, self._weights)
        )
        along = tuple(walker.set_numbers(answer) for answer in self.path)
        return Allowed(tuple(map(allowed_set, walker.sets)), along)

    def logits(self) -> Logits:
        self.progress.say("log-probabilities along the recorded answers")
        return log_probabilities(needed(self._loaded, self._missing()), self.path, self.progress)

    @cached_property
    def tokenizer(self) -> TransformersTokenizer:
        return load_tokenizer(self.location, registered_bos(self.request.run))

    @cached_property
    def path(self) -> Sequence[TokenIds]:
        """The answers to follow: the older record's, or our own, or for want of them right ones."""
        output = self._output
        if self.request.along is not None:
            return self._followed(self.request.along, output or [()] * len(self.states))
        if output or self._get(PROMPT_IDS) is None:
            return output
        return [(*answer, self.tokenizer.eos_id) for answer in self._questions.correct]

    def _followed(self, along: Fingerprint, own: Sequence[TokenIds]) -> Sequence[TokenIds]:
        """Return the older record's answers, and our own to states that it does not have."""
        answers = dict(zip(along.state_digests, along.path, strict=False))
        digests = self.attempts.stages[DATASET.name].digests
        if others := sum(state not in answers for state in digests):
            self.progress.say(
                f"{others} of {len(digests)} states are not in the record to follow; "
                "they follow their own answers"
            )
        return [answers.get(state, ids) for state, ids in zip(digests, own, strict=True)]

    @cached_property
    def _output(self) -> tuple[TokenIds, ...]:
        """The generated tokens, with the end of the sequence where it was generated."""
        return tuple(
            (*each.token_ids, self.tokenizer.eos_id) if each.finished else each.token_ids
            for each in self._get(GENERATED_IDS) or ()
        )

    @cached_property
    def _loaded(self) -> Loaded | None:
        """The model, ready for its prompts; None if it or they are missing."""
        model, prompts = self._weights, self._get(PROMPT_IDS)
        if prompts is None or (model is None and self.settings.engine_row.loads_weights):
            return None
        decoder = Decoder(
            self.settings, self.task.expression, self.tokenizer, model, self.progress.say
        )
        order = self.request.order
        return Loaded(decoder, self._questions, range(len(prompts)) if order is None else order)

    @cached_property
    def _weights(self) -> "LanguageModel | None":
        """The model; None if it could not be loaded, or the engine loads none."""
        return self._get(WEIGHTS) if self.settings.engine_row.loads_weights else None

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.task, self.settings, self.tokenizer, self.states)

    def _environment(self) -> Environment:
        """Return the environment of the run, with the libraries that stages' own rows name."""
        known = run_environment(
            self.request.run,
            self.settings,
            self.location,
            self._loaded.decoder if self._loaded else None,
        )
        return replace(known, versions={**known.versions, **installed(own_libraries())})

    def _get(self, stage: Stage[T]) -> T | None:
        return self.attempts.value(stage, self)

    def _missing(self) -> str:
        """Return the first stage that failed."""
        return next(
            (name for name, s in self.attempts.stages.items() if s.failed), "an earlier one"
        )
