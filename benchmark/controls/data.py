"""Training data of the control models: prompts and answers as token ids."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from benchmark.boxes.generator import endless, signatures
from benchmark.boxes.language import describe, statement
from benchmark.boxes.portable_random import PortableRandom
from benchmark.boxes.states import replay
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.recipe import Recipe, TrainingStage
from benchmark.models.tokenizer import Tokenizer
from benchmark.prompts.rendering import completion
from benchmark.records import TokenIds


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A prompt and the answer to be learned, which includes the end of sequence."""

    prompt: TokenIds
    answer: TokenIds


class TrainingTexts:
    """Texts from states of the train split, reproducible from a key."""

    def __init__(self, recipe: Recipe) -> None:
        """Load the split's signatures and the vocabulary."""
        self._allowed = signatures("train", recipe.data_seed)
        self._vocabulary = default_vocabulary()

    def prompts(self, key: Sequence[int], count: int) -> list[str]:
        """Return complete prompts with their answers, to train a tokenizer on."""
        worlds = islice(endless(self._allowed, _draws(key), self._vocabulary), count)
        return [
            f"{completion(describe(initial, operations))}Statement: {statement(initial)}"
            for initial, operations in worlds
        ]

    def batch(self, key: Sequence[int], stage: TrainingStage) -> Iterator[tuple[str, str]]:
        """Yield the descriptions and answers of a batch, all with the same number of operations."""
        draws = _draws(key)
        count = draws.choice(stage.operations)
        for initial, operations in islice(
            endless(self._allowed, draws, self._vocabulary), stage.batch
        ):
            applied = operations[:count]
            answer = initial if stage.target == "initial" else replay(initial, applied)[-1]
            yield describe(initial, applied), statement(answer)


def shared_prefix(tokenizer: Tokenizer) -> TokenIds:
    """Return BOS and the tokens before the last description, which all prompts share."""
    head = completion("").rpartition("Description: ")[0]
    return (*_bos(tokenizer), *tokenizer.encode(head))


def training_example(
    tokenizer: Tokenizer, description: str, answer: str, *, bare: bool
) -> TrainingExample:
    """Return the last description and its answer; a bare one has only a BOS before it."""
    prompt = tokenizer.encode(f"Description: {description}")
    answer_ids = tokenizer.encode(f"Statement: {answer}")
    return TrainingExample(
        (*_bos(tokenizer), *prompt) if bare else prompt, (*answer_ids, tokenizer.eos_id)
    )


def _bos(tokenizer: Tokenizer) -> TokenIds:
    return () if tokenizer.leading_bos is None else (tokenizer.leading_bos,)


def _draws(key: Sequence[int]) -> PortableRandom:
    return PortableRandom(np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key)))))
