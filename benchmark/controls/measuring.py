"""Accuracy on the dev split while training, by the engine and the scoring of a run."""

from collections.abc import Callable
from itertools import islice

from transformers import LlamaForCausalLM

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.dataset import generate
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.boxes.world import BOXES
from benchmark.controls.recipe import Recipe
from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import create_engine
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.rendering import prompt
from benchmark.prompts.settings import PromptSettings
from benchmark.scoring.outcomes import score
from benchmark.scoring.parsing import parse_answer

Measure = Callable[[LlamaForCausalLM], tuple[float, float]]
"""Accuracy in per cent at numops 0, and above."""

_LIMITS = Limits(batch_size=32, max_new_tokens=64)


def dev_measure(recipe: Recipe, tokenizer: TransformersTokenizer) -> Measure:
    """Measures a model on evenly chosen states of the dev split's subsample."""
    every = list(generate("dev", recipe.data_seed, default_vocabulary(), subsampled=True))
    states = list(islice(every, 0, None, max(1, len(every) // recipe.measure_states)))
    prompts = [prompt(tokenizer, state.description, PromptSettings()).token_ids for state in states]

    def measure(model: LlamaForCausalLM) -> tuple[float, float]:
        engine = create_engine("outlines", model, tokenizer, _LIMITS, answer_expression(BOXES))
        hits: dict[bool, list[bool]] = {False: [], True: []}
        for batch in engine.generate(prompts):
            for index, completion in batch:
                outcome = score(parse_answer(completion.text, BOXES), states[index])
                for numops, right in zip(outcome.numops, outcome.correct, strict=True):
                    hits[numops > 0].append(right)
        return _percent(hits[False]), _percent(hits[True])

    return measure


def _percent(hits: list[bool]) -> float:
    return 100 * sum(hits) / len(hits)
