"""Decoder layers whose sums with the residual stream are computed with the norm behind them.

A layer of most models is ``states = states + attention(norm(states))`` and
``states = states + mlp(norm(states))``. A sum and the norm of it, which the next part or the next
layer starts with, take one kernel: numbers that are still in the processor's caches are not read
from memory again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest

import torch

from benchmark.decoding.speculative.fused.operations import Norm
from benchmark.models.memory_errors import is_out_of_memory

_FIRST, _SECOND = "input_layernorm", "post_attention_layernorm"

_PARTS = {_FIRST, "self_attn", _SECOND, "mlp"}
"""The children of such a layer."""

_SIZES = (1.0, 0.001, 1000.0, 0.0)
"""The sizes of the states of a trial."""

_REFUSALS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a layer raises that calls its parts in another way, or returns something else."""

_Forward = Callable[..., torch.Tensor]


class NormForward:
    """What replaces the ``forward`` of a norm; its result may have been computed in advance."""

    def __init__(self, own: Callable[[torch.Tensor], torch.Tensor], norm: Norm) -> None:
        """Take the norm's own ``forward``, for states of another kind, and the kernel's."""
        self._own = own
        self._norm = norm
        self._ahead: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Return the norm of states of shape (..., width)."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0] is states:
            return ahead[1]
        return self._norm.normalize(states) if self._takes(states) else self._own(states)

    def _takes(self, states: torch.Tensor) -> bool:
        weight = self._norm.weight
        return states.dtype == weight.dtype and states.shape[-1] == len(weight)

    def sums(self, states: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """Return sums of two tensors of shape (..., width), and keep the norm of the sums.

        They take the place of the changes if the kernel is for such tensors. The norm is returned
        when the norm of this very tensor is asked for next; nothing may change it in between.
        """
        if (
            not self._takes(states)
            or changes.dtype != states.dtype
            or changes.shape != states.shape
            or not changes.is_contiguous()
        ):
            return states + changes
        self._ahead = changes, self._norm.add_and_normalize(states, changes)
        return changes


def decoder_layers(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, _Forward]]:
    """Yield the layers whose norms and MLPs use kernels, each with what replaces its ``forward``.

    The replacement computes the same, which it checks when it is first called.
    """
    for modules in model.modules():
        if isinstance(modules, torch.nn.ModuleList):
            for layer, following in zip_longest(modules, [*modules][1:]):
                if _is_decoder_layer(layer):
                    yield layer, _LayerForward(layer, _first_norm(following))


def _first_norm(layer: torch.nn.Module | None) -> NormForward | None:
    """Return the kernel of a layer's first norm, if it has one."""
    norm = None if layer is None else dict(layer.named_children()).get(_FIRST)
    return None if norm is None else _kernel_of(norm)


def _is_decoder_layer(module: torch.nn.Module) -> bool:
    children = dict(module.named_children())
    if children.keys() != _PARTS or "forward" in vars(module):
        return False
    norms = children[_FIRST], children[_SECOND]
    return all(map(_kernel_of, norms)) and "forward" in vars(children["mlp"])


def _kernel_of(norm: torch.nn.Module) -> NormForward | None:
    forward = vars(norm).get("forward")
    return forward if isinstance(forward, NormForward) else None


class _LayerForward:
    """What replaces the ``forward`` of a decoder layer."""

    def __init__(self, layer: torch.nn.Module, following: NormForward | None) -> None:
        """Take a layer, and the kernel of the first norm of the layer behind it."""
        self._own: _Forward = layer.forward
        self._parts = dict(layer.named_children())
        self._second: NormForward = vars(self._parts[_SECOND])["forward"]
        self._following = following
        self.is_plain: bool | None = None
        """Whether the kernels' results are the layer's own; None before the first call."""

    def __call__(
        self, hidden_states: torch.Tensor, *others: object, **named: object
    ) -> torch.Tensor:
        """Return the states behind the layer; its attention gets all that is named."""
        if others:
            return self._own(hidden_states, *others, **named)
        if self.is_plain is None:
            self.is_plain = self._has_own_results(hidden_states, named)
        forward = self._forward if self.is_plain else self._own
        return forward(hidden_states, **named)

    def _forward(self, hidden_states: torch.Tensor, **named: object) -> torch.Tensor:
        parts = self._parts
        attended, *_ = parts["self_attn"](hidden_states=parts[_FIRST](hidden_states), **named)
        states = self._second.sums(hidden_states, attended)
        changes: torch.Tensor = parts["mlp"](parts[_SECOND](states))
        return self._following.sums(states, changes) if self._following else states + changes

    def _has_own_results(self, states: torch.Tensor, named: Mapping[str, object]) -> bool:
        """Return whether both ways have the same results, with stand-ins for attention and MLP.

        The stand-ins must also get the same arguments. States that are small or 0 show whether
        anything but the stand-ins' results was added to them.
        """
        calls: list[dict[str, object]] = []

        def attend(*, hidden_states: torch.Tensor, **others: object) -> tuple[torch.Tensor, object]:
            calls.append(others)
            return hidden_states.flip(-1), object()  # which the layer must not use

        generator = torch.Generator().manual_seed(0)
        random = torch.randn(1, len(_SIZES), states.shape[-1], generator=generator)
        trial = (torch.tensor(_SIZES)[:, None] * random).to(states.dtype)
        try:
            with (
                _replaced(self._parts["self_attn"], attend),
                _replaced(self._parts["mlp"], lambda normed: normed.roll(1, -1)),
            ):
                expected, result = self._own(trial, **named), self._forward(trial, **named)
            one, other = calls
            same = all(one.get(name) is other.get(name) for name in {*one, *other})
            return same and torch.equal(result, expected)  # both use the kernels of the norms
        except _REFUSALS as error:
            if is_out_of_memory(error):
                raise
            return False


@contextmanager
def _replaced(module: torch.nn.Module, forward: Callable[..., object]) -> Iterator[None]:
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if before:
            module.forward = before
