"""The controls' tokenizer: a byte-level BPE whose pre-tokenizer keeps stock phrases whole.

Few tokens make training cheap: a box with its verb (``, Box 3 contains``), an object with its
article (`` the bag``) and a place (`` from Box 2``) are one token each. Any other text is spelt
in words and bytes, so the spelling is exact for whatever comes.
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
"""What becomes one piece, the first that fits; a description is pieces from end to end."""


def train_tokenizer(texts: Iterable[str], size: int) -> "PreTrainedTokenizerFast":
    """A BPE tokenizer learnt from the texts, with at most ``size`` entries, bytes included."""
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
        pad_token=EOS,  # padding is masked; outlines would set the same
        add_bos_token=True,  # by itself, as Llama's does: engines and harnesses then agree
        clean_up_tokenization_spaces=False,
    )
