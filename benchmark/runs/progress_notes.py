"""How a run has progressed, over all the times it was started."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError

from benchmark.errors import DataError


class _Timing(BaseModel, strict=True, extra="forbid"):
    decoded_states: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    starts: Annotated[int, Field(ge=0)] = 1  # older versions did not count them


class _Document(BaseModel, strict=True, extra="forbid"):
    """The content of ``progress.json``."""

    batch_sizes: list[Annotated[int, Field(ge=1)]]
    timing: _Timing
    compositions: list[dict[str, object]] = []


REMEDY = "remove the file to resume without its notes on batches and time"
"""What to do about a damaged file; ends its errors."""


@dataclass(frozen=True, slots=True)
class ProgressNotes:
    """The progress notes of a run's folder.

    ``batch_sizes`` are the sizes that were used, largest first; ``compositions`` is what else the
    engines report about their batches, if anything. ``decoded`` counts the states that were
    decoded and ``seconds`` the time this took. ``starts`` counts the times that decoding began: a
    resumed run batches the missing states again.
    """

    batch_sizes: tuple[int, ...] = ()
    decoded: int = 0
    seconds: float = 0.0
    compositions: tuple[Mapping[str, object], ...] = ()
    starts: int = 0

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
            notes = _Document.model_validate(dict(document))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"{source}: {place}: {first['msg']}; {REMEDY}") from error
        sizes = notes.batch_sizes
        if sizes != sorted(set(sizes), reverse=True) or max(sizes, default=1) > largest:
            raise DataError(
                f"{source}: batch_sizes: {sizes!s:.60} do not shrink from {largest}, the "
                f"largest that the run may use; {REMEDY}"
            )
        timing, compositions = notes.timing, tuple(notes.compositions)
        return cls(tuple(sizes), timing.decoded_states, timing.seconds, compositions, timing.starts)

    @property
    def batch_size(self) -> int | None:
        """The batch size that fitted last; None before anything was decoded."""
        return self.batch_sizes[-1] if self.batch_sizes else None

    def with_decoded(self, count: int) -> Self:
        """Return the notes with the number of states that the folder holds.

        Predictions are written before the notes about them, so a run that was killed in between
        has more predictions than its notes count.
        """
        return replace(self, decoded=count)

    def restarted(self) -> Self:
        """Return the notes with one more start."""
        return replace(self, starts=self.starts + 1)

    def extended(
        self, batch_size: int, composition: Mapping[str, object], decoded: int, seconds: float
    ) -> Self:
        """Return the notes with ``decoded`` more states in batches of this size and composition."""
        listed = batch_size in self.batch_sizes
        sizes = self.batch_sizes if listed else (*self.batch_sizes, batch_size)
        compositions = self.compositions
        if composition and composition not in compositions:
            compositions = (*compositions, composition)
        return replace(
            self,
            batch_sizes=sizes,
            decoded=self.decoded + decoded,
            seconds=self.seconds + seconds,
            compositions=compositions,
        )

    def as_json(self) -> dict[str, object]:
        """Return the notes as ``progress.json`` and ``result.json`` keep them."""
        compositions = {"compositions": list(self.compositions)} if self.compositions else {}
        timing = {
            "decoded_states": self.decoded,
            "seconds": round(self.seconds, 2),
            "starts": self.starts,
        }
        return {"batch_sizes": list(self.batch_sizes), **compositions, "timing": timing}
