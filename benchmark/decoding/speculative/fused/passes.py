"""What a pass uses of the kernels; import it only with Numba."""

import torch

from benchmark.decoding.speculative.attention import ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.compilation import forget
from benchmark.decoding.speculative.fused.layers import fused_layers
from benchmark.decoding.speculative.fused.operations import AllowedTokens, FusedPlan
from benchmark.decoding.speculative.fused.tiles import can_use_tiles


class FusedKernels:
    """The kernels of this machine."""

    layers = staticmethod(fused_layers)
    forget = staticmethod(forget)
    attend = staticmethod(operations.attend)
    allowed_tokens = AllowedTokens

    def takes(self, query: torch.Tensor, parameters: ScoreParameters) -> bool:
        """Return whether there is a kernel for a layer's attention."""
        return (
            query.device.type == "cpu"
            and query.dtype in operations.DTYPES
            and parameters.softcap is None
        )

    def uses_tiles(self, dtype: torch.dtype) -> bool:
        """Return whether AMX's tiles are used for heads that fill them."""
        return dtype == torch.bfloat16 and can_use_tiles()

    def plan(self, batch: Batch) -> FusedPlan:
        """Return a pass as the arrays of the kernel."""
        return operations.plan_fused(batch, operations.thread_count())
