"""What decides how fast decoding is, and nothing else."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Self


@dataclass(frozen=True, slots=True)
class CostModel:
    """How much goes into a pass, and what it costs there.

    Attributes:
        rows: how many prompts are decoded together.
        tokens: no prompt is added to a pass that has so many tokens.
        fixed: what a pass costs beside its tokens, in tokens.
        per_row: what a row in it costs beside its tokens, in tokens.
        few: rows with so many tokens in a pass are attended together.
        neighbours: over so many slots at most.
    """

    rows: int
    tokens: int
    fixed: float
    per_row: float
    few: int
    neighbours: int

    @classmethod
    def on(cls, device: str, rows: int) -> Self:
        """The pace for a kind of torch device; those that are not known go as a GPU does."""
        text = (
            files("benchmark.decoding.speculative")
            .joinpath("paces.toml")
            .read_text(encoding="utf-8")
        )
        known = tomllib.loads(text)
        return cls(rows=rows, **known.get(device, known["cuda"]))

    def threshold(self, rows: int) -> float:
        """The probability above which computing a draft is cheaper than a later pass for it.

        A right draft saves its row's share of a pass, a wrong one wastes a token:
        p * share > (1 - p) * 1.
        """
        return 1 / (1 + self.fixed / max(rows, 1) + self.per_row)
