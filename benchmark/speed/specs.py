"""What is asked for with ``--engines``: ``NAME[@BATCH|@best][:DTYPE]``, separated by commas."""

import re
from dataclasses import dataclass, replace
from typing import Self

from benchmark.decoding.engines import ENGINES, EngineRow, SpeedTraits
from benchmark.decoding.protocols import protocol
from benchmark.errors import SettingError

CANDIDATES = (8, 16, 32, 64)
"""Among which batch sizes ``@best`` looks."""

_SPEC = re.compile(r"(?P<name>[^@:]+)(@(?P<batch>[0-9]+|best))?(:(?P<dtype>\w+))?")
_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Spec:
    """An engine with its batch size and dtype; ``best`` while the batch size is to be found."""

    label: str
    name: str
    dtype: str
    batch_size: int
    best: bool = False

    @property
    def engine(self) -> EngineRow:
        """The engine's row; of ``limit``, ``margins`` and ``copy`` a plain one."""
        return ENGINES.get(self.name, EngineRow(self.name))

    @property
    def traits(self) -> SpeedTraits:
        """How the engine is measured."""
        return self.engine.speed

    @property
    def is_paper(self) -> bool:
        """Whether this is the paper's method: its engine, in its batches of one prompt."""
        paper = protocol("paper")
        asked = (self.name, self.batch_size)
        return asked == (paper.engine, paper.limits.batch_size) and not self.best

    @classmethod
    def hidden(cls, name: str, dtype: str) -> Self:
        """What the measurement itself needs: ``limit``, ``margins`` or ``copy``."""
        return cls(f"{name} ({dtype})", name, dtype, 1)

    def at(self, batch_size: int) -> Self:
        """The same with the batch size that was found best."""
        return replace(self, batch_size=batch_size, best=False)


def parse(text: str, dtype: str, batch_size: int) -> list[Spec]:
    """The engines asked for.

    Args:
        text: as described above.
        dtype: of those that name none.
        batch_size: of those that name none and have none of their own.

    Raises:
        SettingError: for an engine, dtype or batch size that does not exist, or comes twice.
    """
    specs = [_one(part.strip(), dtype, batch_size) for part in text.split(",")]
    labels = [spec.label for spec in specs]
    for label in labels:
        if labels.count(label) > 1:
            raise SettingError(f"--engines: {label} is there twice; name it once")
    return specs


def _one(text: str, dtype: str, batch_size: int) -> Spec:
    match = _SPEC.fullmatch(text)
    row = ENGINES.get(match["name"]) if match else None
    if match is None or row is None:
        names = ", ".join(ENGINES)
        raise SettingError(
            f"--engines: no engine {text!r}; they are NAME[@BATCH][:DTYPE] of {names}"
        )
    own, batch, traits = match["dtype"] or dtype, match["batch"], row.speed
    if own not in _DTYPES:
        raise SettingError(f"--engines: no dtype {own!r} in {text!r}; one of {', '.join(_DTYPES)}")
    if batch and (not traits.batched or batch == "0"):
        why = "at least 1 is needed" if traits.batched else "it chooses its batches itself"
        raise SettingError(f"--engines: {text!r}: {why}")
    if match["dtype"] and traits.own_numbers:
        raise SettingError(f"--engines: {text!r}: it computes with the numbers of its file")
    size = int(batch) if batch and batch != "best" else traits.batch or batch_size
    return Spec(text, match["name"], own, size, best=batch == "best")
