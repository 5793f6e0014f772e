"""The numbers of rows that the passes of real runs have, by which backends are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.package_data import package_toml

_FILE = "decoding/speculative/pass_rows.toml"


@dataclass(frozen=True, slots=True)
class PassRows:
    """How many passes per state have which number of rows, in the layers and in the head.

    Attributes:
        rows: the numbers of rows by part (``layers`` or ``head``), rounded to a few.
        passes: for each of them, the products of that size per state.
    """

    rows: Mapping[str, tuple[int, ...]]
    passes: Mapping[str, tuple[float, ...]]

    def total(self, seconds: Mapping[str, Mapping[str, float]]) -> float:
        """Return the seconds per state, from those of a product by part and number of rows."""
        return sum(
            passes * seconds[part][str(rows)]
            for part in seconds
            for rows, passes in zip(self.rows[part], self.passes[part], strict=True)
        )


def tried_rows() -> dict[str, tuple[int, ...]]:
    """Return the numbers of rows by part, which are the same for every batch size."""
    rows = package_toml(_FILE)["rows"]
    return {part: tuple(numbers) for part, numbers in rows.items()}


def pass_rows(batch_size: int) -> PassRows:
    """Return the rows at the largest recorded batch size up to this one, else at the smallest."""
    rows = tried_rows()
    by_size = sorted(package_toml(_FILE)["batch"], key=lambda entry: int(entry["batch_size"]))
    fitting = [entry for entry in by_size if entry["batch_size"] <= batch_size]
    entry = fitting[-1] if fitting else by_size[0]
    return PassRows(rows, {part: tuple(entry[part]) for part in rows})
