"""The only place that joins the stages: data, prompts, decoding, scoring, counts."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from benchmark.boxes.archive import read_archive
from benchmark.boxes.baseline import Percentages, baseline
from benchmark.boxes.dataset import generate, read_file, rows
from benchmark.boxes.language import statement
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES
from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import check_engine, create_engine
from benchmark.decoding.expression import answer_expression
from benchmark.decoding.protocols import protocol
from benchmark.errors import DataError, SettingError
from benchmark.models.hardware import describe
from benchmark.models.loading import (
    LoadOptions,
    check_options,
    load_model,
    load_tokenizer,
    resolve_device,
)
from benchmark.models.location import Location, locate
from benchmark.models.tokenizer import Tokenizer, TransformersTokenizer
from benchmark.prompts.rendering import check_format, prompt
from benchmark.records import Outcome, State, TokenIds
from benchmark.regression.environment import versions
from benchmark.scoring.outcomes import score
from benchmark.scoring.parsing import parse_answer
from benchmark.scoring.predictions import match, read_predictions
from benchmark.stats.summary import Summary, summarize
from benchmark.store.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class DataRequest:
    """Which states: of a JSONL file, of the authors' ZIP, or generated from a seed."""

    path: Path | None = None
    password: str | None = None
    seed: int = 0
    states: int | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run: which model on which states, and every setting that can change its score."""

    model: str
    out: Path
    data: DataRequest = DataRequest()
    engine: str = "outlines"
    protocol: str = "default"
    prompt_format: str = "completion"
    revision: str | None = None
    device: str = "auto"
    dtype: str | None = None
    quantization: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run came to, and the document that was written about it."""

    summary: Summary
    baseline: Percentages
    document: dict[str, object]


class Progress(Protocol):
    """Shows how far a run is."""

    def say(self, text: str) -> None:
        """What is being done now, where it is not decoding."""

    def start(self, total: int, done: int) -> None:
        """Decoding begins, with so many states already there."""

    def advance(self, states: int) -> None:
        """So many more states are on disk."""


def load_states(request: DataRequest) -> list[State]:
    """The states asked for: the first so many, in the order of the data.

    Raises:
        DataError: when the data cannot be read or has no states.
        SettingError: for a number of states below 1.
    """
    if request.states is not None and request.states < 1:
        raise SettingError(f"--states {request.states}: at least 1 is needed")
    if request.path is None:
        found = generate("test", request.seed, default_vocabulary(), subsampled=True)
    elif request.path.suffix.lower() == ".zip":
        found = read_archive(request.path, request.password)
    else:
        found = read_file(request.path)
    states = list(islice(found, request.states))
    if not states:
        raise DataError(f"{request.path}: no states in this file")
    if request.states is not None and len(states) < request.states:
        raise SettingError(f"--states {request.states}: the data has {len(states)}; ask for fewer")
    return states


def evaluate(states: Sequence[State], predictions: Sequence[str]) -> list[Outcome]:
    """The outcome of each state's predicted text."""
    return [
        score(parse_answer(text, BOXES), state)
        for state, text in zip(states, predictions, strict=True)
    ]


def score_files(predictions: Path, gold: DataRequest, *, partial: bool) -> Summary:
    """The summary of a file of predictions against gold states."""
    pairs = match(
        load_states(gold), read_predictions(predictions), str(predictions), partial=partial
    )
    scored = list(pairs)
    if not scored:
        raise DataError(f"{predictions}: no prediction for any state of the gold data")
    states, texts = zip(*scored, strict=True)
    return summarize(evaluate(states, texts))


def run(request: RunRequest, progress: Progress) -> Measured:
    """Measure a model, going on where an earlier run into the same folder stopped.

    Raises:
        BenchmarkError: for whatever of the request cannot be had; see the message.
    """
    # What costs nothing is checked before anything is read or fetched.
    settings = protocol(request.protocol).with_limits(request.batch_size, request.max_new_tokens)
    check_engine(request.engine)
    check_format(request.prompt_format)
    states = load_states(request.data)
    device = resolve_device(request.device)
    dtype = request.dtype or settings.dtype(device)
    options = check_options(LoadOptions(device, dtype, request.quantization))
    location = locate(request.model, request.revision)
    progress.say(f"tokenizing {len(states)} prompts for {location.name}")
    tokenizer = load_tokenizer(location)
    prompts = [prompt(tokenizer, s.description, request.prompt_format).token_ids for s in states]
    if settings.whole_answers:
        _check_limit(tokenizer, states, settings.limits)
    identity = _identity(request, settings.limits, states, location, options)
    with RunFolder(request.out, identity) as folder:
        work = _Work(request, settings.limits, location, options, tokenizer)
        timing = _decode(work, states, prompts, folder, progress)
        texts = folder.finished()
        measured = _measured(states, [texts[state.description] for state in states])
        folder.finish({**measured.document, "timing": timing, **identity})
    return measured


def _check_limit(tokenizer: Tokenizer, states: Sequence[State], limits: Limits) -> None:
    """Refuse a token limit that would cut a correct answer off."""
    worlds = (tuple(query.gold for query in state.queries) for state in states)
    longest = max(len(tokenizer.encode(f"Statement: {statement(world)}")) for world in worlds)
    if longest >= limits.max_new_tokens:  # one more is needed for the end of the sequence
        raise SettingError(
            f"--max-new-tokens {limits.max_new_tokens} would cut correct answers, which take up to "
            f"{longest + 1} tokens; raise it, or take --protocol paper, which cuts"
        )


def _identity(
    request: RunRequest,
    limits: Limits,
    states: Sequence[State],
    location: Location,
    options: LoadOptions,
) -> dict[str, object]:
    """Everything that can change a score."""
    digest = hashlib.sha256()
    for state in states:
        for row in rows(state):
            digest.update(row.encode() + b"\n")
    return {
        "model": {"name": location.name, "fingerprint": location.fingerprint},
        "data": {"sha256": digest.hexdigest(), "states": len(states)},
        "protocol": {
            "name": request.protocol,
            "engine": request.engine,
            "prompt_format": request.prompt_format,
            **asdict(limits),
            **asdict(options),
        },
        "environment": {"hardware": describe(options.device), "versions": versions()},
    }


@dataclass(frozen=True, slots=True)
class _Work:
    request: RunRequest
    limits: Limits
    location: Location
    options: LoadOptions
    tokenizer: TransformersTokenizer


def _decode(
    work: _Work,
    states: Sequence[State],
    prompts: Sequence[TokenIds],
    folder: RunFolder,
    progress: Progress,
) -> dict[str, float]:
    """Decode what is missing in the folder; how many states, and in how many seconds."""
    there = folder.finished()
    done = {index for index, state in enumerate(states) if state.description in there}
    started = time.perf_counter()
    if len(done) < len(states):
        progress.say(
            f"loading {work.location.name} in {work.options.dtype} on {work.options.device}"
        )
        model = load_model(work.location, work.options)
        engine = create_engine(
            work.request.engine, model, work.tokenizer, work.limits, answer_expression(BOXES)
        )
        started = time.perf_counter()
        progress.start(len(states), len(done))
        for batch in engine.generate(prompts, done):
            folder.append(
                (states[index].description, completion.text) for index, completion in batch
            )
            progress.advance(len(batch))
    seconds = time.perf_counter() - started
    return {"decoded_states": len(states) - len(done), "seconds": round(seconds, 2)}


def _measured(states: Sequence[State], texts: Sequence[str]) -> Measured:
    outcomes = evaluate(states, texts)
    summary = summarize(outcomes)
    chance = baseline(states)
    document = {
        **summary.as_json(),
        "baseline": chance,
        "unfinished_answers": sum("." not in text for text in texts),
        "outcomes": ["".join(str(int(right)) for right in outcome.correct) for outcome in outcomes],
    }
    return Measured(summary, chance, document)
