"""The device on which a measurement of the model store runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from traceback import clear_frames
from typing import Protocol

from benchmark.errors import DoesNotFitError, ModelError
from benchmark.models.gpus import Gpu, GpuUse, describe_uses, gpu_numbers, gpu_uses, gpus
from benchmark.models.hardware import release
from benchmark.models.location import Location, fetch_missing_weights
from benchmark.planning.memory import Fit
from benchmark.records import TokenIds
from benchmark.runs.gpu_fit import check_fits, fit, not_forecast
from benchmark.runs.measure import Place, PreparedRun
from benchmark.runs.settings import ResolvedSettings
from benchmark.runs.store.gpu_leases import GpuLeases, lease_folder, share

_PLAN = "see python -m benchmark plan"


Say = Callable[[str], None]
"""Takes a line of text for the user."""


class Placement(Protocol):
    """Assigns each measurement a device while it runs."""

    def place(self, prepared: PreparedRun, say: Say) -> AbstractContextManager[Place]:
        """Return a context that holds a device; ``say`` takes what happens before.

        Raises:
            DoesNotFitError: when no device here holds the model.
        """

    def ranks(
        self, settings: ResolvedSettings, location: Location, prompts: Sequence[TokenIds]
    ) -> int | None:
        """Return how many GPUs an engine of its own process will get; None if it decides.

        Raises:
            DoesNotFitError: when no device here holds the model.
        """


@dataclass(frozen=True, slots=True)
class RequestedDevice:
    """Run every measurement on the device of its request: one process, or a CPU."""

    @contextmanager
    def place(self, prepared: PreparedRun, say: Say = print) -> Iterator[Place]:  # noqa: ARG002  # nothing happens
        """Yield the device of the request."""
        yield Place(prepared.settings.options.device)

    def ranks(self, *_: object) -> int | None:
        """Return None: the engine has all GPUs of the request."""


@dataclass(frozen=True, slots=True)
class LeasedGpus:
    """Run every measurement on as few GPUs as hold its model, its worker's own first.

    How many that are follows from the GPUs' total memory. Whether they have it follows from what
    is free while they are leased: only processes outside of this test run can then use them.

    Attributes:
        visible: all GPUs in torch's order.
        numbers: those that may be used.
        own: those that are preferred.
        fit: returns the fewest GPUs for a run, given the memory of each.
    """

    visible: Sequence[Gpu]
    numbers: Sequence[int]
    own: Sequence[int] = ()
    fit: Callable[[ResolvedSettings, Location, Sequence[TokenIds], Sequence[int]], Fit | None] = fit

    @contextmanager
    def place(self, prepared: PreparedRun, say: Say = print) -> Iterator[Place]:
        """Yield ``cuda:`` with the numbers of the leased GPUs.

        A model whose size cannot be counted gets all GPUs, as in ``run``, which is said.

        Raises:
            DoesNotFitError: naming the free memory of each GPU, if other processes use it.
        """
        row = prepared.settings.engine_row
        if not (row.loads_weights or row.on_device):
            yield Place(prepared.settings.options.device)
            return
        count = self._needed(prepared, say)
        # Not while GPUs are leased, and not if they could not hold the model.
        fetch_missing_weights(prepared.location, say)
        if count is None:
            with self._leased(self.numbers, None) as (_, numbers):
                yield Place(_device(numbers))
            return
        tried = set[int]()
        while True:
            rest = [n for n in self.numbers if n not in tried]
            # The last try is with all of them, however little is free on each.
            last = len(rest) < count or count == len(self.numbers)
            candidates = self.numbers if last else rest
            with self._leased(candidates, None if last else count) as (leases, numbers):
                uses = gpu_uses(self.visible, numbers)
                if fitting := self._fitting(prepared, uses):
                    used, rows = fitting
                    leases.keep(used)
                    yield Place(_device(used), rows)
                    return
            if last:
                break
            tried.add(min(numbers, key=lambda n: uses[n].free))
        raise DoesNotFitError(
            f"{prepared.location.name}: too little memory is free: "
            f"{describe_uses(self.visible, uses)}; {_PLAN}"
        )

    def ranks(
        self, settings: ResolvedSettings, location: Location, prompts: Sequence[TokenIds]
    ) -> int | None:
        """Return the fewest GPUs that hold a run, as a power of two: heads are divided evenly.

        All of them if its size cannot be counted.

        Raises:
            DoesNotFitError: if they do not hold one prompt.
        """
        sizes = [self.visible[n].memory for n in self.numbers]
        largest = 1 << (len(sizes).bit_length() - 1)
        try:
            fitting = self.fit(settings, location, prompts, sizes[:largest])
        except ModelError:
            return largest
        count = check_fits(location.name, fitting, sizes[:largest]).gpus
        return 1 << (count - 1).bit_length()

    def _needed(self, prepared: PreparedRun, say: Say) -> int | None:
        """Return the fewest GPUs that hold a run if nothing else uses them.

        None if its size cannot be counted.

        Raises:
            DoesNotFitError: if all of them do not.
        """
        sizes = [self.visible[n].memory for n in self.numbers]
        if prepared.settings.engine_row.on_device:
            return min(prepared.settings.external.ranks, len(sizes))
        try:
            fitting = self.fit(*_parts(prepared), sizes)
        except ModelError as error:
            say(f"{not_forecast(error)}; it gets all GPUs")
            return None
        return check_fits(prepared.location.name, fitting, sizes).gpus

    def _fitting(
        self, prepared: PreparedRun, uses: Mapping[int, GpuUse]
    ) -> tuple[list[int], int | None] | None:
        """Return the GPUs and rows for a run on leased GPUs, None if they hold no row."""
        numbers, settings = sorted(uses, key=lambda n: -uses[n].free), prepared.settings
        free = [uses[n].free for n in numbers]
        if settings.engine_row.on_device:  # each of its GPUs has the same part
            numbers = numbers[: settings.external.ranks]
            free = [uses[numbers[-1]].free] * len(numbers)
        fitting = self.fit(*_parts(prepared), free)
        if fitting is None:
            return None
        if settings.engine_row.on_device:  # it batches by itself, on all of its GPUs
            return sorted(numbers), None
        return sorted(numbers[: fitting.gpus]), fitting.batch.batch_size

    @contextmanager
    def _leased(
        self, candidates: Sequence[int], count: int | None
    ) -> Iterator[tuple[GpuLeases, tuple[int, ...]]]:
        """Hold some of these GPUs, or all of them."""
        identities = {n: self.visible[n].identity for n in candidates}
        own = [n for n in self.own if n in identities]
        leases = GpuLeases(lease_folder(), identities)
        with leases.take(count or len(identities), own) as numbers:
            try:
                yield leases, numbers
            except BaseException as error:
                # Its frames hold the model, which must be freed before the GPUs are released.
                clear_frames_of(error)
                raise
            finally:
                release()


def _device(numbers: Sequence[int]) -> str:
    return f"cuda:{','.join(map(str, numbers))}"


def _parts(prepared: PreparedRun) -> tuple[ResolvedSettings, Location, Sequence[TokenIds]]:
    return prepared.settings, prepared.location, prepared.prompts


def placement(device: str, worker: str | None, workers: int) -> Placement:
    """Return the placement of a pytest worker's measurements: leased GPUs, or the device itself.

    Args:
        device: the resolved ``--device``.
        worker: the name of the pytest-xdist worker; None without xdist.
        workers: the number of workers.
    """
    if not device.startswith("cuda"):
        return RequestedDevice()
    numbers = gpu_numbers(device)
    return LeasedGpus(gpus(), numbers, share(worker, workers, numbers))


def clear_frames_of(error: BaseException | None) -> None:
    """Release what the frames of an error and of its causes hold."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
