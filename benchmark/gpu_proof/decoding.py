"""Load a model and decode states with it, with times and memory."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.decoding.certificate import AnswerRule, Certificate, EngineAnswer, certify
from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.models.gpus import synchronize
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.planning.memory import DecodingBatch
from benchmark.planning.planning import pass_tokens
from benchmark.records import Completion
from benchmark.runs.evaluation import Decoder, Questions
from benchmark.runs.requests import NOT_WRITTEN, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.scoring.outcomes import MAIN
from benchmark.tasks import DEFAULT, task_named

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CERTIFIED_TOGETHER = 8
"""How many answers are certified in one pass; their logits take memory."""

NEW_TOKENS = 100
"""The token limit: that of the paper."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Completions by state, and what they took.

    Attributes:
        completions: by the number of the state.
        correct: boxes whose contents are right.
        boxes: how many were asked about.
        seconds: of decoding.
        passes: forward passes, None for an engine that does not count them.
        composition: of the engine.
        sizes: the batch sizes that were used.
    """

    completions: dict[int, Completion]
    correct: int
    boxes: int
    seconds: float
    passes: int | None
    composition: dict[str, object]
    sizes: tuple[int, ...] = ()

    def figures(self) -> dict[str, object]:
        """Return the figures for a report."""
        return {
            "states": len(self.completions),
            "seconds_per_state": round(self.seconds / len(self.completions), 4),
            "passes": self.passes,
            "seconds_per_pass": round(self.seconds / self.passes, 5) if self.passes else None,
            "correct": self.correct,
            "boxes": self.boxes,
            "composition": self.composition,
        }

    def differing(self, other: "Decoded") -> list[int]:
        """Return the states of both whose tokens differ."""
        common = sorted(self.completions.keys() & other.completions.keys())
        return [
            state
            for state in common
            if self.completions[state].token_ids != other.completions[state].token_ids
        ]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its tokenizer, and the seconds that loading took."""

    model: "PreTrainedModel"
    tokenizer: TransformersTokenizer
    options: LoadOptions
    seconds: float


def load(folder: Path, device: str, dtype: str, quantization: str | None = None) -> LoadedModel:
    """Load a model with the normal loader."""
    location = locate(str(folder))
    options = LoadOptions(device, dtype, quantization)
    started = time.perf_counter()
    model = load_model(location, options)
    synchronize(device)
    return LoadedModel(model, load_tokenizer(location), options, time.perf_counter() - started)


def decode(loaded: LoadedModel, states: int, engine: str, batch_size: int) -> Decoded:
    """Decode the first states of the test split; memory that runs out is an error."""
    questions, decoder = _decoder(loaded, states, engine, batch_size)
    decoder.check(questions.prompt_ids)
    created = decoder.engine(questions.settings.limits, questions.drafts)
    synchronize(loaded.options.device)
    started = time.perf_counter()
    completions = dict(pair for batch in created.generate(questions.prompt_ids) for pair in batch)
    synchronize(loaded.options.device)
    seconds = time.perf_counter() - started
    statistics = getattr(created, "statistics", None)
    passes = None if statistics is None else int(statistics.passes)
    counts = _counts(questions, completions)
    return Decoded(completions, *counts, seconds, passes, created.composition, (batch_size,))


def decode_backing_off(loaded: LoadedModel, states: int, batch_size: int) -> Decoded:
    """Decode as a run does, which halves the batch if memory runs out."""
    questions, decoder = _decoder(loaded, states, "speculative", batch_size)
    started = time.perf_counter()
    completions = dict(
        pair for batch in decoder.decode(questions.prompt_ids, questions.drafts) for pair in batch
    )
    seconds = time.perf_counter() - started
    batching = decoder.batching
    counts = _counts(questions, completions)
    return Decoded(
        completions, *counts, seconds, None, dict(batching.composition), tuple(batching.sizes)
    )


def batch_of(loaded: LoadedModel, states: int, batch_size: int) -> DecodingBatch:
    """Return what a forecast of memory needs to know of these states' prompts."""
    questions, _ = _decoder(loaded, states, "speculative", batch_size)
    ordered = sorted(questions.prompt_ids)
    return DecodingBatch(
        min(batch_size, states),
        max(map(len, ordered)),
        NEW_TOKENS,
        shared_tokens=common_prefix_length(ordered[0], ordered[-1]),
        pass_tokens=pass_tokens(),
    )


def certified(loaded: LoadedModel, decoded: Decoded) -> Certificate:
    """Return whether answers are the model's own greedy choices, but for rounding.

    One teacher-forced pass of transformers' own attention over prompts and answers tells.
    """
    count = max(decoded.completions) + 1
    questions, decoder = _decoder(loaded, count, "speculative", 1)
    answers = [
        EngineAnswer(questions.prompt_ids[i], completion.token_ids, completion.finished)
        for i, completion in sorted(decoded.completions.items())
    ]
    dtype = loaded.model.dtype
    end = loaded.tokenizer.eos_id
    rule = AnswerRule(decoder.constraint, (end,), NEW_TOKENS, (dtype, dtype))
    return certify(loaded.model, answers, rule, _CERTIFIED_TOGETHER)


def _decoder(
    loaded: LoadedModel, states: int, engine: str, batch_size: int
) -> tuple[Questions, Decoder]:
    task = task_named(DEFAULT)
    every = task.generate("test", 0, default_vocabulary(), subsampled=True)
    request = RunRequest(
        loaded.tokenizer.name,
        NOT_WRITTEN,
        engine=engine,
        device=loaded.options.device,
        dtype=loaded.options.dtype,
        batch_size=batch_size,
        max_new_tokens=NEW_TOKENS,
    )
    settings = resolve(request)
    questions = Questions(task, settings, loaded.tokenizer, list(islice(every, states)))
    return questions, Decoder(settings, task.expression, loaded.tokenizer, loaded.model)


def _counts(questions: Questions, completions: dict[int, Completion]) -> tuple[int, int]:
    outcomes = [questions.judge(i, c.text).outcomes[MAIN] for i, c in completions.items()]
    right: Sequence[bool] = [right for outcome in outcomes for right in outcome.correct]
    return sum(right), len(right)
