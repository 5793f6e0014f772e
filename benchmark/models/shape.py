"""The size of a model, counted on torch's meta device: no weight is drawn, read or stored."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class Shape:
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


def shape(config: "PreTrainedConfig") -> Shape:
    """Count a model of this configuration on the meta device."""
    import torch
    from transformers import AutoModelForCausalLM, DynamicCache

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    embeddings = model.get_input_embeddings()
    tied = embeddings.weight is head.weight
    inside = sum(module.weight.numel() for module in linear)
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    return Shape(
        linear=inside,
        linear_rows=sum(module.out_features for module in linear),
        other=sum(parameter.numel() for parameter in model.parameters()) - inside,
        head=head.weight.numel(),
        unread=0 if tied else embeddings.weight.numel(),
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        heads=heads,
        key_value_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
        # The cache itself knows which layers slide.
        windows=tuple(
            getattr(layer, "sliding_window", None) for layer in DynamicCache(config=config).layers
        ),
    )
