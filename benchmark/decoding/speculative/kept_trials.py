"""The trials of matrix-product backends, kept in the cache folder.

A trial depends on the processor, its instructions, the number of threads, torch, the dtype and the
shapes of a model's layers; each has a file of its own. Processes that start together make it once.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, TypeAdapter, ValidationError

from benchmark.decoding.speculative.linear_shapes import LinearShapes, Shape
from benchmark.decoding.speculative.matmul_backends import MatmulBackend
from benchmark.decoding.speculative.matmul_trial import EVICTED, VERSION, Product, time_products
from benchmark.decoding.speculative.pass_rows import tried_rows
from benchmark.errors import DataError, first_line
from benchmark.locking import locked_if_possible
from benchmark.models.cache_folder import cache_folder
from benchmark.models.hardware import cpu_flags, cpu_name
from benchmark.reading.documents import read_json
from benchmark.writing import ensure_folder, write_text

_VARIABLES = ("MKL_", "ONEDNN_", "DNNL_", "ATEN_CPU")
"""Prefixes of the environment variables that change which instructions products use."""

Seconds = dict[str, dict[str, dict[str, float]]]
"""Seconds of one pass by backend, by part (``layers`` or ``head``) and by number of rows."""

_POSITIVE = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
_SECONDS = TypeAdapter(dict[str, dict[str, dict[str, _POSITIVE]]])

_trials: dict[str, Seconds | None] = {}
"""The trials of this process by their digests; None for one that was disturbed."""


def kept_trial(
    backends: Mapping[str, MatmulBackend], shapes: LinearShapes, say: Callable[[str], None] = print
) -> Seconds | None:
    """Return the kept trial of these backends on this machine, or make one.

    Args:
        backends: those to compare, by name.
        shapes: those of the model's layers.
        say: takes a line of text if a trial cannot be kept.

    Returns:
        The seconds; None if other programs disturbed the trial, which is then not kept.
    """
    key = _key(backends, shapes)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
    if digest not in _trials:
        path = cache_folder() / "products" / f"{digest}.json"
        _trials[digest] = _read(path, key) or _made(path, key, backends, shapes, say)
    return _trials[digest]


def _made(
    path: Path,
    key: Mapping[str, object],
    backends: Mapping[str, MatmulBackend],
    shapes: LinearShapes,
    say: Callable[[str], None],
) -> Seconds | None:
    with suppress(OSError):  # without a folder nothing is locked
        ensure_folder(path.parent)
    with locked_if_possible(path.parent / "trial.lock"):  # trials disturb one another
        if kept := _read(path, key):  # another process made it while this one waited
            return kept
        seconds = _trial(backends, shapes)
        if seconds:
            try:
                write_text(path, [json.dumps({"key": key, "seconds": seconds}, indent=1), "\n"])
            except (OSError, DataError) as error:
                say(
                    f"matrix products: the trial cannot be kept ({first_line(error)}); the next "
                    "run tries again, and may choose another backend"
                )
        return seconds


def _trial(backends: Mapping[str, MatmulBackend], shapes: LinearShapes) -> Seconds | None:
    rows, parts = tried_rows(), _parts(shapes)
    sizes = [(shape, rows[part]) for part, counts in parts.items() for shape in counts]
    times = time_products(backends, sizes, shapes.dtype, evicts=True)
    if not times.clear:
        return None

    def total(name: str, counts: Mapping[Shape, int], number: int) -> float:
        products = ((count, Product(name, shape, number)) for shape, count in counts.items())
        return sum(count * times.seconds[product] for count, product in products)

    return {
        name: {
            part: {str(number): total(name, counts, number) for number in rows[part]}
            for part, counts in parts.items()
        }
        for name in backends
    }


def _parts(shapes: LinearShapes) -> dict[str, Mapping[Shape, int]]:
    """Return how many layers have each shape, by part; a part without plain layers is left out."""
    layers = {"layers": shapes.layers} if shapes.layers else {}
    head = {"head": {shapes.head: 1}} if shapes.head else {}
    return {**layers, **head}


def _key(backends: Mapping[str, MatmulBackend], shapes: LinearShapes) -> dict[str, object]:
    """Return what a trial depends on."""
    return {
        "processor": cpu_name(),
        "flags": hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()[:16],
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "variables": {n: v for n, v in sorted(os.environ.items()) if n.startswith(_VARIABLES)},
        "dtype": str(shapes.dtype).removeprefix("torch."),
        "layers": sorted([*shape, count] for shape, count in shapes.layers.items()),
        "head": list(shapes.head) if shapes.head else None,
        "backends": list(backends),
        "evicted": EVICTED,
        "version": VERSION,
        "rows": {part: [*map(str, tried_rows()[part])] for part in _parts(shapes)},
    }


def _read(path: Path, key: Mapping[str, object]) -> Seconds | None:
    """Return the kept trial; None if it is missing, has another key or is damaged."""
    try:
        document = read_json(path)
        if not isinstance(document, dict) or document.get("key") != key:
            return None
        seconds: Seconds = _SECONDS.validate_python(document.get("seconds"))
    except (OSError, DataError, ValidationError):
        return None
    timed = [{part: list(by_rows) for part, by_rows in parts.items()} for parts in seconds.values()]
    complete = list(seconds) == key["backends"] and all(parts == key["rows"] for parts in timed)
    return seconds if complete else None
