"""Log-probabilities along given answers: the model is never asked what it would say itself.

So one early difference does not hide what comes after it, and two environments are compared on
the same text. Prompts and answers go through the model whole, padded on the left, without a cache.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Forced(NamedTuple):
    """Tokens and log-probabilities of one answer, shape (positions, 1 + others) each.

    The answer's own token comes first, then the likeliest others, the likeliest first.
    """

    ids: NDArray[np.int32]
    values: NDArray[np.float64]


class ForcedSequence(NamedTuple):
    """A prompt, and the answer that it is followed by."""

    prompt: TokenIds
    answer: TokenIds


def forced(
    model: "PreTrainedModel",
    rows: Sequence[ForcedSequence],
    others: int,
    batch_size: int,
    pad_id: int,
) -> Iterator[list[Forced]]:
    """The log-probabilities of each row's answer, and of so many likely others at each token.

    They come a batch at a time.

    Args:
        model: any causal language model of transformers.
        rows: prompts and answers of at least one token each.
        others: how many tokens beside the answer's own.
        batch_size: how many rows go through the model together, in their order.
        pad_id: any id of the vocabulary; padding is masked out.
    """
    for start in range(0, len(rows), batch_size):
        yield _batch(model, rows[start : start + batch_size], others, pad_id)


@torch.inference_mode()
def _batch(
    model: "PreTrainedModel", rows: Sequence[ForcedSequence], others: int, pad_id: int
) -> list[Forced]:
    answers = max(len(row.answer) for row in rows)
    logits = _logits(model, [row.prompt + row.answer for row in rows], answers + 1, pad_id)
    found = []
    for row, own in zip(rows, logits, strict=True):
        # The logits at a token are about the one after it; those at the last are of no use.
        places = own[-len(row.answer) - 1 : -1]
        found.append(_likeliest(places.float().log_softmax(-1), row.answer, others))
    return found


def _logits(
    model: "PreTrainedModel", rows: Sequence[TokenIds], keep: int, pad_id: int
) -> torch.Tensor:
    """Logits of the last so many places, shape (rows, keep, vocabulary)."""
    width = max(map(len, rows))
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[pad_id] * (width - len(row)) + [*row] for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    fewer = {"logits_to_keep": keep} if _keeps(model) else {}
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=False,
        **fewer,
    )
    logits: torch.Tensor = output.logits[:, -keep:]
    return logits


def _keeps(model: "PreTrainedModel") -> bool:
    """Whether the model can leave out logits that nobody asks for; older classes cannot."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _likeliest(values: torch.Tensor, answer: TokenIds, others: int) -> Forced:
    """The answer's tokens and the likeliest others, of values of shape (tokens, vocabulary)."""
    own = torch.tensor(answer, device=values.device)[:, None]
    of_own = values.gather(-1, own)
    rest = values.scatter(-1, own, float("-inf"))
    of_rest, ids = rest.topk(min(others, values.shape[-1] - 1), dim=-1)
    return Forced(
        torch.cat([own, ids], -1).to("cpu", torch.int32).numpy(),
        torch.cat([of_own, of_rest], -1).to("cpu", torch.float64).numpy(),
    )
