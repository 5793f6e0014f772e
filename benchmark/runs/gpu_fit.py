"""How many GPUs a run needs, and with which batch, before its weights are fetched or loaded."""

from collections.abc import Callable, Sequence

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.errors import DoesNotFitError, ModelError
from benchmark.models.gpus import gpu_numbers, gpus
from benchmark.models.loading import LoadOptions
from benchmark.models.location import Location, fetch_missing_weights
from benchmark.planning.architectures import configuration
from benchmark.planning.memory import DecodingBatch, Fit, best_fit
from benchmark.planning.planning import pass_tokens, planning
from benchmark.planning.shape import shape
from benchmark.records import TokenIds
from benchmark.runs.settings import ResolvedSettings


def fit(
    settings: ResolvedSettings,
    location: Location,
    prompts: Sequence[TokenIds],
    free: Sequence[int],
) -> Fit | None:
    """Return the fewest GPUs for a run and its batch; None if they do not hold one row.

    ``free`` has the free memory of each GPU in bytes.
    """
    return _fit(location, settings.options, batch_of(settings, prompts), free)


def _fit(
    location: Location, options: LoadOptions, batch: DecodingBatch, free: Sequence[int]
) -> Fit | None:
    size = shape(configuration(str(location.folder / (location.gguf or ""))))
    return best_fit(size, options.quantization or options.dtype, batch, free)


def fetch_fitting_weights(
    location: Location, options: LoadOptions, batch: DecodingBatch, say: Callable[[str], None]
) -> None:
    """Fetch missing weights, unless the GPUs of the options could not hold the model.

    Everything that loads a model of the hub fetches it by this, so that a model that is too large
    is known before its weights are fetched.

    Raises:
        DoesNotFitError: if the GPUs do not hold one prompt, or the disk not the weights.
        ModelError: if there are no weights, or they cannot be fetched.
    """
    if numbers := gpu_numbers(options.device):
        visible = gpus()
        sizes = [visible[n].memory for n in numbers]
        try:
            fitting = _fit(location, options, batch, sizes)
        except ModelError as error:  # of an architecture whose size cannot be counted
            say(not_forecast(error))
        else:
            check_fits(location.name, fitting, sizes)
    fetch_missing_weights(location, say)


def fetch_engine_weights(
    settings: ResolvedSettings,
    location: Location,
    prompts: Sequence[TokenIds],
    say: Callable[[str], None],
) -> None:
    """Fetch the weights that the engine of a run computes with, in this process or in another.

    An engine behind an address has its own.

    Raises:
        DoesNotFitError: as :func:`fetch_fitting_weights`.
        ModelError: as :func:`fetch_fitting_weights`.
    """
    row = settings.engine_row
    if row.loads_weights or row.on_device:
        fetch_fitting_weights(location, settings.options, batch_of(settings, prompts), say)


def batch_of(settings: ResolvedSettings, prompts: Sequence[TokenIds] = ()) -> DecodingBatch:
    """Return the batch of a run; without prompts, those of the planned workload are assumed."""
    limits, work = settings.limits, planning().workload
    longest = max(map(len, prompts), default=work.longest_prompt_tokens)
    if not settings.engine_row.packed:
        return DecodingBatch(limits.batch_size, longest, limits.max_new_tokens)
    shared = _shared(prompts) if prompts else work.shared_tokens
    return DecodingBatch(limits.batch_size, longest, limits.max_new_tokens, shared, pass_tokens())


def _shared(prompts: Sequence[TokenIds]) -> int:
    """Return the number of tokens that all prompts begin with, less than those of any prompt."""
    first, last = min(prompts), max(prompts)
    return min(common_prefix_length(first, last), len(first) - 1, len(last) - 1)


def not_forecast(error: ModelError) -> str:
    """Return that the memory of a model is unknown, as of an architecture that is not counted."""
    return f"its memory is not forecast: {error}"


def gpus_of(count: int, memory: float) -> str:
    """Return a number of GPUs and the memory of each in words; ``memory`` is in bytes."""
    return f"{count} GPU{'s' * (count != 1)} of {memory / 1e9:.0f} GB"


def check_fits(name: str, fitting: Fit | None, sizes: Sequence[int]) -> Fit:
    """Return the fit, unless there is none on GPUs of these sizes in bytes.

    Raises:
        DoesNotFitError: naming the model, the number of GPUs and their memory.
    """
    if fitting:
        return fitting
    raise DoesNotFitError(
        f"{name}: one prompt needs more memory than {gpus_of(len(sizes), min(sizes))} have; see "
        "python -m benchmark plan"
    )
