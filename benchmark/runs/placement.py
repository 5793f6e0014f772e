"""On which device a measurement of the model store runs."""

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
from benchmark.runs.measure import Prepared
from benchmark.runs.store.gpu_leases import GpuLeases, lease_folder, share


def needed_gpus(prepared: Prepared, gpu_memory: int, there: int) -> int:
    """How many GPUs of so many bytes the model of a run takes, with its cache.

    Where those that are there do not hold the whole batch, it is halved as decoding will do.

    Raises:
        DoesNotFitError: when they do not even hold one row.
    """
    settings, location = prepared.settings, prepared.location
    dtype = settings.options.quantization or settings.options.dtype
    limits = settings.limits
    use = DecodingBatch(limits.batch_size, max(map(len, prepared.prompts)), limits.max_new_tokens)
    size = shape(configuration(str(location.folder / (location.gguf or ""))))
    fitting = largest_fitting_batch(size, dtype, use, gpu_memory, there)
    count = gpus_needed(memory(size, dtype, fitting), gpu_memory) if fitting else None
    if count is None:
        raise DoesNotFitError(
            f"{location.name}: one prompt is more than {there} GPUs of {gpu_memory / 1e9:.0f} GB "
            "hold; see python -m benchmark plan"
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
        if not prepared.settings.engine_row.loads_weights:
            yield prepared.settings.options.device
            return
        count, there = self.needed(prepared), len(self.leases.gpus)
        if count > there:
            raise DoesNotFitError(
                f"{prepared.location.name}: needs {count} GPUs of this size, and {there} are "
                "visible; see python -m benchmark plan"
            )
        with self.leases.take(count, self.own) as gpus:
            try:
                yield f"cuda:{','.join(map(str, gpus))}"
            except BaseException as error:
                # Its frames hold the model, which must be gone before the GPUs are another's.
                forget_frames(error)
                raise
            finally:
                release()


def placement(device: str, worker: str | None, workers: int) -> Placement:
    """Where the measurements of a pytest worker run: on leased GPUs of those the device names.

    Args:
        device: as ``--device`` has it, resolved.
        worker: the name of the pytest-xdist worker; None without xdist.
        workers: how many there are.
    """
    if not device.startswith("cuda"):
        return AsAsked()
    visible = gpus()
    named = device.partition(":")[2]
    numbers = [int(n) for n in named.split(",")] if named else list(range(len(visible)))
    memory = min(visible[n].memory for n in numbers)
    leases = GpuLeases(lease_folder(), {n: visible[n].identity for n in numbers})
    own = share(worker, workers, numbers)
    return OnLeasedGpus(leases, own, lambda work: needed_gpus(work, memory, len(numbers)))


def forget_frames(error: BaseException | None) -> None:
    """Let go of what the frames of an error and of its causes hold."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
