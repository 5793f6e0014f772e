"""Out of memory: the batch is halved until a single prompt does not fit."""

import gc
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.decoding.engine import DecodingLimits, Engine
from benchmark.decoding.oom_retry import OomRetry
from benchmark.errors import ModelError
from benchmark.records import Completion, TokenIds


@dataclass
class Device:
    """A device with memory for ``capacity`` prompt tokens, and the prompts decoded on it."""

    capacity: int
    error: type[RuntimeError] = torch.OutOfMemoryError
    message: str = "out of memory"
    decoded: list[int] = field(default_factory=list)

    def engine(self, limits: DecodingLimits) -> Engine:
        """Return an engine that runs out of memory if a batch does not fit."""
        return _Engine(self, limits)


@dataclass
class _Engine:
    device: Device
    limits: DecodingLimits

    @property
    def composition(self) -> dict[str, object]:
        return {"rows": self.limits.batch_size}

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        pending = [i for i in range(len(prompts)) if i not in done]
        for start in range(0, len(pending), self.limits.batch_size):
            batch = pending[start : start + self.limits.batch_size]
            if sum(len(prompts[i]) for i in batch) > self.device.capacity:
                raise self.device.error(self.device.message)
            self.device.decoded += batch
            yield [(i, Completion((i,), str(i), finished=True)) for i in batch]


LIMITS = DecodingLimits(32, 10)


@pytest.fixture(autouse=True, scope="module")
def frozen_garbage() -> Iterator[None]:
    """Exclude the libraries' objects from garbage collection, which runs at every retry."""
    gc.freeze()
    yield
    gc.unfreeze()


@given(
    lengths=st.lists(st.integers(1, 4), max_size=60),
    capacity=st.integers(4, 40),
    skip=st.sets(st.integers(0, 60)),
)
def test_every_prompt_is_decoded_once(lengths: list[int], capacity: int, skip: set[int]) -> None:
    """For any capacity, each pending prompt is decoded exactly once, with its own answer."""
    device = Device(capacity)
    prompts = [(0,) * length for length in lengths]
    engine = OomRetry(device.engine, LIMITS)
    decoded = [pair for batch in engine.generate(prompts, skip) for pair in batch]
    pending = [i for i in range(len(prompts)) if i not in skip]
    assert sorted(i for i, _ in decoded) == pending
    assert sorted(device.decoded) == pending
    assert all(completion.text == str(i) for i, completion in decoded)
    assert engine.batch_sizes == [32 // 2**n for n in range(len(engine.batch_sizes))]


def test_batches_are_halved_only_as_far_as_needed() -> None:
    """If ten prompts fit, batches of 32 and 16 fail and 8 works; the sizes are recorded."""
    engine = OomRetry(Device(10).engine, LIMITS)
    assert len(list(engine.generate([(0,)] * 32))) == 4
    assert engine.batch_sizes == [32, 16, 8]
    assert engine.composition == {"rows": 8}


def test_single_prompt_that_does_not_fit() -> None:
    """A batch of one cannot be halved: the error says what to do."""
    engine = OomRetry(Device(1).engine, LIMITS)
    with pytest.raises(ModelError, match="one prompt at a time; use --dtype bfloat16"):
        list(engine.generate([(0, 0)]))
    assert engine.batch_sizes == [32, 16, 8, 4, 2, 1]


def test_the_cpu_allocator_counts_too() -> None:
    """On a CPU torch raises a plain RuntimeError, which is recognized as out of memory."""
    with pytest.raises(RuntimeError) as real:
        torch.empty(10**16)
    device = Device(10, RuntimeError, str(real.value))
    engine = OomRetry(device.engine, LIMITS)
    assert len([pair for batch in engine.generate([(0,)] * 32) for pair in batch]) == 32


def test_other_errors_are_not_retried() -> None:
    """Any other error of the model is raised unchanged."""
    engine = OomRetry(Device(10, RuntimeError, "shapes do not match").engine, LIMITS)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        list(engine.generate([(0,)] * 32))
    assert engine.batch_sizes == [32]
