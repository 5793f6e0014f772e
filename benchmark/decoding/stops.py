"""The token ids that end a completion."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def stop_ids(model: "PreTrainedModel", eos_id: int) -> frozenset[int]:
    """Return the tokenizer's EOS and the ids that the model's generation config names."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    more = configured if isinstance(configured, list) else [configured]
    return frozenset({eos_id, *(i for i in more if i is not None)})
