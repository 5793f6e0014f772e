"""What the controls are trained on: prompts and answers, as token ids."""

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
    """What is given, and what is to be written after it, end of sequence included."""

    given: TokenIds
    wanted: TokenIds


class TrainingTexts:
    """Examples from worlds of the train split, the same for the same key."""

    def __init__(self, recipe: Recipe) -> None:
        """Take the split's signatures and the vocabulary."""
        self._allowed = signatures("train", recipe.data_seed)
        self._vocabulary = default_vocabulary()

    def prompts(self, key: Sequence[int], count: int) -> list[str]:
        """Whole prompts with their answers, to learn a tokenizer from."""
        worlds = islice(endless(self._allowed, _draws(key), self._vocabulary), count)
        return [
            f"{completion(describe(initial, operations))}Statement: {statement(initial)}"
            for initial, operations in worlds
        ]

    def batch(self, key: Sequence[int], stage: TrainingStage) -> Iterator[tuple[str, str]]:
        """Descriptions and answers of one batch; they have as many operations as each other."""
        draws = _draws(key)
        count = draws.choice(stage.operations)
        for initial, operations in islice(
            endless(self._allowed, draws, self._vocabulary), stage.batch
        ):
            done = operations[:count]
            answer = initial if stage.target == "initial" else replay(initial, done)[-1]
            yield describe(initial, done), statement(answer)


def prefix_ids(tokenizer: Tokenizer) -> TokenIds:
    """BOS and the tokens before the last description, the same in every prompt."""
    head = completion("").rpartition("Description: ")[0]
    return (*_bos(tokenizer), *tokenizer.encode(head))


def example(tokenizer: Tokenizer, description: str, answer: str, *, bare: bool) -> TrainingExample:
    """The last description and its answer; a bare one has a BOS and no prompt before it."""
    given = tokenizer.encode(f"Description: {description}")
    wanted = tokenizer.encode(f"Statement: {answer}")
    return TrainingExample(
        (*_bos(tokenizer), *given) if bare else given, (*wanted, tokenizer.eos_id)
    )


def _bos(tokenizer: Tokenizer) -> TokenIds:
    return () if tokenizer.leading_bos is None else (tokenizer.leading_bos,)


def _draws(key: Sequence[int]) -> PortableRandom:
    return PortableRandom(np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key)))))
