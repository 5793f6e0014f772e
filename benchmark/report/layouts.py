"""The figures of a report: the pairs in their panels, and the names of their curves."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from benchmark.models.validation import Entry
from benchmark.report.data import PairView

_COLUMNS = 5
"""Panels per row in the figure of other pairs."""


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
    names: tuple[str, str]
    colours: tuple[str, str]
    rows: tuple[tuple[PanelSpec, ...], ...]
    side: tuple[str, ...] = ()


@cache
def paper_figures() -> tuple[FigureSpec, ...]:
    """Return the paper's Figures 1, 2 and 3."""
    text = files("benchmark.report").joinpath("figures.toml").read_text(encoding="utf-8")
    return tuple(FigureSpec.model_validate(fields) for fields in tomllib.loads(text)["figures"])


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
