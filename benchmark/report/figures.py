"""The paper's figures of accuracy by numops: one panel per pair, the random baseline dashed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from benchmark.report.data import Chance, ModelView, PairView, ReportData
from benchmark.report.layouts import FigureLayout, FigureSpec
from benchmark.scoring.outcomes import PUBLISHED
from benchmark.stats.summary import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN_NUMOPS = range(8)
"""The numbers of operations on the x axis, as in the paper."""

_MARKERS = ("o", "^")
"""Markers of base and variant, so that they differ without colour too."""

_STYLE: dict[Any, Any] = {  # matplotlib's stubs type the keys as a Literal of all its settings
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 8.5,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#8a8a8a",
    "svg.fonttype": "none",  # keep text as text: searchable, and readable for screen readers
    "svg.hashsalt": "entity-tracking-benchmark",  # makes the file reproducible
    "pdf.fonttype": 42,
    "text.usetex": False,  # a user's matplotlibrc may say otherwise
    "text.parse_math": False,  # a name with dollar signs is not a formula
}
_NARROW = 2
"""Up to this number of columns the legend has several rows."""

_OFFSET = 0.06
"""Base is drawn this far to the left of its numops and the variant this far to the right."""

_GREY, _TEXT = "#6b6b6b", "#333333"


class Curve(NamedTuple):
    """A curve: the summary it shows, and its side, base (0) or variant (1).

    A published curve is ``faint`` if the model was measured too.
    """

    summary: Summary
    side: int
    measured: bool
    faint: bool


def draw(spec: FigureSpec, report: ReportData, *, published: bool = True) -> "Figure":
    """Draw a figure: published curves with measured ones on top.

    With ``published=False`` only measured results are drawn. A panel names the models without a
    result. Measured results are by the score that is comparable with the published figures. Error
    bars are 95 % intervals: the paper's for published results, clustered by sequence for measured
    ones.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = max(map(len, spec.rows))
    layout = FigureLayout(len(spec.rows), columns, legend_rows=1 if columns > _NARROW else 3)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=layout.size, facecolor="white")
        measured_kinds: set[bool] = set()
        for row, panels in enumerate(spec.rows):
            for column, panel in enumerate(panels):
                axes = figure.add_axes(layout.panel(row, column))
                _set_up_axes(axes, panel.title, first=column == 0)
                if view := report.pairs.get(panel.pair):
                    curves = list(curves_of(view, published=published))
                    measured_kinds |= {curve.measured for curve in curves}
                    _draw_curves(axes, curves, spec)
                    _draw_random(axes, view, report.chance, published=published)
                    _name_missing_models(axes, view, curves)
            if spec.side:
                _label_row(axes, spec.side[row])
        _label_axes(figure, layout)
        _draw_legend(figure, spec, layout, measured_kinds)
    return figure


_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
"""By format: metadata that would change the file every day or with every release, turned off."""

IMAGE_FORMATS = tuple(_METADATA)


def save(
    figure: "Figure", out: Path | BinaryIO, file_format: str, title: str, dpi: int = 200
) -> None:
    """Write a figure in one of the formats; the same figure yields the same bytes."""
    import matplotlib as mpl

    metadata = {"Title": title, **_METADATA[file_format]}
    # The font types are read when the file is written, and a date, which is then left out.
    with mpl.rc_context(_STYLE), variable("SOURCE_DATE_EPOCH", None):
        figure.savefig(out, format=file_format, dpi=dpi, metadata=metadata)


@contextmanager
def variable(name: str, value: str | None) -> Iterator[None]:
    """Set an environment variable within this context; None unsets it."""
    before = os.environ.get(name)
    _set_variable(name, value)
    try:
        yield
    finally:
        _set_variable(name, before)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def curves_of(view: PairView, *, published: bool) -> Iterator[Curve]:
    """Yield the curves of a pair, published ones first, so that measured ones are drawn on top."""
    sides = (view.base, view.variant)
    for side, model in enumerate(sides):
        if published and model.published:
            yield Curve(model.published, side, measured=False, faint=bool(model.measured))
    for side, model in enumerate(sides):
        if model.measured:
            yield Curve(model.measured, side, measured=True, faint=False)


def _set_up_axes(axes: "Axes", title: str, *, first: bool) -> None:
    axes.set_title(title, fontsize=9.5, pad=5, color=_TEXT)
    axes.set_xlim(-0.45, max(DRAWN_NUMOPS) + 0.45)
    axes.set_ylim(-3, 103)
    axes.set_xticks(list(DRAWN_NUMOPS))
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=2.5, width=0.7, color="#8a8a8a", labelcolor=_TEXT)
    if not first:
        axes.tick_params(labelleft=False)


def _draw_curves(axes: "Axes", curves: list[Curve], spec: FigureSpec) -> None:
    for curve in curves:
        numops = [n for n in DRAWN_NUMOPS if n in curve.summary.by_numops]
        estimates = [curve.summary.by_numops[n] for n in numops]
        values = [100 * estimate.tally.accuracy for estimate in estimates]
        lows, highs = zip(*(estimate.interval for estimate in estimates), strict=True)
        colour = spec.colours[curve.side]
        axes.errorbar(
            [n + (2 * curve.side - 1) * _OFFSET for n in numops],
            values,
            # A rounding error can put an estimate outside its interval: no negative lengths.
            yerr=[
                [max(0.0, v - 100 * low) for v, low in zip(values, lows, strict=True)],
                [max(0.0, 100 * high - v) for v, high in zip(values, highs, strict=True)],
            ],
            color=colour,
            alpha=0.45 if curve.faint else 1.0,
            zorder=3 if curve.measured else 2,
            gid="measured" if curve.measured else "published",
            **_curve_style(curve, colour),
        )


def _curve_style(curve: Curve, colour: str) -> dict[str, Any]:
    """Published: filled markers. Measured: larger hollow ones on a thicker line."""
    return {
        "marker": _MARKERS[curve.side],
        "markersize": 5.0 if curve.measured else 3.8,
        "markerfacecolor": "white" if curve.measured else colour,
        "markeredgewidth": 1.1,
        "linewidth": 1.8 if curve.measured else 1.2,
        "elinewidth": 0.9,
        "capsize": 1.8,
    }


def _draw_random(axes: "Axes", view: PairView, paper_chance: Chance, *, published: bool) -> None:
    """Draw the paper's random row, or that of the measured states without published curves."""
    measured_chance = view.base.chance or view.variant.chance
    chance = paper_chance if published and view.pair.paper else measured_chance
    numops = [n for n in DRAWN_NUMOPS if n in chance]
    axes.plot(numops, [100 * chance[n] for n in numops], color="black", lw=0.9, ls=(0, (4, 2.5)))


def _name_missing_models(axes: "Axes", view: PairView, curves: list[Curve]) -> None:
    """Name the models without a result in their panel."""
    drawn_sides = {curve.side for curve in curves}
    sides: tuple[ModelView, ...] = (view.base, view.variant)
    names = [model.model.name for side, model in enumerate(sides) if side not in drawn_sides]
    if names:
        height = 0.6 if len(names) > 1 else 0.93
        text = "no result of\n" + "\n".join(names)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axes.text(
            0.5, height, text, transform=axes.transAxes, ha="center", va="top", fontsize=7.5,
            color=_GREY, bbox=box,
        )  # fmt: skip


def _label_row(axes: "Axes", text: str) -> None:
    axes.text(
        1.05, 0.5, text, transform=axes.transAxes, rotation=270, ha="left", va="center",
        fontsize=8.5, color=_TEXT,
    )  # fmt: skip


def _label_axes(figure: "Figure", layout: FigureLayout) -> None:
    (width, height), (x, y) = layout.size, layout.center
    figure.text(0.14 / width, y, "Accuracy (%)", rotation=90, va="center", ha="center")
    label = "Number of operations affecting box state"
    figure.text(x, (layout.footer - 0.36) / height, label, ha="center", va="center")


def _draw_legend(
    figure: "Figure", spec: FigureSpec, layout: FigureLayout, measured_kinds: set[bool]
) -> None:
    from matplotlib.lines import Line2D

    line = partial(Line2D, [], [])
    # In a stacked legend the heading would look like the name of a curve: make it the title.
    stacked = layout.legend_rows > 1
    handles = [] if stacked else [line(label=spec.legend, linestyle="none")]
    for side, name in enumerate(spec.names):
        colour = spec.colours[side]
        # Hollow markers if all curves are measured ones.
        face = "white" if measured_kinds == {True} else colour
        curve = line(label=name, color=colour, lw=1.4, marker=_MARKERS[side], markersize=4.5)
        curve.set_markerfacecolor(face)
        handles.append(curve)
    if True in measured_kinds:
        hollow = line(color=_GREY, marker="o", markersize=5.0, lw=1.8, markerfacecolor="white")
        hollow.set_label(f"measured ({PUBLISHED})")
        handles.append(hollow)
    if measured_kinds == {True, False}:
        handles.append(line(label="published", color=_GREY, marker="o", markersize=3.8, lw=1.2))
    handles.append(line(label="random baseline", color="black", lw=0.9, ls=(0, (4, 2.5))))
    figure.legend(
        handles=handles, loc="lower center", title=spec.legend if stacked else None,
        ncols=-(-len(handles) // layout.legend_rows),
        bbox_to_anchor=(layout.center[0], 0.02 / layout.size[1]),
        frameon=False, handlelength=2.4, columnspacing=1.8, handletextpad=0.6,
    )  # fmt: skip
