"""The plain linear layers of a model, and their shapes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Shape = tuple[int, int]
"""The shape of a layer's weights: out features and in features."""


def packable_layers(model: torch.nn.Module, dtype: torch.dtype) -> Iterator[torch.nn.Linear]:
    """Yield the plain linear layers; subclasses, such as quantized ones, compute differently."""
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and layer.weight.dtype == dtype:
            yield layer


@dataclass(frozen=True)
class LinearShapes:
    """The shapes of a model's plain linear layers.

    Attributes:
        layers: how many layers have each shape, without the head.
        head: the shape of the output head; None if it is not a plain linear layer.
        dtype: the dtype of the weights.
    """

    layers: Mapping[Shape, int]
    head: Shape | None
    dtype: torch.dtype

    @classmethod
    def of(cls, model: "PreTrainedModel") -> Self:
        """Return the shapes of a model."""
        layers = list(packable_layers(model, model.dtype))
        head = model.get_output_embeddings()
        shapes = Counter(_shape(layer) for layer in layers if layer is not head)
        heads = [_shape(layer) for layer in layers if layer is head]
        return cls(dict(shapes), heads[0] if heads else None, model.dtype)

    @property
    def numbers(self) -> int:
        """The number of weights."""
        layers = sum(out * into * count for (out, into), count in self.layers.items())
        return layers + self.head_numbers

    @property
    def head_numbers(self) -> int:
        """The number of weights of the head; 0 if it is not a plain linear layer."""
        return self.head[0] * self.head[1] if self.head else 0

    @property
    def distinct(self) -> set[Shape]:
        """The distinct shapes, that of the head included."""
        return {*self.layers, *([self.head] if self.head else [])}


def _shape(layer: torch.nn.Linear) -> Shape:
    return layer.out_features, layer.in_features
