"""The size of a model, counted on torch's meta device: no weight is drawn, read or stored."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What of a model decides the memory and the time it takes, in numbers of elements.

    Attributes:
        linear: weights of the linear layers within the blocks, those that 8 bit makes int8.
        linear_rows: rows of those weights, each of which 8 bit gives a scale.
        other: all other parameters: embeddings, norms, biases, the head where it is not tied.
        head: weights of the output layer, multiplied only with positions that are scored.
        unread: parameters of which a pass reads next to nothing: embeddings, where not tied.
        windows: for each layer how many positions its attention sees, None for all of them.
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
        """All parameters, tied ones once."""
        return self.linear + self.other

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return len(self.windows)


def shape(config: "PreTrainedConfig") -> ModelShape:
    """Count a model of this configuration on the meta device.

    Raises:
        ModelError: when it is no decoder with attention, or not one that transformers can make.
    """
    try:
        return _shape(config)
    except (AttributeError, ImportError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # What an architecture lacks that this asks for, or transformers refuses to make.
        reason = " ".join(str(error).split())[:200]
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
    inside = sum(weight.numel() for weight, _ in linear)
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    return ModelShape(
        linear=inside,
        linear_rows=sum(rows for _, rows in linear),
        other=sum(parameter.numel() for parameter in model.parameters()) - inside,
        head=head.weight.numel(),
        unread=0 if tied else embeddings.weight.numel(),
        hidden_size=text.hidden_size,
        # Older families have other names for it, or none: the widest layer is as wide, or wider.
        intermediate_size=getattr(text, "intermediate_size", None) or max(r for _, r in linear),
        heads=heads,
        key_value_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
        # The cache itself knows which layers slide.
        windows=tuple(
            getattr(layer, "sliding_window", None) for layer in DynamicCache(config=config).layers
        ),
    )


def _linear_weights(model: "PreTrainedModel") -> list[tuple["torch.Tensor", int]]:
    """The weights of the linear layers but the head, each with how many outputs it has."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    found = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            found.append((module.weight, module.out_features))
        elif isinstance(module, Conv1D):  # the linear layer of GPT-2
            found.append((module.weight, module.nf))
    return found
