"""The device on which a measurement of the model store runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from traceback import clear_frames
from typing import Protocol

from benchmark.errors import DoesNotFitError
from benchmark.models.hardware import gpus, release
from benchmark.planning.architectures import configuration
from benchmark.planning.memory import DecodingBatch, gpus_needed, largest_fitting_batch, memory
from benchmark.planning.shape import shape
from benchmark.runs.measure import PreparedRun
from benchmark.runs.store.gpu_leases import GpuLeases, lease_folder, share


def needed_gpus(prepared: PreparedRun, gpu_memory: int, available: int) -> int:
    """Return how many GPUs the model of a run needs, with its cache.

    If the available GPUs do not hold the batch, it is halved as decoding will do.

    ``gpu_memory`` is that of each GPU, in bytes.

    Raises:
        DoesNotFitError: when the GPUs do not even hold one row.
    """
    settings, location = prepared.settings, prepared.location
    dtype = settings.options.quantization or settings.options.dtype
    limits = settings.limits
    use = DecodingBatch(limits.batch_size, max(map(len, prepared.prompts)), limits.max_new_tokens)
    size = shape(configuration(str(location.folder / (location.gguf or ""))))
    fitting = largest_fitting_batch(size, dtype, use, gpu_memory, available)
    count = gpus_needed(memory(size, dtype, fitting), gpu_memory) if fitting else None
    if count is None:
        raise DoesNotFitError(
            f"{location.name}: one prompt needs more memory than {available} GPUs of "
            f"{gpu_memory / 1e9:.0f} GB have; see python -m benchmark plan"
        )
    return count


class Placement(Protocol):
    """Assigns each measurement a device while it runs."""

    def place(self, prepared: PreparedRun) -> AbstractContextManager[str]:
        """Return a context that holds a device, in the form of ``--device``.

        Raises:
            DoesNotFitError: when no device here holds the model.
        """


@dataclass(frozen=True, slots=True)
class RequestedDevice:
    """Run every measurement on the device of its request: one process, or a CPU."""

    @contextmanager
    def place(self, prepared: PreparedRun) -> Iterator[str]:
        """Yield the device of the request."""
        yield prepared.settings.options.device


@dataclass(frozen=True, slots=True)
class LeasedGpus:
    """Run every measurement on as many GPUs as its model needs, its worker's own first."""

    leases: GpuLeases
    own: Sequence[int]
    needed: Callable[[PreparedRun], int]

    @contextmanager
    def place(self, prepared: PreparedRun) -> Iterator[str]:
        """Yield ``cuda:`` with the numbers of the leased GPUs."""
        if not prepared.settings.engine_row.loads_weights:
            yield prepared.settings.options.device
            return
        count, available = self.needed(prepared), len(self.leases.gpus)
        if count > available:
            raise DoesNotFitError(
                f"{prepared.location.name}: needs {count} GPUs of this size, and {available} are "
                "visible; see python -m benchmark plan"
            )
        with self.leases.take(count, self.own) as gpus:
            try:
                yield f"cuda:{','.join(map(str, gpus))}"
            except BaseException as error:
                # Its frames hold the model, which must be freed before the GPUs are released.
                clear_frames_of(error)
                raise
            finally:
                release()


def placement(device: str, worker: str | None, workers: int) -> Placement:
    """Return the placement of a pytest worker's measurements: leased GPUs, or the device itself.

    Args:
        device: the resolved ``--device``.
        worker: the name of the pytest-xdist worker; None without xdist.
        workers: the number of workers.
    """
    if not device.startswith("cuda"):
        return RequestedDevice()
    visible = gpus()
    named = device.partition(":")[2]
    numbers = [int(n) for n in named.split(",")] if named else list(range(len(visible)))
    memory = min(visible[n].memory for n in numbers)
    leases = GpuLeases(lease_folder(), {n: visible[n].identity for n in numbers})
    own = share(worker, workers, numbers)
    return LeasedGpus(leases, own, lambda run: needed_gpus(run, memory, len(numbers)))


def clear_frames_of(error: BaseException | None) -> None:
    """Release what the frames of an error and of its causes hold."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
