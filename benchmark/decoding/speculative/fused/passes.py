"""What a pass uses of the kernels; import it only with Numba."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.attention import PartialAttention, ScoreParameters
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import KeyValues
from benchmark.decoding.speculative.fused import operations
from benchmark.decoding.speculative.fused.compilation import forget
from benchmark.decoding.speculative.fused.layers import fused_layers
from benchmark.decoding.speculative.fused.operations import AllowedTokens, FusedPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class FusedKernels:
    """The kernels of this machine."""

    def layers(self, model: "PreTrainedModel") -> AbstractContextManager[None]:
        """Let the layers of a model use the kernels."""
        return fused_layers(model)

    def forget(self) -> None:
        """Remove the kept machine code, so that the next process compiles it again."""
        forget()

    def takes(self, query: torch.Tensor, parameters: ScoreParameters) -> bool:
        """Return whether there is a kernel for a layer's attention."""
        return (
            query.device.type == "cpu"
            and query.dtype in operations.DTYPES
            and parameters.softcap is None
        )

    def plan(self, batch: Batch) -> FusedPlan:
        """Return a pass as the arrays of the kernel."""
        return operations.plan_fused(batch, operations.thread_count())

    def attend(
        self,
        query: torch.Tensor,
        new: KeyValues,
        stored: KeyValues,
        plan: FusedPlan,
        parameters: ScoreParameters,
        to_prefix: PartialAttention | None,
    ) -> torch.Tensor:
        """Return :func:`operations.attend`."""
        return operations.attend(query, new, stored, plan, parameters, to_prefix)

    def allowed_tokens(self, sets: Sequence[torch.Tensor]) -> AllowedTokens:
        """Return sets of tokens as the kernel takes them."""
        return AllowedTokens(sets)
