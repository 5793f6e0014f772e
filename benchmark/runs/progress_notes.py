"""How a run went so far, over all times it was started."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class ProgressNotes:
    """What the folder of a run notes beside its completions.

    ``batch_sizes`` are those that completions came from, largest first; ``compositions`` is what
    the engines say of their batches beside the size, where they say anything. ``starts`` is how
    often decoding began: what is missing when a run goes on is batched anew.
    """

    batch_sizes: tuple[int, ...] = ()
    decoded: int = 0
    seconds: float = 0.0
    compositions: tuple[Mapping[str, object], ...] = ()
    starts: int = 0

    @classmethod
    def of(cls, notes: Mapping[str, object]) -> Self:
        """The history in a folder's notes; a new one where there are none."""
        match notes:
            case {
                "batch_sizes": list(sizes),
                "timing": {"decoded_states": n, "seconds": s, **timing},
            }:
                compositions = notes.get("compositions")
                known = compositions if isinstance(compositions, list) else []
                starts = timing.get("starts")
                begun = starts if isinstance(starts, int) else 1
                return cls(tuple(sizes), n, s, tuple(known), begun)
        return cls()

    @property
    def batch_size(self) -> int | None:
        """The one that fitted last; None at the beginning."""
        return self.batch_sizes[-1] if self.batch_sizes else None

    def with_decoded(self, count: int) -> Self:
        """Return the notes with the number of states that the folder holds.

        Predictions are written before the notes about them, so a run that was killed in between
        has more predictions than its notes count.
        """
        return replace(self, decoded=count)

    def again(self) -> Self:
        """The history of a run that begins to decode, or goes on."""
        return replace(self, starts=self.starts + 1)

    def plus(
        self, batch_size: int, composition: Mapping[str, object], decoded: int, seconds: float
    ) -> Self:
        """The history with so many more states in batches of that size and composition."""
        known = batch_size in self.batch_sizes
        sizes = self.batch_sizes if known else (*self.batch_sizes, batch_size)
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
        """For the folder's notes and the result."""
        compositions = {"compositions": list(self.compositions)} if self.compositions else {}
        timing = {
            "decoded_states": self.decoded,
            "seconds": round(self.seconds, 2),
            "starts": self.starts,
        }
        return {"batch_sizes": list(self.batch_sizes), **compositions, "timing": timing}
