"""Record the fingerprint of a run: every stage of the pipeline."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from benchmark.decoding.connection import EngineFaultError
from benchmark.decoding.engines import compile_constraint
from benchmark.errors import BenchmarkError, first_line
from benchmark.fingerprints.error_changes import recorded_errors
from benchmark.fingerprints.inference import LoadedModel, decoded, log_probabilities
from benchmark.fingerprints.logits import Logits
from benchmark.fingerprints.noise_measurement import repeated
from benchmark.fingerprints.record import Allowed, Fingerprint, first_samples
from benchmark.fingerprints.run_environment import run_environment
from benchmark.fingerprints.stage import Stage, StageRow
from benchmark.fingerprints.stage_recorder import MissingStageError, StageRecorder, require
from benchmark.fingerprints.stages import (
    ANSWER,
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
from benchmark.models.loading import load_model
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.records import Completion, State, TokenIds
from benchmark.runs.data import load_states
from benchmark.runs.environment import Environment, code_digests, installed
from benchmark.runs.evaluation import Batching, Decoder, Questions
from benchmark.runs.gpu_fit import fetch_engine_weights
from benchmark.runs.measure import prepare
from benchmark.runs.model_store import ModelStore
from benchmark.runs.notices import Notices
from benchmark.runs.requests import Progress, RunRequest
from benchmark.runs.resolution import connected, located, registered_bos, resolve
from benchmark.runs.settings import ResolvedSettings
from benchmark.tasks import Task, task_named

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FingerprintRequest:
    """A run whose stages are recorded.

    Attributes:
        along: an older record whose answers are followed, by default the model's own.
        repeats: the number of repeats that measure the noise floor.
        order: the order in which states go through the model; it affects rounding only.
        compared: whether the record is made to be compared with an older one, which an error of
            the benchmark must not prevent: it is recorded as that of its stage. So is one of a
            record that follows an older one.
        first_batch: the batch size to begin with, if memory is known to hold no more.
    """

    run: RunRequest
    along: Fingerprint | None = None
    repeats: int = 0
    order: Sequence[int] | None = None
    compared: bool = False
    first_batch: int | None = None

    @property
    def refusing(self) -> bool:
        """Whether a model that ``run`` refuses is refused, too."""
        return self.along is None and not self.compared


def fingerprint(request: FingerprintRequest, progress: Progress) -> Fingerprint:
    """Record every stage of a run; one in which a library fails is recorded as failed.

    Raises:
        BenchmarkError: if the request is invalid: no such data, model or setting; unless the
            record is compared with an older one also if the model is refused or cannot be loaded.
    """
    task, settings = task_named(request.run.data.task), resolve(request.run)
    states = load_states(request.run.data)
    loads_weights = settings.engine_row.loads_weights  # then they are fetched after the tokenizer
    location = located(request.run, weights=not loads_weights)
    progress.say(f"fingerprint of {location.name} on {len(states)} states")
    recorder = StageRecorder(refusing=request.refusing)
    with ExitStack() as stack:
        recording = _RunRecording(
            request, task, settings, states, location, progress, recorder, stack
        )
        if recorder.refusing:
            recording.check_limit()
        return recording.record()


def placed_fingerprint(
    store: ModelStore, request: RunRequest, repeats: int, *, compared: bool = False
) -> Fingerprint:
    """Record a fingerprint on a device that has room for the model; it is not stored.

    ``compared`` is that of :class:`FingerprintRequest`.

    Raises:
        BenchmarkError: as :func:`fingerprint`.
    """
    prepared = prepare(request, store.progress)
    with store.placement.place(prepared, store.progress.say) as place:
        placed = replace(request, device=place.device)
        own = FingerprintRequest(
            placed, repeats=repeats, compared=compared, first_batch=place.batch_size
        )
        return fingerprint(own, store.progress)


@dataclass
class _RunRecording:
    """A run that is being recorded: what the stages are made from."""

    request: FingerprintRequest
    task: Task
    settings: ResolvedSettings
    states: Sequence[State]
    location: Location
    progress: Progress
    recorder: StageRecorder
    stack: ExitStack
    fault: EngineFaultError | None = None

    def record(self) -> Fingerprint:
        if not self.settings.engine_row.loads_weights:
            self._find_engine()
        for row in STAGES.values():
            if self._has(row):
                self.recorder.take(row, self)
        prompts = self._get(PROMPT_IDS)
        notices = self._notices()
        record = Fingerprint(
            environment=self._environment(),
            stages=self.recorder.stages,
            path=tuple(self.path),
            output=self._output,
            texts=tuple(completion.text for completion in self._get(GENERATED_IDS) or ()),
            lengths=tuple(map(len, prompts or ())),
            allowed=self._get(CONSTRAINT),
            logits=self._get(LOGITS) if LOGITS.name in self.recorder.stages else None,
            scores=self._get(OUTCOME) or {},
            errors=self._errors(),
            samples=first_samples(self._get(PROMPT), prompts),
            code=code_digests(),
            notices=notices,
        )
        return repeated(record, self._loaded, self.request.repeats, self.progress)

    def _errors(self) -> tuple[str, ...]:
        """Return the types of error of each state; none if answers cannot be scored."""
        answers = self._get(ANSWER)
        if answers is None or self._get(OUTCOME) is None:
            return ()
        return recorded_errors(self.task, answers, self.states)

    def _find_engine(self) -> None:
        """Find an engine elsewhere: one that is not there is an error, not that of every stage."""
        if self._get(PROMPT_IDS) is not None:
            _ = self._loaded

    def _has(self, row: StageRow) -> bool:
        """Return whether the engine has what a stage is made from."""
        if self.settings.engine_row.loads_weights:
            return True
        if row.of_scores and not self._scores:
            self.progress.say(f"no stage {row.name}: the engine does not tell them")
            return False
        return not row.of_weights

    def check_limit(self) -> None:
        """Refuse a token limit that cuts off correct answers, as ``run`` does.

        A record that follows an older one is not refused: there the stage ``generated_ids`` fails,
        and the comparison shows it.
        """
        try:
            self._questions.check_limit()
        except BenchmarkError:
            raise
        except Exception:  # noqa: BLE001  # the stage of the token ids records it
            self.progress.say("the token limit cannot be checked without token ids")

    def value(self, stage: Stage[T]) -> T:
        return require(self._get(stage), stage.name)

    def texts(self) -> list[str]:
        settings = self.settings.prompt
        if settings.prompt_format == "completion":
            # This needs no tokenizer: one that cannot be loaded breaks a later stage.
            write, variant = self.task.completion, settings.prompt_variant
            return [write(state.description, variant) for state in self.states]
        chat, tokenizer = self.task.prompt_text, self.tokenizer
        return [chat(tokenizer, state.description, settings) for state in self.states]

    def prompts(self) -> list[TokenIds]:
        return self._questions.prompt_ids

    def model(self) -> "LanguageModel":
        self._fetch_weights()
        options = self.settings.options
        self.progress.say(f"loading {self.location.name} in {options.dtype} on {options.device}")
        return load_model(self.location, options)

    def _fetch_weights(self) -> None:
        prompts = self._get(PROMPT_IDS) or ()
        fetch_engine_weights(self.settings, self.location, prompts, self.progress.say)

    def decoded(self) -> list[Completion]:
        ready = self._loaded
        if self.fault is not None:
            raise self.fault
        ready = require(ready, self._missing())
        self.progress.start(len(self.states), 0)
        return decoded(ready, self.progress)

    def allowed(self) -> Allowed:
        from benchmark.decoding.constraint_trace import ConstraintTrace

        if len(self.path) != len(self.states):
            raise MissingStageError(f"not reached: {self._missing()} failed")
        if not self.settings.engine_row.constrained:
            return Allowed((), ((),) * len(self.path))
        trace = ConstraintTrace(
            compile_constraint(self.task.expression, self.tokenizer, self._weights)
        )
        along = tuple(trace.set_numbers(answer) for answer in self.path)
        return Allowed(tuple(map(allowed_set, trace.sets)), along)

    def logits(self) -> Logits:
        ready, path = require(self._loaded, self._missing()), self.path
        self.progress.say("log-probabilities along the recorded answers")
        return log_probabilities(ready, path, self.progress)

    @cached_property
    def tokenizer(self) -> TransformersTokenizer:
        return load_tokenizer(self.location, registered_bos(self.request.run))

    @cached_property
    def path(self) -> Sequence[TokenIds]:
        """The answers to follow: the older record's, else the model's own, else correct ones."""
        output = self._output
        if self.request.along is not None:
            return self._followed(self.request.along, output or [()] * len(self.states))
        if output or self._get(PROMPT_IDS) is None:
            return output
        return [(*answer, self.tokenizer.eos_id) for answer in self._questions.correct]

    def _followed(self, along: Fingerprint, own: Sequence[TokenIds]) -> Sequence[TokenIds]:
        """Return the older record's answers, and the model's own for states it does not have."""
        answers = dict(zip(along.state_digests, along.path, strict=False))
        digests = self.recorder.stages[DATASET.name].digests
        if others := sum(state not in answers for state in digests):
            self.progress.say(
                f"{others} of {len(digests)} states are missing from the record to follow; "
                "their own answers are followed"
            )
        return [answers.get(state, ids) for state, ids in zip(digests, own, strict=True)]

    @cached_property
    def _output(self) -> tuple[TokenIds, ...]:
        """The generated tokens, with EOS if it was generated."""
        return tuple(
            (*one.token_ids, self.tokenizer.eos_id) if one.finished else one.token_ids
            for one in self._get(GENERATED_IDS) or ()
        )

    @cached_property
    def _loaded(self) -> LoadedModel | None:
        """The model with its prompts; None if either is missing."""
        model, prompts = self._weights, self._get(PROMPT_IDS)
        if prompts is None or (model is None and self.settings.engine_row.loads_weights):
            return None
        expression, say = self.task.expression, self.progress.say
        try:
            settings = connected(self.settings, self.location, self.tokenizer, expression, say)
        except EngineFaultError as error:
            if self.recorder.refusing:
                raise
            self.fault = error
            return None
        if settings.connection is not None:
            self._fetch_weights()
            self.stack.enter_context(settings.connection.held())
        decoder = Decoder(settings, expression, self.tokenizer, model, say)
        if self.request.first_batch:
            decoder.batching = Batching((self.request.first_batch,))
        order = self.request.order
        # An engine of this process is scored by its model.
        scoring = decoder.scoring(prompts) if model is None else None
        return LoadedModel(
            decoder,
            self._questions,
            range(len(prompts)) if order is None else order,
            scoring if scoring and scoring.scores else None,
        )

    @cached_property
    def _scores(self) -> bool:
        """Whether an engine elsewhere tells log-probabilities along given ids."""
        return self._loaded is not None and self._loaded.scoring is not None

    @cached_property
    def _weights(self) -> "LanguageModel | None":
        """The model; None if it could not be loaded, or the engine loads none."""
        return self._get(WEIGHTS) if self.settings.engine_row.loads_weights else None

    @cached_property
    def _questions(self) -> Questions:
        return Questions(self.task, self.settings, self.tokenizer, self.states)

    def _notices(self) -> dict[str, object]:
        """Print the notices about tokenizer, template and weights, and return them as JSON."""
        if self._get(PROMPT_IDS) is None:
            return {}
        try:
            notices = Notices.of(self._questions)
        except Exception as error:
            if self.recorder.refusing:
                raise
            # A library that fails here must not cost the record that shows what it changed.
            self.progress.say(f"no notices about the tokenizer: {first_line(error)}")
            return {}
        weights = notices.add_weights(self._weights) if self._weights else []
        for line in (*notices.lines(), *weights):
            self.progress.say(line)
        return notices.as_json()

    def _environment(self) -> Environment:
        """Return the environment of the run, with the libraries that stages' own rows name."""
        environment = run_environment(
            self.request.run,
            self.settings,
            self.location,
            self._loaded.decoder if self._loaded else None,
        )
        versions = {**environment.versions, **installed(own_libraries())}
        return replace(environment, versions=versions)

    def _get(self, stage: Stage[T]) -> T | None:
        return self.recorder.value(stage, self)

    def _missing(self) -> str:
        """Return the first stage that failed."""
        return next(
            (name for name, s in self.recorder.stages.items() if s.failed), "an earlier one"
        )
