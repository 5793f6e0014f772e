"""What a pass uses of the kernels; import it only with Numba."""

import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import KeyValues, RaggedCache
from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.compilation import forget
from benchmark.decoding.speculative.fused.layers import fused_layers
from benchmark.decoding.speculative.fused.operations import AllowedTokens, FusedPlan


class FusedKernels:
    """The kernels of this machine."""

    layers = staticmethod(fused_layers)
    forget = staticmethod(forget)
    allowed_tokens = AllowedTokens

    def __init__(self) -> None:
        """Have no attention computed yet."""
        self.used_tiles = False
        """Whether any attention was computed by AMX's tiles."""

    def takes(self, query: torch.Tensor, parameters: ScoreParameters) -> bool:
        """Return whether there is a kernel for a layer's attention."""
        return (
            query.device.type == "cpu"
            and query.dtype in operations.DTYPES
            and parameters.softcap is None
        )

    def attend(
        self,
        query: torch.Tensor,
        new: KeyValues,
        cache: RaggedCache,
        layer: int,
        plan: FusedPlan,
        parameters: ScoreParameters,
    ) -> torch.Tensor:
        """Return :func:`operations.attend`, and note whether it was computed by tiles."""
        self.used_tiles |= operations.uses_tiles(query, parameters)
        return operations.attend(query, new, cache, layer, plan, parameters)

    def plan(self, batch: Batch) -> FusedPlan:
        """Return a pass as the arrays of the kernel."""
        return operations.plan_fused(batch, operations.thread_count())
