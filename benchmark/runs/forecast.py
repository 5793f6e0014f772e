"""Forecast how long a run takes on a CPU, before it begins to decode."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmark.planning.planning import planning
from benchmark.runs.settings import ResolvedSettings

if TYPE_CHECKING:
    from benchmark.models.loading import LanguageModel


def forecast_seconds(
    settings: ResolvedSettings,
    model: "LanguageModel | None",
    states: int,
    say: Callable[[str], None] = print,
    *,
    batch_size: int | None = None,
) -> float | None:
    """Return the seconds that decoding is expected to take.

    They are those of the matrix products by the trial of backends, divided by the share of the
    products in the time (``planning.toml``). None where there is no trial: on a GPU, with an engine
    that does not choose a backend, for a model that it does not take, and for a small one.

    Args:
        settings: the settings of the run.
        model: its model; None for an engine that loads no weights.
        states: how many states are to be decoded.
        say: takes a line of text if the trial cannot be kept.
        batch_size: the first batch size, if it is not that of the settings.
    """
    if model is None or not settings.engine_row.products:
        return None
    from benchmark.decoding.speculative.compatibility import unsupported_reason
    from benchmark.decoding.speculative.matmul_choice import products_seconds

    if unsupported_reason(model):  # another engine decodes
        return None
    products = products_seconds(model, batch_size or settings.limits.batch_size, say)
    return states * products / planning().cpu.products_share if products else None
