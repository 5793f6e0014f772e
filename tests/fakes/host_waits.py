"""Count how often a pass would make the host wait for a GPU, on the meta device.

Tensors of the meta device have no data. Whatever looks at data (``item``, ``bool``, ``nonzero``,
masks as indices) raises an error there, so a pass that ends has done none of it. The ways to copy
are counted here.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.overrides import TorchFunctionMode

META = torch.device("meta")


class HostWaits(TorchFunctionMode):
    """Records the functions for which the host waits; ``tolist`` returns zeros."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call the function, and record it if the host waits for it."""
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        if name == "tolist" and isinstance(first, torch.Tensor) and first.device == META:
            self.waits.append(name)
            return torch.zeros(first.shape, dtype=torch.long).tolist()
        result = func(*args, **named)
        if self._copies(name, first, result) and not named.get("non_blocking"):
            self.waits.append(name)
        return result

    def _copies(self, name: str, first: object, result: object) -> bool:
        """Return whether numbers went from the host to the device."""
        if not isinstance(result, torch.Tensor) or result.device != META:
            return False
        if name in {"tensor", "as_tensor"}:
            return not isinstance(first, torch.Tensor) or first.device != META
        return name in {"to", "copy_", "cuda"} and (
            isinstance(first, torch.Tensor) and first.device != META
        )
