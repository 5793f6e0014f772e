"""Where the panels of a figure stand."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FigureLayout:
    """Where the panels stand, in inches from the left and the bottom.

    Fixed, so that a figure does not hang on what a font measures.
    """

    down: int
    across: int
    width: float = 1.95
    height: float = 1.75
    left: float = 0.62
    right: float = 0.3
    top: float = 0.34
    bottom: float = 0.86
    legend_rows: int = 1
    between: float = 0.12
    above: float = 0.5

    @property
    def size(self) -> tuple[float, float]:
        """Of the whole figure."""
        panels = self.across * self.width + (self.across - 1) * self.between
        rows = self.down * self.height + (self.down - 1) * self.above
        return self.left + panels + self.right, self.top + rows + self.foot

    @property
    def foot(self) -> float:
        """What is below the panels: ticks, a line of words, and the legend."""
        return self.bottom + 0.2 * (self.legend_rows - 1)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the panels, as shares of the figure."""
        (width, height), (right, top) = self.size, (self.right, self.top)
        return (self.left + width - right) / 2 / width, (self.foot + height - top) / 2 / height

    def panel(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel, as shares of the figure."""
        width, height = self.size
        left = self.left + column * (self.width + self.between)
        low = height - self.top - self.height - row * (self.height + self.above)
        return left / width, low / height, self.width / width, self.height / height
