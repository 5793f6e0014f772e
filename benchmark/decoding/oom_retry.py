"""Decoding that halves its batch size and continues when memory runs out."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from benchmark.decoding.engine import ChoosesBatchSize, DecodingLimits, Engine
from benchmark.errors import DoesNotFitError
from benchmark.models.hardware import release
from benchmark.models.memory_errors import is_out_of_memory
from benchmark.records import Completion, TokenIds


@dataclass
class OomRetry:
    """An engine that is created again with half the batch size when memory runs out.

    ``batch_sizes`` are those used so far, in order; ``composition`` is that of the engine with the
    last of them. Completions that were yielded are kept; the others are decoded in the smaller
    batch. In float32 on a CPU that changes no token. Elsewhere it can flip a near tie, so the
    sizes belong to the result.
    """

    create: Callable[[DecodingLimits], Engine]
    limits: DecodingLimits
    batch_sizes: list[int] = field(default_factory=list)
    composition: dict[str, object] = field(default_factory=dict)

    def generate(
        self, prompts: Sequence[TokenIds], done: AbstractSet[int] = frozenset()
    ) -> Iterator[list[tuple[int, Completion]]]:
        """Yield completions as they finish, each with the index of its prompt.

        Raises:
            DoesNotFitError: if not even one prompt fits.
        """
        finished = set(done)
        limits = self.limits
        while True:
            self.batch_sizes.append(limits.batch_size)
            try:
                engine = self.create(limits)
                if isinstance(engine, ChoosesBatchSize):
                    limits = replace(limits, batch_size=engine.batch_size)
                    self.batch_sizes[-1] = engine.batch_size
                self.composition = engine.composition
                for batch in engine.generate(prompts, finished):
                    finished.update(index for index, _ in batch)
                    yield batch
            except (RuntimeError, MemoryError) as error:
                limits = replace(limits, batch_size=half_batch(limits.batch_size, error))
            else:
                return
            # After the handler, because its error holds the tensors of the batch that did not fit.
            release()


def half_batch(batch_size: int, error: RuntimeError | MemoryError) -> int:
    """Return half the batch size after an error of memory; raise any other error.

    Raises:
        DoesNotFitError: if it was 1.
    """
    if not is_out_of_memory(error):
        raise error
    if batch_size == 1:
        raise DoesNotFitError(
            "out of memory with one prompt at a time; use --dtype bfloat16, on a GPU "
            "--quantization 8bit, or a device with more memory"
        ) from error
    return batch_size // 2
