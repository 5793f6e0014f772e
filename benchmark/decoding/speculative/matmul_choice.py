"""Choose a model's matrix-product backend by a trial, once per processor and version.

The backend decides the last bits of a result, so the trial is kept and the same machine does not
choose another one in the next run. Of backends that are about equally fast the one that needs the
least memory is chosen. If other programs disturb the trial, or the model is so small that
microseconds would decide, the first candidate that is available is chosen.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmark.decoding.speculative.kept_trials import kept_trial
from benchmark.decoding.speculative.linear_shapes import LinearShapes
from benchmark.decoding.speculative.matmul_backends import MatmulBackend, available, candidates
from benchmark.decoding.speculative.pass_rows import PassRows, pass_rows
from benchmark.errors import SettingError
from benchmark.models.hardware import free_memory, limit_kernel_caches

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MARGIN = 1.05
"""Backends that take up to this many times as long as the fastest are equal to it."""

_SMALL = 2**24
"""Models with fewer weights in their layers are not worth a trial."""


def matmul_backend_for(
    model: "PreTrainedModel", batch_size: int = 32, forced: str | None = None
) -> MatmulBackend | None:
    """Return the backend for a model here; None to keep its own layers.

    Args:
        model: the model, on the device where it runs.
        batch_size: how many prompts are decoded together, which decides the rows of passes.
        forced: the name of the backend to use, if it is not to be chosen.

    Raises:
        SettingError: if the forced backend does not exist for this device and dtype, is not
            available here, or does not fit in memory.
    """
    backends = candidates(model.dtype) if model.device.type == "cpu" else {}
    if forced is not None and forced not in backends:
        where = f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
        names = f"; choose one of {', '.join(backends)}" if backends else ""
        raise SettingError(f"products {forced}: not for {where}{names}")
    if not backends:
        return None
    limit_kernel_caches()
    shapes = LinearShapes.of(model)
    usable = available(backends, shapes)
    fitting = fitting_in_memory(usable, shapes)
    if forced is not None:
        return _forced(forced, usable, fitting)
    return fitting[choose(fitting, usable, shapes, pass_rows(batch_size))]


def fitting_in_memory(
    backends: Mapping[str, MatmulBackend], shapes: LinearShapes
) -> dict[str, MatmulBackend]:
    """Return the backends whose weights take at most half of the free memory."""
    room = free_memory() / 2
    return {
        name: backend
        for name, backend in backends.items()
        if backend.extra_bytes * shapes.numbers <= room
    }


def choose(
    fitting: Mapping[str, MatmulBackend],
    usable: Mapping[str, MatmulBackend],
    shapes: LinearShapes,
    rows: PassRows,
) -> str:
    """Return the name of the backend to use, of those that fit in memory.

    ``usable`` are all that are available: the trial has them all, as the free memory may be larger
    in the next run.
    """
    first = next(iter(fitting))
    if len(fitting) == 1 or shapes.numbers < _SMALL:
        return first
    seconds = kept_trial(usable, shapes)
    if seconds is None:
        return first
    return fastest(fitting, {name: rows.total(seconds[name]) for name in fitting})


def fastest(backends: Mapping[str, MatmulBackend], seconds: Mapping[str, float]) -> str:
    """Return the backend that needs the least memory of those that are about the fastest.

    Of equal ones the first is returned.
    """
    most = _MARGIN * min(seconds[name] for name in backends)
    near = [name for name in backends if seconds[name] <= most]
    return min(near, key=lambda name: backends[name].extra_bytes)


def _forced(
    name: str, usable: Mapping[str, MatmulBackend], fitting: Mapping[str, MatmulBackend]
) -> MatmulBackend:
    if name in fitting:
        return fitting[name]
    why = "its weights would take more than half of the free memory"
    if name not in usable:
        why = "not available with this processor and torch"
    raise SettingError(f"products {name}: {why}; choose one of {', '.join(fitting)}")
