"""Accuracy on the dev split during training, with an engine and the scoring of a run."""

from collections.abc import Callable
from itertools import islice

from transformers import LlamaForCausalLM

from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.evaluation import Questions, evaluate
from benchmark.runs.requests import NOT_WRITTEN, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.scoring.outcomes import MAIN
from benchmark.tasks import DEFAULT, task_named

DevEvaluation = Callable[[LlamaForCausalLM], tuple[float, float]]
"""A function that returns the accuracies in per cent at numops 0 and at numops >= 1."""

_REQUEST = RunRequest(
    "a control in training",
    NOT_WRITTEN,
    engine="outlines",
    device="cpu",
    batch_size=32,
    max_new_tokens=64,
)


def dev_evaluation(recipe: Recipe, tokenizer: TransformersTokenizer) -> DevEvaluation:
    """Return a function that evaluates a model on evenly spaced states of the dev subsample."""
    task = task_named(DEFAULT)
    subsample = list(task.generate("dev", recipe.data_seed, default_vocabulary(), subsampled=True))
    step = max(1, len(subsample) // recipe.measure_states)
    states = list(islice(subsample, 0, None, step))
    questions = Questions(task, resolve(_REQUEST), tokenizer, states)

    def evaluate_model(model: LlamaForCausalLM) -> tuple[float, float]:
        correct: dict[bool, list[bool]] = {False: [], True: []}
        for batch in evaluate(questions, model):
            for _, judged in batch:
                outcome = judged.outcomes[MAIN]
                for numops, right in zip(outcome.numops, outcome.correct, strict=True):
                    correct[numops > 0].append(right)
        return _percent(correct[False]), _percent(correct[True])

    return evaluate_model


def _percent(correct: list[bool]) -> float:
    return 100 * sum(correct) / len(correct)
