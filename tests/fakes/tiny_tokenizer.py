"""A real byte-level BPE tokenizer, trained on a short text about boxes."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from benchmark.models.tokenizer import TransformersTokenizer

_SIZE = 348
"""BOS, EOS, the 256 bytes and 90 merges: single letters as well as ``contains`` are tokens."""

_TEXT = (
    "Statement: Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the car,"
    " Box 3 contains the coat and the cross and the paper, Box 4 contains the string, Box 5 "
    "contains the machine, Box 6 contains nothing. Move the bag from Box 0 to Box 2. Remove the "
    "car from Box 2. Put the glass into Box 3.\n\nDescription: "
)

_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}\n"
    "{% endfor %}[assistant] "
)


def tiny_tokenizer(chat_template: str | None = _CHAT_TEMPLATE) -> TransformersTokenizer:
    """Return a tokenizer of 348 tokens that adds ``<s>``, by default with a chat template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_SIZE,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator([_TEXT], trainer)
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    raw = PreTrainedTokenizerFast(tokenizer_object=backend, add_bos_token=True, **special)
    raw.chat_template = chat_template
    return TransformersTokenizer(raw, "tiny")
