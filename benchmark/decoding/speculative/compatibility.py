"""Whether a model can be run in packed passes: asked of the model itself, by a trial.

A list of architectures would be wrong with the next release of transformers. Instead a short
text is run in both ways; whatever a model does that the passes do not is seen in the logits.
"""

from typing import TYPE_CHECKING

import torch

from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.cache import RaggedCache
from benchmark.decoding.speculative.cost_model import CostModel
from benchmark.decoding.speculative.model_runner import hidden_states, ragged
from benchmark.decoding.speculative.passes import PrefixPass, RowsPass
from benchmark.decoding.speculative.token_selection import Head
from benchmark.errors import ModelError
from benchmark.models.memory_errors import is_out_of_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2, "float16": 0.05}
"""How far logits may be apart, in standard deviations of them: what rounding makes of it.

In float32 the worst of them counts. In 16 bit it is the root of their mean square: of a million
logits of SmolLM2 in bfloat16 the worst is 0.5 off by rounding alone, the mean 0.05.
"""

_OF_A_TOKEN = 1.5
"""So many times as far may those of one token be apart in 16 bit: of SmolLM2's the worst is 0.17.

A feature that the passes lack moves the logits of the tokens that it is about, and a forgotten
window is about those beyond it alone.
"""

_SHARED, _LENGTH, _SINGLE = 7, 24, 9
"""The trial's text: a prefix, then two rows in one pass of several tokens and others of one."""

_LONGEST = 1024
"""A sliding window up to so many tokens is tried by a text that reaches beyond it.

Prompts and answers together are shorter than that: no longer window is ever left.
"""

_REFUSALS = (ModelError, AttributeError, TypeError, RuntimeError, ValueError)
"""What layers raise that want other inputs, or whose keys and values are of other shapes."""


def unsupported(model: "PreTrainedModel") -> str | None:
    """Why packed passes do not give this model's logits; None where they do."""
    name = str(model.dtype).removeprefix("torch.")
    tolerance = _TOLERANCE.get(name)
    if tolerance is None:
        return f"how far its logits may be apart in {name} is not known"
    try:
        vocabulary = model.get_input_embeddings().weight.shape[0]
        ids = [(7 * i * i + 3) % vocabulary for i in range(_length(model))]
        with torch.inference_mode():
            # The two ways may end on different GPUs where a model is spread over several.
            own = model(input_ids=torch.tensor([ids], device=model.device)).logits[0].cpu().float()
            packed = _packed(model, ids).cpu()
            own = torch.cat([own, own[_SHARED:]])
    except _REFUSALS as error:
        if is_out_of_memory(error):
            raise  # a smaller batch may do
        return f"its layers do not take packed passes: {' '.join(str(error).split())[:200]}"
    off = (own - packed) / own.std()
    if name == "float32":
        apart = off.abs().max().item()
    else:
        squares = off.square().mean(-1)
        apart = max(squares.mean().sqrt().item(), squares.max().sqrt().item() / _OF_A_TOKEN)
    if apart <= tolerance:
        return None
    return f"its logits in packed passes are {apart:.2g} standard deviations off"


def _length(model: "PreTrainedModel") -> int:
    """How many tokens the trial's text has."""
    window = getattr(model.config.get_text_config(), "sliding_window", None) or 0
    return _LENGTH + (window if window <= _LONGEST else 0)


def _packed(model: "PreTrainedModel", ids: list[int]) -> torch.Tensor:
    """The logits of every token, then of all but the prefix in a second row.

    Shape (tokens + tokens after the prefix, vocabulary).
    """
    cache, pace = RaggedCache(2, len(ids)), CostModel.on(model.device.type, rows=2)
    broken = len(ids) - _SINGLE
    cuts = [(_SHARED, broken), *((i, i + 1) for i in range(broken, len(ids)))]
    found: list[list[torch.Tensor]] = [[], []]
    with ragged(model):
        prefix = hidden_states(model, ids[:_SHARED], range(_SHARED), PrefixPass(cache))
        for first, last in cuts:
            batch = Batch(_SHARED)
            for slot in range(2):
                batch.add(slot, first - _SHARED, ids[first:last])
            through = RowsPass(cache, batch, pace)
            both = hidden_states(model, batch.tokens, batch.positions, through)
            for row, hidden in zip(found, both.view(2, last - first, -1), strict=True):
                row.append(hidden)
    return Head(model).all(torch.cat([prefix, *found[0], *found[1]]))
