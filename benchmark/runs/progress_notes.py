"""How a run has progressed, over all the times it was started."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self


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
    def from_json(cls, notes: Mapping[str, object]) -> Self:
        """Return the notes of a folder; new ones if it has none."""
        match notes:
            case {
                "batch_sizes": list(sizes),
                "timing": {"decoded_states": n, "seconds": s, **timing},
            }:
                compositions = notes.get("compositions")
                listed = compositions if isinstance(compositions, list) else []
                starts = timing.get("starts")
                return cls(
                    tuple(sizes), n, s, tuple(listed), starts if isinstance(starts, int) else 1
                )
        return cls()

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
