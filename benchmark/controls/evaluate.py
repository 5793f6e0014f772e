"""Accuracy on the dev split while training, by the engine and the scoring of a run."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

from transformers import LlamaForCausalLM

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.evaluation import Questions, evaluate
from benchmark.runs.requests import RunRequest
from benchmark.runs.resolution import resolve
from benchmark.scoring.outcomes import MAIN
from benchmark.tasks import DEFAULT, task_named

Measure = Callable[[LlamaForCausalLM], tuple[float, float]]
"""Accuracy in per cent at numops 0, and above."""

_REQUEST = RunRequest(
    "a control in training",
    Path("unused"),
    engine="outlines",
    device="cpu",
    batch_size=32,
    max_new_tokens=64,
)


def dev_measure(recipe: Recipe, tokenizer: TransformersTokenizer) -> Measure:
    """Return what measures a model on evenly chosen states of the dev split's subsample."""
    task = task_named(DEFAULT)
    every = list(task.generate("dev", recipe.data_seed, default_vocabulary(), subsampled=True))
    states = list(islice(every, 0, None, max(1, len(every) // recipe.measure_states)))
    questions = Questions(task, resolve(_REQUEST), tokenizer, states)

    def measure(model: LlamaForCausalLM) -> tuple[float, float]:
        hits: dict[bool, list[bool]] = {False: [], True: []}
        for batch in evaluate(questions, model):
            for _, judged in batch:
                outcome = judged.outcomes[MAIN]
                for numops, right in zip(outcome.numops, outcome.correct, strict=True):
                    hits[numops > 0].append(right)
        return _percent(hits[False]), _percent(hits[True])

    return measure


def _percent(hits: list[bool]) -> float:
    return 100 * sum(hits) / len(hits)
