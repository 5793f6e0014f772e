"""A run: from a request to predictions and a result on disk."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.boxes.baseline import Percentages, baselines_as_json
from benchmark.models.hardware import gpu_memory
from benchmark.models.loading import LoadOptions
from benchmark.models.location import Location, locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.records import Outcome, State, Tally, TokenIds
from benchmark.runs.data import check_number, load_states
from benchmark.runs.evaluation import Questions, evaluate
from benchmark.runs.identity import identity
from benchmark.runs.loading import Loaders
from benchmark.runs.notices import Notices
from benchmark.runs.progress_notes import ProgressNotes
from benchmark.runs.requests import Progress, RunRequest
from benchmark.runs.resolution import registered_bos, resolve
from benchmark.runs.settings import ResolvedSettings
from benchmark.runs.store.run_folder import RunFolder
from benchmark.scoring.outcomes import MAIN
from benchmark.stats.summary import Scored, Summary, scores_as_json
from benchmark.tasks import JudgedAnswer, by_score, task_named

_ANEW = Loaders()


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run: the document about it, and the identity of what it depends on.

    ``texts`` are the answers, one per state; ``scores`` what is right in them by every score, and
    ``baselines`` what random answers would score, by every reading.
    """

    texts: tuple[str, ...]
    scores: Mapping[str, Scored]
    baselines: Mapping[str, Percentages]
    document: dict[str, object]
    identity: dict[str, object]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes by the main score, ``set``."""
        return self.scores["set"].outcomes

    @property
    def summary(self) -> Summary:
        """The summary by the main score, ``set``."""
        return self.scores["set"].summary

    @property
    def baseline(self) -> Percentages:
        """The random baseline of the main score, ``set``."""
        return self.baselines["set"]

    def document_of_record(self) -> dict[str, object]:
        """Result and identity as a snapshot keeps them, without the model's path on one machine."""
        model = self.identity.get("model")
        fingerprint = model.get("fingerprint") if isinstance(model, dict) else None
        return {**self.document, **self.identity, "model": {"fingerprint": fingerprint}}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run with all but its weights at hand.

    ``identity`` is everything that the score depends on; two runs with the same one give the
    same result.
    """

    location: Location
    questions: Questions
    identity: dict[str, object]
    notices: Notices

    @property
    def settings(self) -> ResolvedSettings:
        """The settings, as they are carried out."""
        return self.questions.settings

    @property
    def tokenizer(self) -> TransformersTokenizer:
        """The model's tokenizer."""
        return self.questions.tokenizer

    @property
    def states(self) -> Sequence[State]:
        """The states that are asked about."""
        return self.questions.states

    @property
    def prompts(self) -> Sequence[TokenIds]:
        """The token ids of each state's prompt."""
        return self.questions.prompt_ids


def run(request: RunRequest, progress: Progress) -> RunResult:
    """Measure a model, going on where an earlier run into the same folder stopped.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; see the message.
    """
    prepared = prepare(request, progress)
    return execute(prepared, request.out, progress, set_aside=request.set_aside)


def prepare(request: RunRequest, progress: Progress, loaders: Loaders = _ANEW) -> Prepared:
    """Read data and tokenizer, and check the request; no weights are loaded.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; see the message.
    """
    # What costs nothing is checked before anything is read or fetched.
    check_number(request.data)
    task, settings = task_named(request.data.task), resolve(request)
    states = load_states(request.data)
    location = locate(request.model, request.revision)
    progress.say(f"loading the tokenizer of {location.name}, for {len(states)} prompts")
    tokenizer = loaders.tokenizer(location, registered_bos(request))
    questions = Questions(task, settings, tokenizer, states)
    notices = Notices.of(questions)
    for line in notices.lines():
        progress.say(line)
    questions.check_limit()
    tokenizing = {
        "tokenizer_bos": tokenizer.bos.as_json(),
        "read_otherwise": notices.differing_prompts,
    }
    return Prepared(location, questions, identity(questions, location, tokenizing), notices)


def execute(
    work: Prepared,
    out: Path,
    progress: Progress,
    *,
    placed: Callable[[], AbstractContextManager[str]] | None = None,
    set_aside: bool = False,
    loaders: Loaders = _ANEW,
) -> RunResult:
    """Decode what is missing in the folder, and write the result there.

    Args:
        work: the run.
        out: its folder.
        progress: shows how far it is.
        placed: gives a device for as long as it takes, if something is to be decoded; by default
            the request's own.
        set_aside: move another run that is in the folder out of the way.
        loaders: what loads the weights.

    Raises:
        ResumeError: when the folder holds another run or another process holds it.
        ModelError: when the weights cannot be loaded or do not fit.
    """
    with RunFolder(out, work.identity, set_aside=set_aside) as folder:
        judged = _judged(work, folder)
        history = ProgressNotes.of(folder.notes()).with_decoded(len(judged))
        if len(judged) < len(work.states) or not folder.result():
            options = work.settings.options
            with placed() if placed else nullcontext(options.device) as device:
                on = replace(options, device=device)
                history = _decode(work, on, folder, judged, history, progress, loaders)
        else:
            work.notices.keep_weights(folder.result())  # no weights were loaded
        measured = _measured(work, judged)
        notices = {"notices": work.notices.as_json()}
        result = {**measured.document, **history.as_json(), **notices, **work.identity}
        texts = ((state.description, judged[i].text) for i, state in enumerate(work.states))
        folder.finish(result, texts)
    return measured


def _judged(work: Prepared, folder: RunFolder) -> dict[int, JudgedAnswer]:
    """Return the answers that are in the folder, scored, by the number of their state."""
    there = folder.finished()
    return {
        index: work.questions.judge(index, there[state.description])
        for index, state in enumerate(work.states)
        if state.description in there
    }


def _decode(
    work: Prepared,
    options: LoadOptions,
    folder: RunFolder,
    judged: dict[int, JudgedAnswer],
    before: ProgressNotes,
    progress: Progress,
    loaders: Loaders,
) -> ProgressNotes:
    """Decode what is missing in the folder, add it to the answers, and return how it went."""
    name = work.location.name
    model = None
    if work.settings.engine_row.loads_weights:
        progress.say(f"loading {name} in {options.dtype} on {options.device}")
        model = loaders.model(work.location, options)
        for line in work.notices.add_weights(model):
            progress.say(line)
    evaluation = evaluate(
        work.questions,
        model,
        done=frozenset(judged),
        # What did not fit before the run was stopped is not tried again.
        batch_size=before.batch_size,
        say=progress.say,
    )
    before = before.again()
    started, decoded, now = time.perf_counter(), 0, before
    progress.start(len(work.states), len(judged), Path(name).name)
    right = _right(judged.values())
    for batch in evaluation:
        folder.append((work.states[index].description, answer.text) for index, answer in batch)
        judged.update(batch)
        decoded += len(batch)
        seconds = time.perf_counter() - started
        batching = evaluation.batching
        now = before.plus(batching.sizes[-1], batching.composition, decoded, seconds)
        folder.note(now.as_json())
        new = _right(answer for _, answer in batch)
        right = Tally(right.correct + new.correct, right.total + new.total)
        progress.advance(len(batch), right, gpu_memory(options.device))
    return now


def _right(judged: Iterable[JudgedAnswer]) -> Tally:
    """Return how many queries are right by the main score, and how many there are."""
    correct = [right for each in judged for right in each.outcomes[MAIN].correct]
    return Tally(sum(correct), len(correct))


def _measured(work: Prepared, judged: Mapping[int, JudgedAnswer]) -> RunResult:
    answers = [judged[index] for index in range(len(work.states))]
    task = work.questions.task
    scores = {by: Scored.of(some) for by, some in by_score(answers).items()}
    chance = task.baselines(work.states)
    texts = tuple(answer.text for answer in answers)
    document = {
        **scores_as_json(scores),
        "baseline": baselines_as_json(chance),
        "answers_without_full_stop": sum("." not in text for text in texts),
    }
    return RunResult(texts, scores, chance, document, work.identity)
