"""Accuracy by numops as the paper draws it: a panel a pair, base and variant, random dashed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from benchmark.report.data import Chance, ModelView, PairView, ReportData
from benchmark.report.figure_layout import FigureLayout
from benchmark.report.layouts import Layout
from benchmark.scoring.outcomes import PUBLISHED
from benchmark.stats.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMOPS = range(8)
"""The numbers of operations that are drawn: the paper's."""

_MARKERS = ("o", "^")
"""Of base and variant, so that they can be told apart without colour."""

_STYLE: dict[Any, Any] = {  # named by strings that matplotlib's own stubs list one by one
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8.5,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#8a8a8a",
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read out
    "svg.hashsalt": "entity-tracking-benchmark",  # the same figure is the same file
    "pdf.fonttype": 42,
}
_NARROW = 2
"""With so few panels across the legend takes several rows."""

_APART = 0.06
"""Base is drawn so far to the left of the number of operations, the variant to the right."""

_GREY, _TEXT = "#6b6b6b", "#333333"


class Curve(NamedTuple):
    """A summary as it is drawn: of base (0) or variant (1); ``faint`` behind a measured one."""

    summary: Summary
    side: int
    measured: bool
    faint: bool


def draw(layout: Layout, material: ReportData, *, published: bool = True) -> "Figure":
    """One figure: published curves with measured ones over them.

    Without ``published`` only what was measured is drawn. What there is no result of is named
    in its panel, which may then be empty. What was measured is by the score that compares with
    published figures. Error bars are 95 % intervals: the paper's of what is published, clustered
    by sequence of what was measured.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    across = max(map(len, layout.rows))
    grid = FigureLayout(len(layout.rows), across, legend_rows=1 if across > _NARROW else 3)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=grid.size, facecolor="white")
        kinds: set[bool] = set()
        for row, panels in enumerate(layout.rows):
            for column, panel in enumerate(panels):
                axes = figure.add_axes(grid.panel(row, column))
                _frame(axes, panel.title, first=column == 0)
                if view := material.pairs.get(panel.pair):
                    curves = list(curves_of(view, published=published))
                    kinds |= {curve.measured for curve in curves}
                    _fill(axes, curves, layout)
                    _random(axes, view, material.chance, published=published)
                    _missing(axes, view, curves)
            if layout.side:
                _beside(axes, layout.side[row])
        _words(figure, grid)
        _legend(figure, layout, grid, kinds)
    return figure


_WITHOUT_DATE: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
"""By form: what would make the same figure another file every day, or with every release."""

FORMS = tuple(_WITHOUT_DATE)


def save(figure: "Figure", out: Path | BinaryIO, form: str, title: str, dpi: int = 200) -> None:
    """Write a figure in one of the forms; the same figure is the same file."""
    import matplotlib as mpl

    metadata = {"Title": title, **_WITHOUT_DATE[form]}
    with mpl.rc_context(_STYLE):  # how text is written is settled only now
        figure.savefig(out, format=form, dpi=dpi, metadata=metadata)


def curves_of(view: PairView, *, published: bool) -> Iterator[Curve]:
    """What is drawn of a pair: published figures first, so that measured ones lie over them."""
    sides = (view.base, view.variant)
    for side, model in enumerate(sides):
        if published and model.published:
            yield Curve(model.published, side, measured=False, faint=bool(model.measured))
    for side, model in enumerate(sides):
        if model.measured:
            yield Curve(model.measured, side, measured=True, faint=False)


def _frame(axes: "Axes", title: str, *, first: bool) -> None:
    axes.set_title(title, fontsize=9.5, pad=5, color=_TEXT)
    axes.set_xlim(-0.45, max(NUMOPS) + 0.45)
    axes.set_ylim(-3, 103)
    axes.set_xticks(list(NUMOPS))
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5, width=0.7, color="#8a8a8a", labelcolor=_TEXT)
    if not first:
        axes.tick_params(labelleft=False)


def _fill(axes: "Axes", curves: list[Curve], layout: Layout) -> None:
    for curve in curves:
        numops = [n for n in NUMOPS if n in curve.summary.by_numops]
        estimates = [curve.summary.by_numops[n] for n in numops]
        values = [100 * each.tally.accuracy for each in estimates]
        lows, highs = zip(*(each.interval for each in estimates), strict=True)
        colour = layout.colours[curve.side]
        axes.errorbar(
            [n + (2 * curve.side - 1) * _APART for n in numops],
            values,
            # An interval may lie off the estimate, which rounding then makes a negative length.
            yerr=[
                [max(0.0, v - 100 * low) for v, low in zip(values, lows, strict=True)],
                [max(0.0, 100 * high - v) for v, high in zip(values, highs, strict=True)],
            ],
            color=colour,
            alpha=0.45 if curve.faint else 1.0,
            zorder=3 if curve.measured else 2,
            gid="measured" if curve.measured else "published",
            **_look(curve, colour),
        )


def _look(curve: Curve, colour: str) -> dict[str, Any]:
    """Published: filled markers; measured: larger hollow ones on a heavier line."""
    return {
        "marker": _MARKERS[curve.side],
        "markersize": 5.0 if curve.measured else 3.8,
        "markerfacecolor": "white" if curve.measured else colour,
        "markeredgewidth": 1.1,
        "linewidth": 1.8 if curve.measured else 1.2,
        "elinewidth": 0.9,
        "capsize": 1.8,
    }


def _random(axes: "Axes", view: PairView, papers: Chance, *, published: bool) -> None:
    """The paper's random row; of the measured states where nothing published is drawn."""
    own = view.base.chance or view.variant.chance
    chance = papers if published and view.pair.paper else own
    numops = [n for n in NUMOPS if n in chance]
    axes.plot(numops, [100 * chance[n] for n in numops], color="black", lw=0.9, ls=(0, (4, 2.5)))


def _missing(axes: "Axes", view: PairView, curves: list[Curve]) -> None:
    """Name what there is no result of."""
    drawn = {curve.side for curve in curves}
    sides: tuple[ModelView, ...] = (view.base, view.variant)
    names = [model.model.name for side, model in enumerate(sides) if side not in drawn]
    if names:
        height = 0.6 if len(names) > 1 else 0.93
        words = "no result of\n" + "\n".join(names)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axes.text(
            0.5, height, words, transform=axes.transAxes, ha="center", va="top", fontsize=7.5,
            color=_GREY, bbox=box,
        )  # fmt: skip


def _beside(axes: "Axes", words: str) -> None:
    axes.text(
        1.05, 0.5, words, transform=axes.transAxes, rotation=270, ha="left", va="center",
        fontsize=8.5, color=_TEXT,
    )  # fmt: skip


def _words(figure: "Figure", grid: FigureLayout) -> None:
    (width, height), (middle, centre) = grid.size, grid.middle
    figure.text(0.14 / width, centre, "Accuracy (%)", rotation=90, va="center", ha="center")
    words = "Number of operations affecting box state"
    figure.text(middle, (grid.foot - 0.36) / height, words, ha="center", va="center")


def _legend(figure: "Figure", layout: Layout, grid: FigureLayout, kinds: set[bool]) -> None:
    from matplotlib.lines import Line2D

    line = partial(Line2D, [], [])
    # In few columns the name of what is compared would stand there as if it were a curve.
    stacked = grid.legend_rows > 1
    handles = [] if stacked else [line(label=layout.legend, linestyle="none")]
    for side, name in enumerate(layout.names):
        colour = layout.colours[side]
        face = "white" if kinds == {True} else colour  # hollow where only measured ones are drawn
        curve = line(label=name, color=colour, lw=1.4, marker=_MARKERS[side], markersize=4.5)
        curve.set_markerfacecolor(face)
        handles.append(curve)
    if True in kinds:
        hollow = line(color=_GREY, marker="o", markersize=5.0, lw=1.8, markerfacecolor="white")
        hollow.set_label(f"measured ({PUBLISHED})")
        handles.append(hollow)
    if kinds == {True, False}:
        handles.append(line(label="published", color=_GREY, marker="o", markersize=3.8, lw=1.2))
    handles.append(line(label="random baseline", color="black", lw=0.9, ls=(0, (4, 2.5))))
    figure.legend(
        handles=handles, loc="lower center", title=layout.legend if stacked else None,
        ncols=-(-len(handles) // grid.legend_rows),
        bbox_to_anchor=(grid.middle[0], 0.02 / grid.size[1]),
        frameon=False, handlelength=2.4, columnspacing=1.8, handletextpad=0.6,
    )  # fmt: skip
