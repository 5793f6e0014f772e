"""On which device a measurement of the model store runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from benchmark.errors import DoesNotFitError
from benchmark.models.architectures import configuration
from benchmark.models.memory import Use, gpus_needed, memory
from benchmark.models.shape import shape
from benchmark.pipeline.measure import Prepared
from benchmark.store.gpu_leases import GpuLeases


def needed_gpus(prepared: Prepared, gpu_memory: int) -> int:
    """How many GPUs of so many bytes the model of a run takes, with its cache.

    The batch is taken as small as the engine may halve it to: with one row.

    Raises:
        DoesNotFitError: when no number of them does.
    """
    settings, location = prepared.settings, prepared.location
    options = settings.options
    use = Use(1, max(map(len, prepared.prompts)), settings.limits.max_new_tokens)
    size = shape(configuration(str(location.folder / (location.gguf or ""))))
    count = gpus_needed(memory(size, options.quantization or options.dtype, use), gpu_memory)
    if count is None:
        raise DoesNotFitError(
            f"{location.name}: one prompt is more than a GPU of {gpu_memory / 1e9:.0f} GB holds"
        )
    return count


class Placement(Protocol):
    """Gives each measurement a device of its own for as long as it takes."""

    def place(self, prepared: Prepared) -> AbstractContextManager[str]:
        """The device, as ``--device`` takes it.

        Raises:
            DoesNotFitError: when no device here holds the model.
        """


@dataclass(frozen=True, slots=True)
class AsAsked:
    """Every measurement runs where its request says: one process, or a CPU."""

    @contextmanager
    def place(self, prepared: Prepared) -> Iterator[str]:
        """The device of the request."""
        yield prepared.settings.options.device


@dataclass(frozen=True, slots=True)
class OnLeasedGpus:
    """Every measurement takes as many GPUs as its model needs, its worker's own first."""

    leases: GpuLeases
    own: Sequence[int]
    needed: Callable[[Prepared], int]

    @contextmanager
    def place(self, prepared: Prepared) -> Iterator[str]:
        """``cuda:`` with the numbers of the GPUs that are held."""
        count, there = self.needed(prepared), len(self.leases.gpus)
        if count > there:
            raise DoesNotFitError(
                f"{prepared.location.name}: needs {count} GPUs of this size, and {there} are "
                "visible; see python -m benchmark plan"
            )
        with self.leases.take(count, self.own) as gpus:
            yield f"cuda:{','.join(map(str, gpus))}"
