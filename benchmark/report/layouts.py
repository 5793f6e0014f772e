"""The figures of a report: their pairs and curves, and the positions of their panels."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import Field

from benchmark.models.validation import Entry, Items
from benchmark.package_data import package_toml
from benchmark.report.data import PairView

_COLUMNS = 5
"""Panels per row in the figure of other pairs."""


_Two = Annotated[tuple[str, str], Field(strict=False)]
"""Two texts, from an array."""


class PanelSpec(Entry):
    """One panel: its title and its pair."""

    title: str
    pair: str


class FigureSpec(Entry):
    """A figure: its panels row by row, and the names of the two curves.

    ``side`` are the names of the rows, if there are several.
    """

    id: str
    title: str
    legend: str
    names: _Two
    colours: _Two
    rows: Items[Items[PanelSpec]]
    side: Items[str] = ()


@cache
def paper_figures() -> tuple[FigureSpec, ...]:
    """Return the paper's Figures 1, 2 and 3."""
    return tuple(
        FigureSpec.model_validate(fields)
        for fields in package_toml("report/figures.toml")["figures"]
    )


def other_pairs_figure(pairs: Iterable[PairView]) -> FigureSpec | None:
    """Return a figure of the measured pairs that are not the paper's; None without such pairs."""
    panels = [
        PanelSpec(title=f"{view.base.model.name} to {view.variant.model.name}", pair=view.pair.id)
        for view in pairs
        if not view.pair.paper
    ]
    if not panels:
        return None
    return paper_figures()[0].model_copy(
        update={
            "id": "figure-pairs",
            "title": "Other pairs measured here",
            "legend": "Model",
            "names": ("base", "variant"),
            "rows": tuple(
                tuple(panels[start : start + _COLUMNS]) for start in range(0, len(panels), _COLUMNS)
            ),
        }
    )


@dataclass(frozen=True, slots=True)
class FigureLayout:
    """Positions of the panels, in inches from the left and the bottom.

    They are fixed, so that a figure does not depend on the measured size of a font.
    """

    rows: int
    columns: int
    width: float = 1.95
    height: float = 1.75
    left: float = 0.62
    right: float = 0.3
    top: float = 0.34
    bottom: float = 0.86
    legend_rows: int = 1
    column_gap: float = 0.12
    row_gap: float = 0.5

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure, in inches."""
        panels = self.columns * self.width + (self.columns - 1) * self.column_gap
        rows = self.rows * self.height + (self.rows - 1) * self.row_gap
        return self.left + panels + self.right, self.top + rows + self.footer

    @property
    def footer(self) -> float:
        """Height of the part below the panels, in inches: ticks, axis label and legend."""
        return self.bottom + 0.2 * (self.legend_rows - 1)

    @property
    def center(self) -> tuple[float, float]:
        """The center of the panels, as fractions of the figure's size."""
        (width, height), (right, top) = self.size, (self.right, self.top)
        return (self.left + width - right) / 2 / width, (self.footer + height - top) / 2 / height

    def panel(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a panel, as fractions of the figure's size."""
        width, height = self.size
        left = self.left + column * (self.width + self.column_gap)
        low = height - self.top - self.height - row * (self.height + self.row_gap)
        return left / width, low / height, self.width / width, self.height / height
