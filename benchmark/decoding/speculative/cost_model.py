"""What a pass costs by kind of device. It decides the speed of decoding and nothing else.

The costs on a CPU are those of its kind of processor, as far as that was measured.
"""

from dataclasses import dataclass
from typing import Self

from benchmark.models.hardware import cpu_kind
from benchmark.package_data import package_toml

_COSTS = ("tokens", "fixed", "per_row", "few", "neighbours")


@dataclass(frozen=True, slots=True)
class CostModel:
    """The limits of a pass, and its costs in units of one more token.

    Attributes:
        rows: how many prompts are decoded together.
        tokens: no prompt is added to a pass that has this many tokens.
        fixed: the cost of a pass without its tokens.
        per_row: the cost of a sequence in it without its tokens.
        few: sequences with at most this many tokens in a pass are attended to together.
        neighbours: the most slots that are attended to together.
    """

    rows: int
    tokens: int
    fixed: float
    per_row: float
    few: int
    neighbours: int

    @classmethod
    def on(cls, device: str, rows: int) -> Self:
        """Return the cost model of a kind of torch device; unknown kinds have that of CUDA.

        A CPU has the costs of this machine's kind of processor; one that was not measured has those
        of the kind that the file names.
        """
        by_device = package_toml("decoding/speculative/cost_model.toml")
        entry = by_device.get(device, by_device["cuda"])
        if kinds := entry.get("kinds"):
            entry = {**entry, **kinds.get(cpu_kind(), kinds[entry["unmeasured"]])}
        return cls(rows=rows, **{name: entry[name] for name in _COSTS})

    def threshold(self, rows: int) -> float:
        """Return the probability above which it pays to compute a draft.

        With probability p a draft is right and saves its row's share of a pass, fixed / rows +
        per_row; otherwise it wastes one token. It pays if p * share > (1 - p) * 1. For 64 rows on
        a CPU the share is 12 / 64 + 0.3 = 0.4875, and the threshold 1 / 1.4875 = 0.67.
        """
        return 1 / (1 + self.fixed / max(rows, 1) + self.per_row)
