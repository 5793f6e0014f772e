"""Whether a model answers a padded prompt as it answers the prompt alone, found out by a trial.

Prompts of a batch are padded on the left, and the padding is masked. Some models ignore the mask
(RWKV reads every token into its state) or count positions from the padding. Such a model would
answer by the prompts that share its batch, so it runs unpadded, one prompt at a time.
"""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from transformers import GenerationConfig

from benchmark.decoding.logit_tolerance import TRIED_DTYPES, deviation
from benchmark.models.memory_errors import is_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SHORT, _LONG = 9, 20
"""The lengths of the trial's two prompts: the shorter one gets 11 tokens of padding."""

_NEW_TOKENS = 3
"""The first token comes from the pass over the prompt, the others from cached passes."""

_REFUSALS = (AttributeError, IndexError, RuntimeError, TypeError, ValueError)
"""What models raise that cannot take a mask."""

_REASONS: "WeakKeyDictionary[PreTrainedModel, str | None]" = WeakKeyDictionary()
"""The outcome by model: each is tried once."""


def unpadded_reason(model: "PreTrainedModel", pad_id: int, batch_size: int) -> str | None:
    """Return why prompts of this model must not be padded; None if they may be.

    A prompt is continued by a few tokens alone and padded in a batch, by ``generate`` as for
    answers. The logits must agree within rounding, by the rule of
    :mod:`benchmark.decoding.logit_tolerance`. The trial reads no random stream and leaves the
    model as it was. With a batch size of 1 nothing is padded, so there is no trial; the outcome of
    an earlier one still counts.
    """
    if batch_size > 1 and model not in _REASONS:
        _REASONS[model] = _trial(model, pad_id)
    return _REASONS.get(model)


@torch.inference_mode()
def _trial(model: "PreTrainedModel", pad_id: int) -> str | None:
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids = [(7 * i * i + 3) % vocabulary for i in range(_LONG)]
    alone = _next_logits(model, [ids[:_SHORT]], pad_id)
    if not alone.isfinite().all():
        return None  # a fault of its own, which decoding reports with its place
    try:
        padded = _next_logits(model, [ids[:_SHORT], ids], pad_id)
    except _REFUSALS as error:
        if is_out_of_memory(error):
            raise
        return f"it does not take padded prompts: {' '.join(str(error).split())[:200]}"
    # After a near tie that flipped, the texts and so the later logits differ.
    agreeing = (alone.argmax(-1) == padded.argmax(-1)).long().cumprod(0).sum()
    compared = min(int(agreeing) + 1, len(alone))
    dtype = model.dtype if model.dtype in TRIED_DTYPES else torch.float32
    apart = deviation(alone[:compared], padded[:compared], dtype)
    return f"padding changes its logits by {apart:.2g} standard deviations" if apart else None


def _next_logits(model: "PreTrainedModel", prompts: list[list[int]], pad_id: int) -> torch.Tensor:
    """Return the logits of the tokens that follow the first prompt, shape (tokens, vocabulary)."""
    width, device = max(map(len, prompts)), model.get_input_embeddings().weight.device
    ids = [[pad_id] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    own_config = model.generation_config
    # Replaced, as generate() takes from the model's own config what an argument leaves open.
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=_NEW_TOKENS,
        pad_token_id=pad_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    try:
        output = model.generate(
            torch.tensor(ids, device=device), attention_mask=torch.tensor(mask, device=device)
        )
    finally:
        model.generation_config = own_config
    logits: torch.Tensor = torch.stack([step[0] for step in output.logits]).cpu().float()
    return logits
