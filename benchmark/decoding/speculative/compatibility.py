"""Whether a model can be run in packed passes, found out by a trial on the model itself.

A list of architectures would be wrong with the next release of transformers. Instead a short
text is run both ways: anything that the model does and the passes do not shows in the logits.
The head scores only some of the vocabulary meanwhile: the logits of all tokens at all positions
take gigabytes for a large vocabulary, and show nothing more.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.logit_tolerance import TRIED_DTYPES, deviation
from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.model_runner import hidden_states, ragged
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass
from benchmark.decoding.speculative.token_selection import OutputHead
from benchmark.errors import ModelError
from benchmark.models.memory_errors import is_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmark.decoding.speculative.fused.passes import FusedKernels

_SHARED, _LENGTH, _SINGLE = 7, 24, 2
"""The trial's text: a prefix, then two rows in one pass of several tokens and others of one.

The second pass of one token attends to what the first one has stored.
"""

_SCORED = 512
"""The tokens that the head scores, at equal distances in the vocabulary."""

_LONGEST = 1024
"""The longest sliding window that the trial's text reaches beyond.

Prompts and answers together are shorter, so no longer window ever takes effect.
"""

_REFUSALS = (ModelError, AttributeError, IndexError, TypeError, RuntimeError, ValueError)
"""What layers raise that need other inputs, or whose keys and values have other shapes.

A model that changes the logits of certain tokens, by their ids, raises IndexError.
"""


def unsupported_reason(
    model: "PreTrainedModel",
    kernels: set[str] | None = None,
    fused: "FusedKernels | None" = None,
) -> str | None:
    """Return why packed passes do not reproduce this model's logits; None if they do.

    ``kernels`` gets the names of the attention kernels that its layers use on a GPU. With ``fused``
    the packed passes use these kernels.
    """
    if model.dtype not in TRIED_DTYPES:
        name = str(model.dtype).removeprefix("torch.")
        return f"no tolerance for logits in {name} is defined"
    try:
        vocabulary = model.get_input_embeddings().weight.shape[0]
        ids = [(7 * i * i + 3) % vocabulary for i in range(_text_length(model))]
        with torch.inference_mode(), _scoring_few(model):
            # The two ways may end on different GPUs if a model is spread over several.
            own = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].cpu().float()
            with fused.layers(model) if fused else nullcontext():
                packed = _packed_logits(model, ids, kernels, fused).cpu()
            own = torch.cat([own, own[_SHARED:]])
    except _REFUSALS as error:
        if is_out_of_memory(error):
            raise  # it may work with a smaller batch
        return f"its layers do not take packed passes: {' '.join(str(error).split())[:200]}"
    if not own.isfinite().all():
        return "its logits of a trial text are not finite"
    apart = deviation(own, packed, model.dtype)
    if apart is None:
        return None
    return f"its logits in packed passes are {apart:.2g} standard deviations off"


@contextmanager
def _scoring_few(model: "PreTrainedModel") -> Iterator[None]:
    """Let the head score :data:`_SCORED` tokens; restore it afterwards.

    Only the head's own reference to the weights is replaced: input embeddings that share them stay
    complete. A head that is not a plain linear layer scores all tokens.
    """
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or len(head.weight) <= _SCORED:
        yield
        return
    rows = torch.linspace(0, len(head.weight) - 1, _SCORED, device=head.weight.device).long()
    complete = {"weight": head.weight, "bias": head.bias}
    try:
        for name, parameter in complete.items():
            if parameter is not None:
                setattr(head, name, torch.nn.Parameter(parameter[rows], requires_grad=False))
        yield
    finally:
        for name, parameter in complete.items():
            setattr(head, name, parameter)


def _text_length(model: "PreTrainedModel") -> int:
    """Return the length of the trial's text in tokens."""
    window = getattr(model.config.get_text_config(), "sliding_window", None) or 0
    return _LENGTH + (window if window <= _LONGEST else 0)


def _packed_logits(
    model: "PreTrainedModel",
    ids: list[int],
    kernels: set[str] | None,
    fused: "FusedKernels | None",
) -> torch.Tensor:
    """Return the logits of every token, then of all but the prefix in a second row.

    Shape (tokens + tokens after the prefix, scored tokens).
    """
    cache, cost_model = RaggedCache(2, len(ids)), CostModel.on(model.device.type, rows=2)
    single_from = len(ids) - _SINGLE
    cuts = [(_SHARED, single_from), *((i, i + 1) for i in range(single_from, len(ids)))]
    by_row: list[list[torch.Tensor]] = [[], []]
    with ragged(model):
        prefix = hidden_states(model, ids[:_SHARED], range(_SHARED), PrefixPass(cache))
        for first, last in cuts:
            batch = Batch(_SHARED)
            for slot in range(2):
                batch.add(slot, first - _SHARED, ids[first:last])
            rows_pass = RowsPass(cache, batch, cost_model, kernels, fused)
            both = hidden_states(model, batch.tokens, batch.positions, rows_pass)
            for row, hidden in zip(by_row, both.view(2, last - first, -1), strict=True):
                row.append(hidden)
    return OutputHead(model).logits(torch.cat([prefix, *by_row[0], *by_row[1]]))
