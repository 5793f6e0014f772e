"""Choose a model's matrix-product backend by a trial, once per processor and version.

The backend decides the last bits of a result, so the trial is kept for the next runs on the same
machine. Of backends that are about equally fast the one that needs the least memory is chosen. If
the model is so small that microseconds would decide, the first candidate that is available is
chosen. Three things can lead to another backend in the next run, and each is said in a line: other
programs disturb the trial, for which the first candidate is used; the backend does not fit in the
free memory; or the trial cannot be kept.
"""

from collections.abc import Callable, Mapping
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
    model: "PreTrainedModel",
    batch_size: int,
    forced: str | None = None,
    say: Callable[[str], None] = print,
) -> MatmulBackend | None:
    """Return the backend for a model here; None to keep its own layers.

    Args:
        model: the model, on the device where it runs.
        batch_size: how many prompts are decoded together, which decides the rows of passes.
        forced: the name of the backend to use, if it is not to be chosen.
        say: takes a line of text if the next run may choose another one.

    Raises:
        SettingError: if the forced backend does not exist for this device and dtype, is not
            available here, or does not fit in memory.
    """
    backends = candidates(model.dtype) if model.device.type == "cpu" else {}
    if forced is not None and forced not in backends:
        where = f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
        names = f"; choose one of {', '.join(backends)}" if backends else ""
        raise SettingError(f"matrix-product backend {forced}: not for {where}{names}")
    if not backends:
        return None
    limit_kernel_caches()
    shapes = LinearShapes.of(model)
    usable = available(backends, shapes)
    fitting = fitting_in_memory(usable, shapes)
    if forced is not None:
        return _forced(forced, usable, fitting)
    return fitting[choose(fitting, usable, shapes, pass_rows(batch_size), say)]


def products_seconds(
    model: "PreTrainedModel", batch_size: int, say: Callable[[str], None] = print
) -> float | None:
    """Return the seconds per state of a model's matrix products, with the backend for it.

    They are those of the trial. None without a trial: on a GPU, for a small model, and if other
    programs disturbed it. ``say`` takes a line of text if the trial cannot be kept.
    """
    backends = candidates(model.dtype) if model.device.type == "cpu" else {}
    shapes = LinearShapes.of(model)
    usable = available(backends, shapes)
    seconds = kept_trial(usable, shapes, say) if _is_tried(usable, shapes) else None
    if seconds is None:
        return None
    rows, fitting = pass_rows(batch_size), fitting_in_memory(usable, shapes)
    return rows.total(seconds[choose(fitting, usable, shapes, rows, say=lambda _: None)])


def fitting_in_memory(
    backends: Mapping[str, MatmulBackend], shapes: LinearShapes
) -> dict[str, MatmulBackend]:
    """Return the backends whose additional weights take at most half of the free memory."""
    room = free_memory() / 2
    return {
        name: backend
        for name, backend in backends.items()
        if _additional_bytes(backend, shapes) <= room
    }


def _additional_bytes(backend: MatmulBackend, shapes: LinearShapes) -> int:
    # A backend that unpacks replaces the dense weights, but for those of the head.
    head = shapes.head_numbers * shapes.dtype.itemsize if backend.unpacks else 0
    return backend.extra_bytes * shapes.numbers + head


def choose(
    fitting: Mapping[str, MatmulBackend],
    usable: Mapping[str, MatmulBackend],
    shapes: LinearShapes,
    rows: PassRows,
    say: Callable[[str], None] = print,
) -> str:
    """Return the name of the backend to use, of those that fit in memory.

    ``usable`` are all that are available: the trial has them all, as the free memory may be larger
    in the next run. ``say`` takes a line of text if the next run may choose another one.
    """
    is_tried = _is_tried(usable, shapes)
    seconds = kept_trial(usable, shapes, say) if is_tried else None

    def best(backends: Mapping[str, MatmulBackend]) -> str:
        if seconds is None:
            return next(iter(backends))
        return fastest(backends, {name: rows.total(seconds[name]) for name in backends})

    chosen, better = best(fitting), best(usable)
    using = f"using {fitting[chosen].name}"
    if is_tried and seconds is None:
        say(
            f"matrix products: other programs disturbed the trial; {using}, and trying again in "
            "the next run"
        )
    if better != chosen:
        say(
            f"matrix products: the weights of {usable[better].name} would take more than half of "
            f"the free memory; {using}"
        )
    return chosen


def _is_tried(usable: Mapping[str, MatmulBackend], shapes: LinearShapes) -> bool:
    return len(usable) > 1 and shapes.numbers >= _SMALL


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
    choices = ", ".join(fitting)
    raise SettingError(f"matrix-product backend {name}: {why}; choose one of {choices}")
