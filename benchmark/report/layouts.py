"""Which pair stands in which panel of which figure."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

from benchmark.models.validation import Entry
from benchmark.report.data import PairView

_ACROSS = 5
"""Panels in a row of a figure of one's own pairs."""


class PanelLayout(Entry):
    """One panel: its heading and its pair."""

    title: str
    pair: str


class Layout(Entry):
    """A figure: panels row by row, and what its two curves are called.

    ``side`` names the rows where there are several.
    """

    id: str
    title: str
    legend: str
    names: tuple[str, str]
    colours: tuple[str, str]
    rows: tuple[tuple[PanelLayout, ...], ...]
    side: tuple[str, ...] = ()


@cache
def papers_figures() -> tuple[Layout, ...]:
    """The layouts of Figures 1, 2 and 3."""
    text = files("benchmark.report").joinpath("figures.toml").read_text(encoding="utf-8")
    return tuple(Layout.model_validate(fields) for fields in tomllib.loads(text)["figures"])


def own_figure(pairs: Iterable[PairView]) -> Layout | None:
    """The layout of the pairs that are in none of the paper's figures and were measured."""
    panels = [
        PanelLayout(title=f"{view.base.model.name} to {view.variant.model.name}", pair=view.pair.id)
        for view in pairs
        if not view.pair.paper
    ]
    if not panels:
        return None
    return papers_figures()[0].model_copy(
        update={
            "id": "figure-pairs",
            "title": "Other pairs measured here",
            "legend": "Model",
            "names": ("base", "variant"),
            "rows": tuple(
                tuple(panels[start : start + _ACROSS]) for start in range(0, len(panels), _ACROSS)
            ),
        }
    )
