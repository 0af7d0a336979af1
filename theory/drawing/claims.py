"""Figures of the claims: one renderer for every :class:`theory.drawing.picture.Picture`.

A picture of one panel is made for the width of a column, any other for that of a page.
"""

import io
import math
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theory.claim import Finding
from theory.drawing.picture import Panel, Picture, Series
from theory.drawing.style import (ADVERSARIAL, CLEAN, COLUMN, LINEAR, OTHER, PAGE, SHADES, draw_all,
                                  every, moved, new_figure, one_panel, plain_numbers, save_figures)
from theory.scaling import t_quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "draw_findings", "draw_panel", "png"]

COLOURS = {"clean": CLEAN, "adversarial": ADVERSARIAL, "linear": LINEAR, "other": OTHER}
MARKERS = {"clean": "o", "adversarial": "s", "linear": "^", "other": "D"}
for number, (shade, marker) in enumerate(zip(SHADES, "os^DvP*")):
    COLOURS[f"case {number}"], MARKERS[f"case {number}"] = shade, marker
DASHES = ("--", ":", "-.")
ARROW, ARROW_WORDS = "arrow", "an arrowhead: the interval goes on beyond the axis"
BESIDE = 4.0  # points from a mean to the dots of its seeds: bars would hide them
HEIGHT = 2.9  # inches, of a row of panels
LETTER, LINE = 0.064, 0.125  # inches that a letter of 8 points is wide, a line of them high
AXES = 0.75  # of a panel's width is between the ends of its axis, about


def draw_findings(findings: Iterable[Finding], folder: Path) -> list[Path]:
    """Draw the figure of every finding that has one, as PDF and PNG; return the files.

    Raises
    ------
    DrawingError
        See :func:`theory.drawing.style.save_figures`.
    """
    return save_figures({finding.id: partial(draw, finding.data) for finding in findings
                         if finding.data is not None and finding.data.panels}, folder)


def png(picture: Picture, name: str = "of a claim") -> bytes:
    """Return a picture as a PNG file; raises DrawingError where it cannot be drawn."""
    buffer = io.BytesIO()

    def drawn() -> "Figure":
        figure = draw(picture)
        figure.savefig(buffer, format="png")
        return figure

    draw_all({name: drawn})
    return buffer.getvalue()


def draw(picture: Picture, most: int = 3) -> "Figure":
    """Draw a picture: its panels, at most ``most`` in a row, each with its own legend on top.

    Below it stands over how many seeds the means are. With one panel in a row it is as wide as a
    column.
    """
    count = max(1, len(picture.panels))
    rows = math.ceil(count / most)
    columns = math.ceil(count / rows)
    width = COLUMN if columns == 1 else PAGE
    told = max((_legend_shape(panel, width / columns)[0] for panel in picture.panels), default=0)
    height = HEIGHT + 1.2 * LINE * max(0, told - 2)
    figure, axes = new_figure(rows, columns, size=(width, height * rows + 2 * LINE))
    for unused in axes.flat[len(picture.panels):]:
        unused.remove()
    for ax, panel in zip(axes.flat, picture.panels):
        draw_panel(panel, ax, width / columns)
    note = _note(picture.panels)
    if any(map(_has_arrows, axes.flat[:len(picture.panels)])):
        note += "; " + ARROW_WORDS
    if note:
        lines = note.replace(", ", ",\n").replace("; ", ";\n")
        figure.supxlabel(note if columns > 1 else lines, fontsize=8, color="0.3")
    return figure


def draw_panel(panel: Panel, ax: "Axes | None" = None, width: float = COLUMN) -> "Figure":
    """Draw one panel, into axes that are given or into a figure of its own.

    Parameters
    ----------
    panel : Panel
    ax : matplotlib.axes.Axes or None
    width : float
        Inches that the panel has, with its labels.
    """
    figure, axes = one_panel(ax, (width, HEIGHT))
    for number, curve in enumerate(panel.theory):
        axes.plot(curve.x, curve.y, curve.dash or DASHES[number % len(DASHES)], linewidth=0.8,
                  color=COLOURS[curve.role] if curve.role else "black", label=curve.label or None,
                  zorder=1)
    shifts = _shifts(panel)
    for shift, series in zip(shifts, panel.series):
        _draw_series(axes, series, shift, panel)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    _scale(axes, panel)
    for shift, series in zip(shifts, panel.series):
        _mark_ends(axes, series, shift, panel)
    if panel.at:
        axes.set_xticks(panel.at, panel.ticks)
        axes.set_xticks([], minor=True)
    elif panel.ticks:
        _name_ticks(axes, panel.ticks, AXES * width)
        axes.set_xlim(-0.5, len(panel.ticks) - 0.5)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        # what is measured first, then what it is held against
        told = [series.label for series in panel.series] + _curves(panel)
        order = sorted(range(len(labels)), key=lambda place: told.index(labels[place]))
        axes.legend([handles[place] for place in order], [labels[place] for place in order],
                    loc="lower center", bbox_to_anchor=(0.5, 1.0),
                    ncols=_legend_shape(panel, width)[1])
    return figure


def _shifts(panel: Panel) -> list[float]:
    """Where x only counts, points stand beside each other: bars must not hide each other."""
    points = [series for series in panel.series if not series.joined]
    room = 0.16 if panel.ticks and not panel.at and len(points) > 1 else 0.0
    places = iter(np.linspace(-room, room, len(points)))
    return [0.0 if series.joined else float(next(places)) for series in panel.series]


def _curves(panel: Panel) -> list[str]:
    return [curve.label for curve in panel.theory if curve.label]


def _legend_shape(panel: Panel, width: float) -> tuple[int, int]:
    """Rows and columns of a panel's legend: two columns where they fit above it."""
    labels = [series.label for series in panel.series] + _curves(panel)
    widest = max((len(re.sub(r"\\[a-zA-Z]+|[${}^_]", "", label)) for label in labels), default=0)
    # handle and gap are as wide as seven letters
    columns = 2 if 2.0 * LETTER * (7 + widest) < width else 1
    return math.ceil(len(labels) / columns), columns


def _name_ticks(axes: "Axes", names: Sequence[str], room: float) -> None:
    """Label 0, 1, ...: level where there is room, else turned, else not every one."""
    place = room / len(names)  # inches
    widest = LETTER * max(len(line) for name in names for line in name.splitlines() or [""])
    if widest < 0.9 * place:
        axes.set_xticks(range(len(names)), names)
        return
    every = math.ceil(1.1 * LINE / place)
    steep = place <= 1.5 * LINE
    axes.set_xticks(range(0, len(names), every),
                    [name.replace("\n", " ") for name in names[::every]],
                    rotation=90 if steep else 50, ha="right",
                    va="center_baseline" if steep else "baseline", rotation_mode="anchor")


def _note(panels: Sequence[Panel]) -> str:
    """Say over how many seeds means and intervals are; "" where nothing is measured."""
    counts = [int(np.isfinite(values).any(axis=1).sum()) for panel in panels
              for series in panel.series for values in [np.asarray(series.values, float)]]
    if not any(counts):
        return ""
    few, most = min(filter(None, counts)), max(counts)
    if most == 1:
        return "one seed each: no interval"
    looks = sorted({"a faint line" if series.joined else "a dot"
                    for panel in panels for series in panel.series})
    return (f"mean and 95 % interval over {most if few == most else f'{few} to {most}'} seeds, "
            f"each {' or '.join(looks)}")


def _scale(axes: "Axes", panel: Panel) -> None:
    """Linear or logarithmic, and from where to where."""
    if "x" in panel.log:
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
    if "y" in panel.log:
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
    elif panel.ylim is None:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if panel.ylim is not None:
        low, high = panel.ylim
        # a mark at zero is seen whole
        axes.set_ylim(low if low != 0.0 or "y" in panel.log else -0.03 * high, high)


def _draw_series(axes: "Axes", series: Series, shift: float, panel: Panel) -> None:
    """Mean over seeds with the 95 % t-interval as band or bar; beside it a dot for each seed."""
    colour = COLOURS[series.role]
    x, values, mean, low, high = _summed_up(series, panel)
    x = x + shift
    if len(x) == 0:
        return
    if series.joined:
        look: dict[str, Any] = {"linestyle": series.dash, "linewidth": 0.8} if series.dash else {
            "marker": MARKERS[series.role], "markevery": every(len(x))}
        axes.plot(x, mean, color=colour, label=series.label, zorder=3, **look)
        axes.fill_between(x, low, high, color=colour, alpha=0.12 if series.dash else 0.2,
                          linewidth=0)
        for of_seed in values:
            axes.plot(x, of_seed, color=colour, linewidth=0.4, alpha=0.35, zorder=2)
        return
    axes.errorbar(x, mean, yerr=(mean - low, high - mean), fmt=MARKERS[series.role], color=colour,
                  markersize=3.5, elinewidth=0.9, capsize=2, label=series.label, zorder=3)
    axes.plot(np.broadcast_to(x, values.shape).ravel(), values.ravel(), ".", color=colour,
              markersize=4.0, alpha=0.5, markeredgewidth=0, zorder=2, transform=moved(axes, BESIDE))


def _mark_ends(axes: "Axes", series: Series, shift: float, panel: Panel) -> None:
    """End a bar that leaves the panel in an arrow, so that nobody takes the edge for its end."""
    if series.joined:
        return
    x, _, _, low, high = _summed_up(series, panel)
    bottom, top = axes.get_ylim()
    for edge, beyond, marker in ((top, high > top, 6), (bottom, low < bottom, 7)):
        if beyond.any():
            axes.plot(x[beyond] + shift, np.full(beyond.sum(), edge), marker=marker, gid=ARROW,
                      markersize=5.0, color=COLOURS[series.role], linestyle="none",
                      clip_on=False, zorder=4, scalex=False, scaley=False)


def _has_arrows(axes: "Axes") -> bool:
    return any(drawn.get_gid() == ARROW for drawn in axes.get_lines())


def _summed_up(series: Series, panel: Panel) -> tuple[np.ndarray, ...]:
    """Return x, values, mean, low and high where there are values.

    On a logarithmic axis mean and interval are those of the logarithms: they stay on it. No
    interval goes where nothing can be.
    """
    logarithms = "y" in panel.log
    x, values = np.asarray(series.x, float), np.asarray(series.values, float)
    if logarithms:
        values = np.log(np.where(values > 0.0, values, np.nan))
    seeds = np.sum(np.isfinite(values), axis=0)
    shown = np.flatnonzero(seeds > 0)
    x, values, seeds = x[shown], values[:, shown], seeds[shown]
    if len(x) == 0:
        return x, values, x, x, x
    mean = np.nanmean(values, axis=0)
    half = np.zeros(len(x))
    several = np.flatnonzero(seeds > 1)
    spread = np.nanstd(values[:, several], axis=0, ddof=1) / np.sqrt(seeds[several])
    half[several] = t_quantile(seeds[several] - 1) * spread
    low, high = mean - half, mean + half
    if logarithms:
        mean, low, high, values = np.exp(mean), np.exp(low), np.exp(high), np.exp(values)
    return (x, values, mean, np.maximum(low, panel.possible[0]),
            np.minimum(high, panel.possible[1]))
