"""How a run loads its tokenizer and weights: each time, or cached for the next run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from benchmark.models.bos import BosRule
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import Location
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.models.tokenizer_loading import load_tokenizer

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel


@dataclass(frozen=True, slots=True)
class Loaders:
    """The functions that load a tokenizer and a model."""

    tokenizer: Callable[[Location, BosRule | None], TransformersTokenizer] = load_tokenizer
    model: "Callable[[Location, LoadOptions], LanguageModel]" = load_model

    @classmethod
    def cached(cls) -> Self:
        """Return loaders that cache what they loaded last, for several runs of one model."""
        return cls(lru_cache(maxsize=1)(load_tokenizer), lru_cache(maxsize=1)(load_model))
