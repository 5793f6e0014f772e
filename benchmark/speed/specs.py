"""The ``--engines`` option: ``NAME[+PRODUCTS][+unfused][@BATCH|@best][:DTYPE]``, by commas."""

import re
from dataclasses import dataclass, replace
from typing import Self

from benchmark.decoding.engines import ENGINES, EngineRow, SpeedTraits
from benchmark.decoding.protocols import protocol
from benchmark.errors import SettingError

CANDIDATES = (8, 16, 32, 64)
"""The batch sizes that ``@best`` tries."""

_SPEC = re.compile(
    r"(?P<name>[^+@:]+)(?P<with>(\+[\w-]+)*)(@(?P<batch>[0-9]+|best))?(:(?P<dtype>\w+))?"
)
_UNFUSED = "unfused"
"""The part of an engine's name that forbids compiled kernels."""

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """An engine with its batch size and dtype; ``best`` until the best batch size is found.

    ``products`` names its matrix-product backend if it does not choose it itself; ``fused`` is
    false if it may not use compiled kernels.
    """

    label: str
    name: str
    dtype: str
    batch_size: int
    best: bool = False
    products: str | None = None
    fused: bool = True

    @property
    def engine(self) -> EngineRow:
        """The engine's row; a default one for ``limit``, ``margins`` and ``copy``."""
        return ENGINES.get(self.name, EngineRow(self.name))

    @property
    def traits(self) -> SpeedTraits:
        """How the engine is measured."""
        return self.engine.speed

    @property
    def is_paper(self) -> bool:
        """Whether this is the paper's method: its engine, one prompt at a time."""
        paper = protocol("paper")
        setting = (self.name, self.batch_size)
        return setting == (paper.engine, paper.limits.batch_size) and not self.best

    @classmethod
    def internal(cls, name: str, dtype: str) -> Self:
        """Return the spec of a helper process: ``limit``, ``margins`` or ``copy``."""
        return cls(f"{name} ({dtype})", name, dtype, 1)

    def at(self, batch_size: int) -> Self:
        """Return the spec with this batch size."""
        return replace(self, batch_size=batch_size, best=False)


def parse(text: str, dtype: str, batch_size: int) -> list[EngineSpec]:
    """Return the engines that an ``--engines`` option names.

    Args:
        text: the option's value.
        dtype: the default dtype.
        batch_size: the default batch size of engines whose row has none.

    Raises:
        SettingError: if an engine, dtype, batch size or backend does not exist, or a part is
            repeated.
    """
    specs = [_one(part.strip(), dtype, batch_size) for part in text.split(",")]
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise SettingError(f"--engines: {label} is repeated; name it once")
    return specs


def _one(text: str, dtype: str, batch_size: int) -> EngineSpec:
    match = _SPEC.fullmatch(text)
    row = ENGINES.get(match["name"]) if match else None
    if match is None or row is None:
        names = ", ".join(ENGINES)
        raise SettingError(
            f"--engines: no engine {text!r}; write NAME[+PRODUCTS][+unfused][@BATCH][:DTYPE] "
            f"with one of "
            f"{names}"
        )
    engine_dtype, batch, traits = match["dtype"] or dtype, match["batch"], row.speed
    if engine_dtype not in _DTYPES:
        raise SettingError(
            f"--engines: no dtype {engine_dtype!r} in {text!r}; choose one of {', '.join(_DTYPES)}"
        )
    if batch and (not traits.batched or batch == "0"):
        why = "at least 1 is needed" if traits.batched else "it chooses its own batch size"
        raise SettingError(f"--engines: {text!r}: {why}")
    if match["dtype"] and traits.own_numbers:
        raise SettingError(f"--engines: {text!r}: its dtype is that of its file")
    parts = match["with"].split("+")[1:]
    products = [part for part in parts if part != _UNFUSED]
    if parts:
        _check_parts(text, parts, products, row)
    size = int(batch) if batch and batch != "best" else traits.batch or batch_size
    return EngineSpec(
        text,
        match["name"],
        engine_dtype,
        size,
        best=batch == "best",
        products=products[0] if products else None,
        fused=_UNFUSED not in parts,
    )


def _check_parts(text: str, parts: list[str], products: list[str], row: EngineRow) -> None:
    """Check what follows an engine's name after a plus sign."""
    if not row.products:
        raise SettingError(f"--engines: {text!r}: its matrix-product backend cannot be chosen")
    if len(products) > 1 or len(set(parts)) < len(parts):
        raise SettingError(
            f"--engines: {text!r}: name at most one matrix-product backend, and {_UNFUSED} once"
        )
    for name in products:
        if name not in row.products:
            raise SettingError(
                f"--engines: no matrix-product backend {name!r} in {text!r}; choose one of "
                f"{', '.join(row.products)}, or {_UNFUSED} for no compiled kernels"
            )
