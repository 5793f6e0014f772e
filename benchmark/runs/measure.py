"""Measure a model: from a request to predictions and a result on disk."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.boxes.baseline import baselines_as_json
from benchmark.decoding.connection import DeviceConnection
from benchmark.models.gpus import peak_gpu_memory, reset_peak_gpu_memory
from benchmark.models.loading import LoadOptions
from benchmark.models.location import Location
from benchmark.models.short_name import short_name
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import State, Tally, TokenIds
from benchmark.runs.data import check_number, load_states
from benchmark.runs.evaluation import Questions, evaluate
from benchmark.runs.forecast import forecast_seconds
from benchmark.runs.gpu_fit import fetch_engine_weights
from benchmark.runs.identity import identity
from benchmark.runs.loading import Loaders
from benchmark.runs.notices import Notices
from benchmark.runs.progress_notes import ProgressNotes
from benchmark.runs.requests import Progress, RunRequest, Speaker
from benchmark.runs.resolution import connected, located, registered_bos, resolve
from benchmark.runs.run_result import RunResult
from benchmark.runs.settings import ResolvedSettings
from benchmark.runs.store.run_folder import RunFolder
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.error_summary import answered, summarize_errors
from benchmark.stats.summary import Scored, scores_as_json
from benchmark.tasks import JudgedAnswer, by_score, task_named

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel

_UNCACHED = Loaders()


class Place(NamedTuple):
    """A device in the form of ``--device``, and the batch size that its memory allows.

    Without a batch size decoding begins with that of the settings.
    """

    device: str
    batch_size: int | None = None


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that is checked and ready to decode; its weights are not loaded yet.

    ``identity`` is everything that the score depends on: two runs with equal identities have equal
    results.
    """

    location: Location
    questions: Questions
    identity: dict[str, object]
    notices: Notices

    @property
    def settings(self) -> ResolvedSettings:
        """The resolved settings."""
        return self.questions.settings

    @property
    def tokenizer(self) -> TransformersTokenizer:
        """The model's tokenizer."""
        return self.questions.tokenizer

    @property
    def states(self) -> Sequence[State]:
        """The states of the data."""
        return self.questions.states

    @property
    def prompts(self) -> Sequence[TokenIds]:
        """The token ids of each state's prompt."""
        return self.questions.prompt_ids


def run(request: RunRequest, progress: Progress) -> RunResult:
    """Measure a model, resuming a run that is already in the folder.

    Raises:
        BenchmarkError: when the request cannot be carried out; the message says why.
    """
    prepared = prepare(request, progress)
    return execute(prepared, request.out, progress, set_aside=request.set_aside)


Ranks = Callable[[ResolvedSettings, Location, Sequence[TokenIds]], int | None]
"""Returns how many GPUs an engine in another process will get; None if it decides."""


def prepare(
    request: RunRequest,
    progress: Speaker,
    loaders: Loaders = _UNCACHED,
    ranks: Ranks | None = None,
) -> PreparedRun:
    """Check the request and read data and tokenizer, without loading weights.

    ``ranks`` decides on how many GPUs an engine in another process computes, which is part of what
    it is; by default it has all of the request.

    Raises:
        BenchmarkError: when the request cannot be carried out; the message says why.
    """
    # Cheap checks come before anything is read or fetched.
    check_number(request.data)
    task, settings = task_named(request.data.task), resolve(request)
    states = load_states(request.data)
    location = located(request)
    progress.say(f"loading the tokenizer of {location.name}, for {len(states)} prompts")
    tokenizer = loaders.tokenizer(location, registered_bos(request))
    if ranks and settings.engine_row.on_device:
        prompts = Questions(task, settings, tokenizer, states).prompt_ids
        if count := ranks(settings, location, prompts):
            settings = replace(settings, external=settings.external.on_gpus(count))
    settings = connected(settings, location, tokenizer, task.expression, progress.say)
    questions = Questions(task, settings, tokenizer, states)
    notices = Notices.of(questions)
    for line in notices.lines():
        progress.say(line)
    questions.check_limit()
    return PreparedRun(location, questions, identity(questions, location, tokenizer.bos), notices)


def execute(
    prepared: PreparedRun,
    out: Path,
    progress: Progress,
    *,
    device: Callable[[], AbstractContextManager[Place]] | None = None,
    set_aside: bool = False,
    loaders: Loaders = _UNCACHED,
) -> RunResult:
    """Decode the states that are missing in a folder, and write the result there.

    Args:
        prepared: the run.
        out: the folder.
        progress: shows the progress.
        device: returns a context that holds a device while states are decoded, and may lower
            the first batch size; by default the device of the settings is used.
        set_aside: whether to move a different run in the folder out of the way.
        loaders: load the weights.

    Raises:
        ResumeError: when the folder holds a different run or another process uses it.
        ModelError: when the weights cannot be loaded or do not fit.
    """
    with RunFolder(
        out, prepared.identity, set_aside=set_aside, has_digest=prepared.location.has_digest
    ) as folder:
        answers = _finished_answers(prepared, folder)
        largest = prepared.settings.limits.batch_size
        notes = folder.read_progress(largest).with_decoded(len(answers))
        if len(answers) < len(prepared.states) or not folder.read_result():
            requested = Place(prepared.settings.options.device)
            with device() if device else nullcontext(requested) as place:
                notes = _decode(prepared, place, folder, answers, notes, progress, loaders)
        else:
            prepared.notices.keep_weights(folder.read_result())  # no weights were loaded
        measured = _run_result(prepared, answers)
        _write(measured, prepared, notes, folder)
    return measured


def _write(
    measured: RunResult, prepared: PreparedRun, notes: ProgressNotes, folder: RunFolder
) -> None:
    notices = {"notices": prepared.notices.as_json()}
    result = {**measured.document, **notes.as_json(), **notices, **folder.identity}
    folder.finish(result, (state.description for state in prepared.states))


def _finished_answers(prepared: PreparedRun, folder: RunFolder) -> dict[int, JudgedAnswer]:
    """Return the answers in the folder, scored, by the index of their state."""
    texts = folder.read_predictions([state.description for state in prepared.states])
    return {
        index: prepared.questions.judge(index, texts[state.description])
        for index, state in enumerate(prepared.states)
        if state.description in texts
    }


def _decode(
    prepared: PreparedRun,
    place: Place,
    folder: RunFolder,
    answers: dict[int, JudgedAnswer],
    notes: ProgressNotes,
    progress: Progress,
    loaders: Loaders,
) -> ProgressNotes:
    """Decode the missing states, add them to the answers, and return the new notes."""
    name, states = prepared.location.name, prepared.states
    options = replace(prepared.settings.options, device=place.device)
    model = _model(prepared, options, progress, loaders)
    evaluation = evaluate(
        _placed_questions(prepared, place.device),
        model,
        done=frozenset(answers),
        # A batch size that did not fit before the run was stopped is not tried again.
        batch_size=min(filter(None, (notes.batch_size, place.batch_size)), default=None),
        say=progress.say,
    )
    notes = notes.restarted()
    missing = len(states) - len(answers)
    forecast = forecast_seconds(
        prepared.settings, model, missing, progress.say, batch_size=notes.batch_size
    )
    progress.start(len(states), len(answers), short_name(name), forecast)
    last = time.perf_counter()
    tally = _tally(answers.values())
    for batch in evaluation:
        folder.append_predictions(
            (states[index].description, answer.completion or answer.text) for index, answer in batch
        )
        answers.update(batch)
        now = time.perf_counter()
        batching = evaluation.batching
        notes = notes.extended(batching.sizes[-1], batching.composition, len(batch), now - last)
        last = now
        folder.write_progress(notes)
        new = _tally(answer for _, answer in batch)
        tally = Tally(tally.correct + new.correct, tally.total + new.total)
        progress.advance(len(batch), tally, peak_gpu_memory(options.device))
    return notes


def _placed_questions(prepared: PreparedRun, device: str) -> Questions:
    """Return the questions; an engine in another process computes on the device."""
    settings = prepared.settings
    if not isinstance(settings.connection, DeviceConnection):
        return prepared.questions
    placed = replace(settings, connection=settings.connection.placed(device))
    return replace(prepared.questions, settings=placed)


def _model(
    prepared: PreparedRun, options: LoadOptions, progress: Progress, loaders: Loaders
) -> "LanguageModel | None":
    """Load the weights and report notices about them; None for an engine that takes none."""
    settings = prepared.settings
    fetch_engine_weights(settings, prepared.location, prepared.prompts, progress.say)
    if not settings.engine_row.loads_weights:
        return None
    progress.say(f"loading {prepared.location.name} in {options.dtype} on {options.device}")
    reset_peak_gpu_memory(options.device)
    model = loaders.model(prepared.location, options)
    for line in prepared.notices.add_weights(model):
        progress.say(line)
    return model


def _tally(answers: Iterable[JudgedAnswer]) -> Tally:
    """Count the queries that are right by the main score."""
    correct = [right for answer in answers for right in answer.outcomes[MAIN].correct]
    return Tally(sum(correct), len(correct))


def _run_result(prepared: PreparedRun, answers: Mapping[int, JudgedAnswer]) -> RunResult:
    ordered = [answers[index] for index in range(len(prepared.states))]
    scores = {score: Scored.of(outcomes) for score, outcomes in by_score(ordered).items()}
    task = prepared.questions.task
    chance = task.baselines(prepared.states)
    texts = tuple(answer.text for answer in ordered)
    document = {
        **scores_as_json(scores),
        "baseline": baselines_as_json(chance),
        "answers_without_full_stop": sum("." not in text for text in texts),
        "errors": summarize_errors(
            answered(task, state, judged.answer)
            for state, judged in zip(prepared.states, ordered, strict=True)
        ).as_json(),
    }
    return RunResult(texts, scores, chance, document, prepared.identity)
