"""One environment's fingerprint of a model: every stage of the pipeline, recorded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.dataset import rows
from benchmark.boxes.world import BOXES
from benchmark.decoding.engines import check_prompts, compiled
from benchmark.models.loading import load_model, load_tokenizer
from benchmark.models.location import Location, locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.weights import weights_digest
from benchmark.pipeline import prints
from benchmark.pipeline.answers import correct_answer
from benchmark.pipeline.attempts import Attempts, MissingStageError, needed
from benchmark.pipeline.data import load_states
from benchmark.pipeline.identity import Settings
from benchmark.pipeline.measure import registered_bos, resolve
from benchmark.pipeline.passes import Loaded, decoded, log_probabilities
from benchmark.pipeline.repeats import repeated
from benchmark.pipeline.requests import Progress, RunRequest
from benchmark.pipeline.surroundings import surroundings
from benchmark.prompts.rendering import completion, prompt, prompt_text
from benchmark.records import Answer, Completion, State, TokenIds
from benchmark.regression.environment import code_digests
from benchmark.regression.logits import Logits
from benchmark.regression.record import Allowed, Record
from benchmark.regression.scores import count_digests, outcome_digests
from benchmark.regression.stages import digest
from benchmark.scoring.counts import count
from benchmark.scoring.parsing import parse_answer

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel


@dataclass(frozen=True, slots=True)
class FingerprintRequest:
    """A run whose stages are recorded.

    ``along`` gives the answers to follow, those of an older record; without it they are the
    model's own. ``repeats`` is how often the noise floor is sampled. ``order`` is that in which
    states go through the model, by default their own: the record is the same but for rounding.
    """

    run: RunRequest
    along: Record | None = None
    repeats: int = 0
    order: Sequence[int] | None = None


def fingerprint(request: FingerprintRequest, progress: Progress) -> Record:
    """Record every stage of a run; one that raises is recorded as failed.

    Raises:
        BenchmarkError: when the request cannot be met: no such data, model or setting.
    """
    settings = resolve(request.run)
    states = load_states(request.run.data)
    location = locate(request.run.model, request.run.revision)
    progress.say(f"fingerprint of {location.name} on {len(states)} states")
    return _Fingerprint(request, settings, states, location, progress).record()


@dataclass
class _Fingerprint:
    """The stages of one run, each made once and kept."""

    request: FingerprintRequest
    settings: Settings
    states: Sequence[State]
    location: Location
    progress: Progress
    attempts: Attempts = field(default_factory=Attempts)

    def record(self) -> Record:
        make = self.attempts.make
        make("dataset", lambda: self.states, lambda all_: (digest(rows(s)) for s in all_))
        texts = make("prompt", self._texts, prints.texts)
        prompts = make("tokens", self._prompts, _each)
        model = make("weights", self._model, lambda loaded: [weights_digest(loaded)])
        loaded = self._loaded(model, prompts)
        completions = make("output", lambda: self._decoded(loaded), _outputs)
        output = self._with_end(completions or ())
        path = self._path(output, prompts)
        allowed = make("constraint", lambda: self._allowed(model, path), prints.allowed_sets)
        logits = make("logits", lambda: self._logits(loaded, path), _values)
        said = tuple(each.text for each in completions or ())
        answers = make("answer", lambda: _answers(completions), prints.contents)
        scores = make("outcome", lambda: prints.scored(answers, self.states), outcome_digests)
        make("verdict", lambda: list(map(count, needed(scores, "outcome").values())), count_digests)
        record = Record(
            environment=surroundings(self.request.run, self.settings, self.location, loaded),
            stages=self.attempts.stages,
            path=tuple(path),
            output=output,
            texts=said,
            lengths=tuple(map(len, prompts or ())),
            allowed=allowed,
            logits=logits,
            scores=scores or {},
            samples=prints.samples(texts, prompts),
            code=code_digests(),
        )
        return repeated(record, loaded, self.states, self.request.repeats, self.progress)

    @cached_property
    def _tokenizer(self) -> TransformersTokenizer:
        return load_tokenizer(self.location, registered_bos(self.request.run))

    def _texts(self) -> list[str]:
        given = [state.description for state in self.states]
        asked = self.settings.prompt
        if asked.prompt_format == "completion":
            # The same whatever tokenizer there is: one that cannot be loaded breaks a later stage.
            return [completion(description, asked.prompt_variant) for description in given]
        return [prompt_text(self._tokenizer, description, asked) for description in given]

    def _prompts(self) -> list[TokenIds]:
        given = (s.description for s in self.states)
        return [prompt(self._tokenizer, d, self.settings.prompt).token_ids for d in given]

    def _model(self) -> "LanguageModel":
        options = self.settings.options
        self.progress.say(f"loading {self.location.name} in {options.dtype} on {options.device}")
        return load_model(self.location, options)

    def _loaded(
        self, model: "LanguageModel | None", prompts: list[TokenIds] | None
    ) -> Loaded | None:
        if model is None or prompts is None:
            return None
        order = self.request.order or range(len(prompts))
        return Loaded(model, self._tokenizer, self.settings, prompts, order)

    def _decoded(self, loaded: Loaded | None) -> list[Completion]:
        ready = needed(loaded, self._missing())
        check_prompts(ready.model, ready.tokenizer, ready.prompts, self.settings.limits)
        self.progress.start(len(self.states), 0)
        return decoded(ready, self.progress)

    def _missing(self) -> str:
        return next(
            (name for name, s in self.attempts.stages.items() if s.failed), "an earlier one"
        )

    def _with_end(self, completions: Sequence[Completion]) -> tuple[TokenIds, ...]:
        """The generated tokens, with the end of the sequence where it was generated."""
        return tuple(
            (*each.token_ids, self._tokenizer.eos_id) if each.finished else each.token_ids
            for each in completions
        )

    def _path(
        self, output: Sequence[TokenIds], prompts: Sequence[TokenIds] | None
    ) -> Sequence[TokenIds]:
        """The answers to follow: the older record's, or our own, or for want of them right ones."""
        along = self.request.along
        if along is not None:
            known = dict(zip(along.stages["dataset"].digests, along.path, strict=False))
            own = output or [()] * len(self.states)
            digests = self.attempts.stages["dataset"].digests
            if others := sum(state not in known for state in digests):
                self.progress.say(
                    f"{others} of {len(digests)} states are not in the record to follow; "
                    "they follow their own answers"
                )
            return [known.get(state, ids) for state, ids in zip(digests, own, strict=True)]
        if output or prompts is None:
            return output
        end = self._tokenizer.eos_id
        return [(*correct_answer(self._tokenizer, state), end) for state in self.states]

    def _allowed(self, model: "LanguageModel | None", path: Sequence[TokenIds]) -> Allowed:
        from benchmark.decoding.walking import Walker

        if len(path) != len(self.states):
            raise MissingStageError(f"not reached: {self._missing()} failed")
        if self.settings.engine == "unconstrained":
            return Allowed((), ((),) * len(path))
        rows_ = model.get_input_embeddings().num_embeddings if model is not None else None
        walker = Walker(compiled(answer_expression(BOXES), self._tokenizer, rows_))
        along = tuple(walker.along(answer) for answer in path)
        return Allowed(tuple(map(prints.allowed_set, walker.sets)), along)

    def _logits(self, loaded: Loaded | None, path: Sequence[TokenIds]) -> Logits:
        self.progress.say("log-probabilities along the recorded answers")
        return log_probabilities(needed(loaded, self._missing()), path, self.progress)


def _answers(completions: Sequence[Completion] | None) -> list[Answer]:
    return [parse_answer(each.text, BOXES) for each in needed(completions, "output")]


def _each(rows_: Sequence[TokenIds]) -> Iterator[str]:
    return (digest(ids) for ids in rows_)


def _outputs(completions: Sequence[Completion]) -> Iterator[str]:
    return (digest([*each.token_ids, each.finished, each.text]) for each in completions)


def _values(logits: Logits) -> Iterator[str]:
    states = map(logits.state, range(len(logits.lengths)))
    return (digest([ids.tolist(), steps.tolist()]) for ids, steps in states)
