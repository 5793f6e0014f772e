"""How a run has progressed, over all the times it was started."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from benchmark.errors import DataError

REMEDY = "remove the file to resume without its notes on batches and time"
"""What to do about a damaged file; ends its errors."""

_Count = Annotated[int, Field(ge=0, strict=True)]
_Size = Annotated[int, Field(ge=1, strict=True)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
_NO_OTHER_FIELDS = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Timing:
    """How many states were decoded, in how many seconds.

    ``starts`` counts the times that decoding began: a resumed run batches the missing states again.
    Older versions did not count them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _NO_OTHER_FIELDS
    decoded_states: _Count
    seconds: _Seconds
    starts: _Count = 1


@dataclass(frozen=True, slots=True)
class ProgressNotes:
    """The progress notes of a run's folder, as ``progress.json`` keeps them.

    ``batch_sizes`` are the sizes that were used, largest first; ``compositions`` is what else the
    engines report about their batches, if anything.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _NO_OTHER_FIELDS
    batch_sizes: tuple[_Size, ...]
    timing: Timing
    compositions: tuple[dict[str, object], ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, object], source: str, largest: int) -> Self:
        """Return the notes in a document.

        Args:
            document: the content of ``progress.json``.
            source: names the file in errors.
            largest: the batch size of the run's settings, from which it can only have shrunk.

        Raises:
            DataError: for values of another type or out of range, and for unknown fields, as of
                another version.
        """
        try:
            notes = TypeAdapter(cls).validate_python(document)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"{source}: {place}: {first['msg']}; {REMEDY}") from error
        sizes = notes.batch_sizes
        if list(sizes) != sorted(set(sizes), reverse=True) or max(sizes, default=1) > largest:
            raise DataError(
                f"{source}: batch_sizes: {list(sizes)!s:.60} do not shrink from {largest}, the "
                f"largest that the run may use; {REMEDY}"
            )
        return notes

    @property
    def batch_size(self) -> int | None:
        """The batch size that fitted last; None before anything was decoded."""
        return self.batch_sizes[-1] if self.batch_sizes else None

    def with_decoded(self, count: int) -> Self:
        """Return the notes with the number of states that the folder holds.

        Predictions are written before the notes about them, so a run that was killed in between
        has more predictions than its notes count.
        """
        return replace(self, timing=replace(self.timing, decoded_states=count))

    def restarted(self) -> Self:
        """Return the notes with one more start."""
        return replace(self, timing=replace(self.timing, starts=self.timing.starts + 1))

    def extended(
        self, batch_size: int, composition: Mapping[str, object], decoded: int, seconds: float
    ) -> Self:
        """Return the notes with ``decoded`` more states in batches of this size and composition."""
        sizes, compositions, timing = self.batch_sizes, self.compositions, self.timing
        if batch_size not in sizes:
            sizes = (*sizes, batch_size)
        if composition and composition not in compositions:
            compositions = (*compositions, dict(composition))
        timing = replace(
            timing,
            decoded_states=timing.decoded_states + decoded,
            seconds=timing.seconds + seconds,
        )
        return type(self)(sizes, timing, compositions)

    def as_json(self) -> dict[str, object]:
        """Return the notes as ``progress.json`` and ``result.json`` keep them."""
        compositions = {"compositions": list(self.compositions)} if self.compositions else {}
        timing = {**asdict(self.timing), "seconds": round(self.timing.seconds, 2)}
        return {"batch_sizes": list(self.batch_sizes), **compositions, "timing": timing}


NO_PROGRESS = ProgressNotes((), Timing(0, 0.0, starts=0))
"""The notes of a run that has not begun to decode."""
