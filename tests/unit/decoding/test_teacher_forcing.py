"""Log-probabilities along answers, compared with one plain forward pass per token."""

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from benchmark.decoding import teacher_forcing
from benchmark.decoding.log_probs import ForcedSequence
from benchmark.decoding.teacher_forcing import teacher_forced_log_probs
from benchmark.errors import DoesNotFitError
from fakes.tiny_models import tiny_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = [
    ForcedSequence((3, 4, 5, 6, 7, 8), (9, 10, 11)),
    ForcedSequence((3, 4), (12,)),
    ForcedSequence((20, 21, 22, 23), (24, 25, 26, 27, 28)),
]


def _naive(model: "PreTrainedModel", row: ForcedSequence) -> torch.Tensor:
    """Return shape (answer tokens, vocabulary): a pass per token, without padding or cache."""
    with torch.inference_mode():
        texts = [[*row.prompt, *row.answer[:count]] for count in range(len(row.answer))]
        last = [model(torch.tensor([text]), use_cache=False).logits[0, -1] for text in texts]
    return torch.stack(last).log_softmax(-1)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "mistral"])
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_values_are_those_of_plain_passes(architecture: str, batch_size: int) -> None:
    """In batches of any size, values are those of single passes."""
    model = tiny_model(architecture, 60, 1)
    batches = list(teacher_forced_log_probs(model, ROWS, others=3, batch_size=batch_size, pad_id=1))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    results = list(chain.from_iterable(batches))
    for row, result in zip(ROWS, results, strict=True):
        expected = _naive(model, row)
        assert result.ids.shape == result.values.shape == (len(row.answer), 4)
        assert result.ids[:, 0].tolist() == list(row.answer)
        for ids, values, log_probs in zip(result.ids, result.values, expected, strict=True):
            np.testing.assert_allclose(
                values, log_probs[torch.tensor(ids).long()].numpy(), atol=1e-4
            )
            others = [i for i in log_probs.argsort(descending=True).tolist() if i != ids[0]]
            assert ids[1:].tolist() == others[:3]


def test_small_vocabulary() -> None:
    """A vocabulary of five tokens has at most four others."""
    results = next(
        teacher_forced_log_probs(tiny_model("llama", 5, 1), [ForcedSequence((2, 3), (4,))], 9, 1, 1)
    )
    assert sorted(results[0].ids[0].tolist()) == [0, 1, 2, 3, 4]
    assert np.exp(results[0].values).sum() == pytest.approx(1.0, abs=1e-5)


def test_batches_are_halved_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that did not fit are repeated in smaller batches, with the same values."""
    model, real, tried = tiny_model("llama", 60, 1), teacher_forcing._batch, list[int]()

    def batch(*arguments: Any) -> list[torch.Tensor]:  # noqa: ANN401
        rows = arguments[1]
        tried.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(*arguments)

    rows = [*ROWS, *ROWS]
    whole = list(chain.from_iterable(teacher_forced_log_probs(model, rows, 3, 6, 1)))
    monkeypatch.setattr(teacher_forcing, "_batch", batch)
    halved = list(chain.from_iterable(teacher_forced_log_probs(model, rows, 3, 6, 1)))
    assert tried == [6, 3, 1, 1, 1, 1, 1, 1]
    for one, other in zip(whole, halved, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_not_one_row_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single row that does not fit is refused with the remedies; other errors are kept."""
    errors: list[Exception] = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("shape")]

    def batch(*_: object) -> list[torch.Tensor]:
        raise errors.pop(0)

    monkeypatch.setattr(teacher_forcing, "_batch", batch)
    for error, text in ((DoesNotFitError, "one prompt at a time"), (RuntimeError, "shape")):
        with pytest.raises(error, match=text):
            next(teacher_forced_log_probs(tiny_model("llama", 60, 1), ROWS, 3, 1, 1))
