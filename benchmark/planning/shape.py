"""Count the size of a model on torch's meta device, without initializing or reading weights."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import ModelError
from benchmark.models.library_messages import missing_class

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The dimensions that determine a model's memory and time, in numbers of elements.

    Attributes:
        linear: weights of the linear layers in the blocks, which 8 bit makes int8.
        linear_rows: rows of those weights; 8 bit adds a scale per row.
        other: all other parameters: embeddings, norms, biases, and the head unless it is tied.
        head: weights of the output layer, used only at positions that are scored.
        unread: parameters that a pass hardly reads: embeddings that are not tied.
        windows: the attention window of each layer, None if it is unlimited.
    """

    linear: int
    linear_rows: int
    other: int
    head: int
    unread: int
    hidden_size: int
    intermediate_size: int
    heads: int
    key_value_heads: int
    head_dim: int
    vocabulary: int
    windows: tuple[int | None, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters; tied ones count once."""
        return self.linear + self.other

    @property
    def layers(self) -> int:
        """The number of layers."""
        return len(self.windows)


def shape(config: "PreTrainedConfig") -> ModelShape:
    """Return the shape of a model of this configuration.

    Raises:
        ModelError: if it is not a decoder with attention, or transformers cannot build it.
    """
    try:
        return _shape(config)
    except (AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # The architecture lacks an attribute used here, or transformers refuses to build it.
        reason = missing_class(error) or " ".join(str(error).split())[:200]
        raise ModelError(
            f"the size of a model of type {config.model_type!r} cannot be counted: {reason}"
        ) from error


def _shape(config: "PreTrainedConfig") -> ModelShape:
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = _linear_weights(model)
    embeddings = model.get_input_embeddings()
    tied = embeddings.weight is head.weight
    linear_weights = sum(weight.numel() for weight, _ in linear)
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    return ModelShape(
        linear=linear_weights,
        linear_rows=sum(rows for _, rows in linear),
        other=sum(parameter.numel() for parameter in model.parameters()) - linear_weights,
        head=head.weight.numel(),
        unread=0 if tied else embeddings.weight.numel(),
        hidden_size=text.hidden_size,
        # Older families have another name for it; the widest layer is at least as wide.
        intermediate_size=getattr(text, "intermediate_size", None) or max(r for _, r in linear),
        heads=heads,
        key_value_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
        # The cache knows which layers have a sliding window.
        windows=tuple(
            getattr(layer, "sliding_window", None) for layer in DynamicCache(config=config).layers
        ),
    )


def _linear_weights(model: "PreTrainedModel") -> list[tuple["torch.Tensor", int]]:
    """Return the weights of all linear layers except the head, with their numbers of outputs."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    weights = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            weights.append((module.weight, module.out_features))
        elif isinstance(module, Conv1D):  # the linear layer of GPT-2
            weights.append((module.weight, module.nf))
    return weights
