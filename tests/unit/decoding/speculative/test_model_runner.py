"""The padding of passes."""

import pytest

from benchmark.decoding.speculative.batch import Batch
from benchmark.decoding.speculative.model_runner import padded


def _batch(*lengths: int) -> Batch:
    batch = Batch(5)
    for slot, length in enumerate(lengths):
        batch.add(slot, 3, range(100 * slot, 100 * slot + length))
    return batch


@pytest.mark.parametrize(
    ("lengths", "multiple", "total"),
    [
        ((20, 13), 16, 48),
        ((33,), 7, 35),
        ((47,), 16, 48),
        ((20, 28), 16, 48),
        ((33,), 1, 33),
        ((32,), 16, 32),
        ((17,), 16, 17),
        ((31,), 64, 31),
        ((), 16, 0),
    ],
)
def test_padding(lengths: tuple[int, ...], multiple: int, total: int) -> None:
    """More than 32 tokens become a multiple; those that are added belong to no sequence."""
    batch, untouched = _batch(*lengths), _batch(*lengths)
    result = padded(batch, multiple)
    assert batch == untouched
    assert len(result.tokens) == len(result.positions) == total
    count, extra = len(batch.tokens), total - len(batch.tokens)
    assert result.tokens == [*batch.tokens, *batch.tokens[-1:] * extra]
    assert result.positions == [*batch.positions, *batch.positions[-1:] * extra]
    assert max((span.start + span.length for span in result.spans), default=0) == count
    assert max((write.token + 1 for write in result.writes), default=0) == count
    for name in ("prefix", "spans", "writes", "copies", "requests"):
        assert getattr(result, name) == getattr(batch, name)
