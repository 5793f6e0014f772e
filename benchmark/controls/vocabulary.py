"""The controls' tokenizer: a byte-level BPE whose pre-tokenizer does not split common phrases.

Short sequences make training cheap: a box with its verb (``, Box 3 contains``), an object with its
article (`` the bag``) and a location (`` from Box 2``) are one token each. All other text is split
into words and bytes, so that every text can be encoded exactly.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS, EOS = "<s>", "</s>"

_PHRASES = (
    r"(?:Statement: |Description: |, )?Box [0-9] contains",
    r" (?:from|to|into) Box [0-9]",
    r" the [A-Za-z]+",
    r"\. (?:Move|Remove|Put)",
    r"\n+",
    r" ?[A-Za-z]+",
    r" ?[0-9]",
    r" ?[^A-Za-z0-9\s]",
    r"\s",
)
"""Patterns of the pieces, tried in order; pieces cover the whole description."""


def train_tokenizer(texts: Iterable[str], size: int) -> "PreTrainedTokenizerFast":
    """Train a BPE tokenizer on the texts, with at most ``size`` entries including the bytes."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(_PHRASES)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[BOS, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,  # padding is masked; outlines would set the same token
        add_bos_token=True,  # as in Llama's tokenizer, so that engines and harnesses agree
        clean_up_tokenization_spaces=False,
    )
