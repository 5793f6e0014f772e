"""Let a model's layers use the kernels, where a trial on the layer itself shows that it may.

A list of classes would be wrong with the next release of transformers. Instead a layer that looks
like a norm by root mean square or a gated MLP gets a few random states, and so does the kernel: if
the results are equal but for rounding, the layer uses the kernel from then on. Queries and keys are
rotated by a function of the model's module, which is treated in the same way. Decoder layers made
of such norms and MLPs follow (:mod:`~benchmark.decoding.speculative.fused.decoder_layers`).
"""

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.decoder_layers import NormForward, decoder_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROTATION = "apply_rotary_pos_emb"
"""The function of transformers' modules that rotates queries and keys."""

_ROWS = 5
"""The states of a trial of rotations."""

_SIZES = (1.0, 1.0, 1.0, 1.0, 1000.0, 0.0)
"""The sizes of the states of a trial of layers; large ones reach the bounds of a layer.

For norms there are some whose mean square is epsilon, which show what a norm does with it.
"""

_ROUNDINGS = 8
"""How many units of rounding a kernel may be off, of a result and its row's root mean square."""

_NORMS = (
    {"adds_one": False, "rounds": True},
    {"adds_one": False, "rounds": False},
    {"adds_one": True, "rounds": False},
)
"""The kinds of norms: Llama's, OLMo 2's and Gemma's."""

_Forward = Callable[[torch.Tensor], torch.Tensor]
_Maker = Callable[[torch.nn.Module], _Forward]
"""Takes a layer, and returns what computes the same by a kernel."""


@contextmanager
def fused_layers(model: "PreTrainedModel") -> Iterator[None]:
    """Let the layers of a model on the CPU use the kernels; restore them afterwards."""
    operations.use_threads()
    libraries = [sys.modules.get(type(module).__module__) for module in model.modules()]
    namespaces = [vars(library) for library in libraries if hasattr(library, _ROTATION)]
    with ExitStack() as stack:
        for layers in (_replacements(model), decoder_layers(model)):
            for module, forward in [*layers]:
                module.forward = forward
                stack.callback(delattr, module, "forward")
        for namespace in {id(one): one for one in namespaces}.values():
            # Models of one family may be used in turn, and end in any order.
            own = namespace[_ROTATION]
            own = own.own if isinstance(own, _Rotation) else own
            stack.callback(namespace.__setitem__, _ROTATION, own)
            namespace[_ROTATION] = _Rotation(own)
        yield


@torch.inference_mode()
def _replacements(model: "PreTrainedModel") -> Iterator[tuple[torch.nn.Module, _Forward]]:
    """Yield the layers that can use a kernel, each with what replaces its ``forward``."""
    for module in model.modules():
        if "forward" in vars(module):  # it was replaced for another purpose
            continue
        if _is_norm(module):
            candidates = [_norm_maker(**kind_of_norm) for kind_of_norm in _NORMS]
            maker = _nearest(_with_random_weight(module), candidates)
        elif _is_gated_mlp(module):
            kinds_of_gate = [one for one in (False, True) if _is_activation(module.act_fn, one)]
            maker = _nearest(module, [_mlp_maker(is_gelu=is_gelu) for is_gelu in kinds_of_gate])
        else:
            continue
        if maker:
            yield module, maker(module)


def _with_random_weight(norm: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a norm; with its own weight, which may be 1, other norms may be equal."""
    result = copy.deepcopy(norm)
    weight = next(result.parameters())
    generator = torch.Generator().manual_seed(1)
    weight.data = torch.randn(weight.shape, generator=generator).to(weight.dtype)
    return result


def _is_norm(module: torch.nn.Module) -> bool:
    names = [name for name, _ in module.named_parameters()]
    if names != ["weight"] or _epsilon(module) is None:
        return False
    return next(module.parameters()).dim() == 1


def _epsilon(module: torch.nn.Module) -> float | None:
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    return epsilon if isinstance(epsilon, float) else None


def _is_gated_mlp(module: torch.nn.Module) -> bool:
    children = {name for name, _ in module.named_children()}
    return children == {"gate_proj", "up_proj", "down_proj", "act_fn"}


def _is_activation(function: Callable[[torch.Tensor], torch.Tensor], is_gelu: bool) -> bool:
    """Return whether a function is that of the kernel.

    In float32, in which it is told from others that are as near as roundings of bfloat16.
    """
    numbers = torch.linspace(-6, 6, 121)[None]
    try:
        expected = function(numbers.clone())
    except (AttributeError, RuntimeError, TypeError, ValueError):  # it takes other arguments
        return False
    ones = torch.ones_like(numbers)
    return is_near(operations.gate(numbers, ones, is_gelu=is_gelu), expected)


def _norm_maker(*, adds_one: bool, rounds: bool) -> _Maker:
    def make(module: torch.nn.Module) -> _Forward:
        weight, epsilon = next(module.parameters()).detach(), _epsilon(module) or 0.0
        return NormForward(module.forward, operations.Norm(weight, epsilon, adds_one, rounds))

    return make


def _mlp_maker(*, is_gelu: bool) -> _Maker:
    def make(module: torch.nn.Module) -> _Forward:
        layers = dict(module.named_children())

        def forward(states: torch.Tensor) -> torch.Tensor:
            gates, ups = layers["gate_proj"](states), layers["up_proj"](states)
            result: torch.Tensor = layers["down_proj"](operations.gate(gates, ups, is_gelu=is_gelu))
            return result

        return forward

    return make


def _nearest(module: torch.nn.Module, makers: Sequence[_Maker]) -> _Maker | None:
    """Return what makes the kernel whose results are nearest to the layer's; None if none is near.

    In float32 several kinds of norms are the same, and in bfloat16 they differ by a rounding: the
    one with the most equal results is taken.
    """
    generator = torch.Generator().manual_seed(0)
    # Around 1: around 0, norms that subtract the mean are as near as roundings of bfloat16.
    sizes = torch.tensor([*_SIZES, ((_epsilon(module) or 1.0) / 2) ** 0.5])[:, None]
    states = sizes * (1 + torch.randn(1, len(sizes), _width(module), generator=generator))
    states = states.to(next(module.parameters()).dtype)
    try:
        expected = module(states)
        results = [maker(module)(states) for maker in makers]
    except (AttributeError, RuntimeError, TypeError, ValueError):  # it takes other arguments
        return None
    near = [
        (int((result != expected).sum()), i)
        for i, result in enumerate(results)
        if is_near(result, expected)
    ]
    return makers[min(near)[1]] if near else None


def _width(module: torch.nn.Module) -> int:
    """Return the number of a layer's inputs."""
    first = dict(module.named_children()).get("gate_proj")
    if first is None:
        return len(next(module.parameters()))
    # The weights of a packed layer may be empty.
    layer: Any = getattr(first, "dense", first)
    return int(layer.in_features)


def is_near(result: torch.Tensor, expected: torch.Tensor) -> bool:
    """Return whether two tensors of shape (..., width) are equal but for some roundings."""
    if result.shape != expected.shape or result.dtype != expected.dtype:
        return False
    wide = expected.float()
    apart = (result.float() - wide).abs()
    size = wide.abs() + wide.square().mean(-1, keepdim=True).sqrt()
    return bool((apart <= _ROUNDINGS * torch.finfo(expected.dtype).eps * size).all())


class _Rotation:
    """Rotates queries and keys by the kernel if it agrees with a module's own function.

    Random queries of each width are rotated both ways first. The model's own may be at position 0,
    where every rotation changes nothing.
    """

    def __init__(self, own: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> None:
        self.own = own
        self._agrees: dict[object, bool] = {}

    def __call__(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        *others: object,
        **named: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        tensors = queries, keys, cosines, sines
        if others or named or not _is_plain(*tensors):
            return self.own(*tensors, *others, **named)
        kind = queries.dtype, queries.shape[-1]
        if kind not in self._agrees:
            trial = _random_heads(queries, keys)
            pairs = zip(operations.rotate(*trial), self.own(*trial), strict=True)
            self._agrees[kind] = all(is_near(one, other) for one, other in pairs)
        return operations.rotate(*tensors) if self._agrees[kind] else self.own(*tensors)


def _random_heads(queries: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return random queries, keys, cosines and sines of the heads of a model."""
    generator, width = torch.Generator().manual_seed(0), queries.shape[-1]
    shapes = [(1, heads.shape[1], _ROWS, width) for heads in (queries, keys)]
    heads = [torch.randn(*shape, generator=generator) for shape in shapes]
    angles = 2 * torch.pi * torch.rand(1, _ROWS, width // 2, generator=generator).repeat(1, 1, 2)
    return tuple(one.to(queries.dtype) for one in (*heads, angles.cos(), angles.sin()))


def _is_plain(
    queries: torch.Tensor, keys: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor
) -> bool:
    """Return whether all dimensions of the heads of one packed sequence are rotated."""
    tokens, width = queries.shape[-2:]
    return (
        queries.dim() == keys.dim() == 4  # noqa: PLR2004
        and queries.shape[0] == keys.shape[0] == 1
        and keys.shape[-2:] == queries.shape[-2:]
        and cosines.shape == sines.shape == (1, tokens, width)
        and len({tensor.dtype for tensor in (queries, keys, cosines, sines)}) == 1
        and queries.dtype in operations.DTYPES
        and queries.device.type == "cpu"
        and not queries.requires_grad
    )
