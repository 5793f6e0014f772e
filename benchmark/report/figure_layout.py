"""Positions of the panels of a figure."""

from dataclasses import dataclass


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
