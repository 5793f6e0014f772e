"""How many GPUs a run needs, and with which batch, before its weights are fetched or loaded."""

from collections.abc import Sequence

from benchmark.decoding.common_prefix import common_prefix_length
from benchmark.errors import DoesNotFitError, ModelError
from benchmark.models.location import Location
from benchmark.planning.architectures import configuration
from benchmark.planning.memory import DecodingBatch, Fit, best_fit
from benchmark.planning.planning import pass_tokens
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
    options = settings.options
    size = shape(configuration(str(location.folder / (location.gguf or ""))))
    return best_fit(size, options.quantization or options.dtype, _batch(settings, prompts), free)


def _batch(settings: ResolvedSettings, prompts: Sequence[TokenIds]) -> DecodingBatch:
    limits, longest = settings.limits, max(map(len, prompts))
    if not settings.engine_row.packed:
        return DecodingBatch(limits.batch_size, longest, limits.max_new_tokens)
    first, last = min(prompts), max(prompts)
    shared = min(common_prefix_length(first, last), len(first) - 1, len(last) - 1)
    return DecodingBatch(limits.batch_size, longest, limits.max_new_tokens, shared, pass_tokens())


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
