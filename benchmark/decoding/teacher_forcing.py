"""Logits and log-probabilities along given answers, without letting the model generate.

An early difference then does not hide later ones, and two environments are compared on the same
text. Prompts and answers go through the model as a whole, padded on the left, without a cache.
"""

import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from benchmark.decoding.finite_logits import NonFiniteLogitsError, finite_rows
from benchmark.decoding.log_probs import ForcedSequence, TokenLogProbs
from benchmark.decoding.oom_retry import half_batch
from benchmark.decoding.padding import unpadded_reason
from benchmark.models.hardware import release
from benchmark.records import TokenIds

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def teacher_forced_log_probs(
    model: "PreTrainedModel",
    rows: Sequence[ForcedSequence],
    others: int,
    batch_size: int,
    pad_id: int,
) -> Iterator[list[TokenLogProbs]]:
    """Yield the log-probabilities of each row's answer, one batch at a time.

    ``others`` is how many tokens to report at each position in addition to the answer's own; the
    other arguments and the errors are those of :func:`teacher_forced_logits`.
    """
    numbered = iter(rows)
    for batch in teacher_forced_logits(model, rows, batch_size, pad_id):
        yield [
            _likeliest(logits.log_softmax(-1), next(numbered).answer, others) for logits in batch
        ]


def teacher_forced_logits(
    model: "PreTrainedModel", rows: Sequence[ForcedSequence], batch_size: int, pad_id: int
) -> Iterator[list[torch.Tensor]]:
    """Yield the logits of each row's answer, one batch at a time.

    Each has shape (answer tokens, vocabulary) and dtype float32; row t is what the model predicts
    at the answer's token t.

    Args:
        model: any causal language model of transformers.
        rows: prompts and answers of at least one token each.
        batch_size: how many rows go through the model together, in order; one at a time if the
            model takes no padding, and half as many when memory runs out.
        pad_id: any id of the vocabulary; padding is masked out.

    Raises:
        NonFiniteLogitsError: if logits along an answer are not finite; its prompt is the row's
            number.
        DoesNotFitError: if not even one row fits.
    """
    if unpadded_reason(model, pad_id, batch_size):
        batch_size = 1
    start = 0
    while start < len(rows):
        try:
            batch = _batch(model, rows[start : start + batch_size], pad_id, start)
        except (RuntimeError, MemoryError) as error:
            batch_size, batch = half_batch(batch_size, error), []
        # After the handler, because its error holds the tensors of the batch that did not fit.
        if not batch:
            release()
            continue
        yield batch
        start += len(batch)


@torch.inference_mode()
def _batch(
    model: "PreTrainedModel", rows: Sequence[ForcedSequence], pad_id: int, start: int
) -> list[torch.Tensor]:
    longest = max(len(row.answer) for row in rows)
    logits = _logits(model, [row.prompt + row.answer for row in rows], longest + 1, pad_id)
    predictions = []
    for number, (row, row_logits) in enumerate(zip(rows, logits, strict=True), start):
        # The logits at a token are about the next one. For an answer of 3 tokens, the logits at
        # -4, -3 and -2 predict the tokens at -3, -2 and -1; those at -1 are not needed.
        predicting = row_logits[-len(row.answer) - 1 : -1]
        finite = finite_rows(predicting)
        if not finite.all():
            token = int((~finite).nonzero()[0])
            raise NonFiniteLogitsError(number, token)
        predictions.append(predicting.float())
    return predictions


def _logits(
    model: "PreTrainedModel", rows: Sequence[TokenIds], keep: int, pad_id: int
) -> torch.Tensor:
    """Return the logits of the last ``keep`` positions, shape (rows, keep, vocabulary)."""
    width = max(map(len, rows))
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[pad_id] * (width - len(row)) + [*row] for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    # Older classes compute all logits.
    takes_keep = "logits_to_keep" in inspect.signature(model.forward).parameters
    arguments = {"logits_to_keep": keep} if takes_keep else {}
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
        use_cache=False,
        **arguments,
    )
    logits: torch.Tensor = output.logits[:, -keep:]
    return logits


def _likeliest(log_probs: torch.Tensor, answer: TokenIds, others: int) -> TokenLogProbs:
    """Select the answer's tokens and the likeliest others.

    ``log_probs`` has shape (answer tokens, vocabulary).
    """
    own_ids = torch.tensor(answer, device=log_probs.device)[:, None]
    own_values = log_probs.gather(-1, own_ids)
    without_own = log_probs.scatter(-1, own_ids, float("-inf"))
    other_values, other_ids = without_own.topk(min(others, log_probs.shape[-1] - 1), dim=-1)
    return TokenLogProbs(
        torch.cat([own_ids, other_ids], -1).to("cpu", torch.int32).numpy(),
        torch.cat([own_values, other_values], -1).to("cpu", torch.float64).numpy(),
    )
