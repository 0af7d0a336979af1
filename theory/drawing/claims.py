"""Figures of the claims: one renderer for every :class:`theory.drawing.picture.Picture`."""

import io
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from theory.claim import Finding
from theory.drawing.picture import Panel, Picture, Series
from theory.drawing.style import (ADVERSARIAL, CLEAN, LINEAR, OTHER, PAGE, SHADES, draw_all,
                                  new_figure, one_panel, plain_numbers, save_figures)
from theory.scaling import LEVEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

__all__ = ["draw", "draw_findings", "draw_panel", "png"]

COLOURS = {"clean": CLEAN, "adversarial": ADVERSARIAL, "linear": LINEAR, "other": OTHER}
MARKERS = {"clean": "o", "adversarial": "s", "linear": "^", "other": "D"}
for number, (shade, marker) in enumerate(zip(SHADES, "os^DvP*")):
    COLOURS[f"case {number}"], MARKERS[f"case {number}"] = shade, marker
DASHES = ("--", ":", "-.")
BESIDE = 4.0  # points from a mean to the dots of its seeds: bars would hide them
ONE, TWO = PAGE * 0.6, PAGE  # inches: width of a figure with one panel, with more


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


def draw(picture: Picture) -> "Figure":
    """Draw a picture: its panels, at most three in a row, each with its own legend on top."""
    count = max(1, len(picture.panels))
    rows = math.ceil(count / 3)
    columns = math.ceil(count / rows)
    figure, axes = new_figure(rows, columns, size=(ONE if count == 1 else TWO, 2.9 * rows))
    for unused in axes.flat[len(picture.panels):]:
        unused.remove()
    crowded = max((len(panel.ticks) for panel in picture.panels), default=0) > 7
    for ax, panel in zip(axes.flat, picture.panels):
        draw_panel(panel, ax, crowded, 2 if columns < 3 else 1)
    return figure


def draw_panel(panel: Panel, ax: "Axes | None" = None, crowded: bool = False,
               legend_columns: int = 2) -> "Figure":
    """Draw one panel, into axes that are given or into a figure of its own.

    Parameters
    ----------
    panel : Panel
    ax : matplotlib.axes.Axes or None
    crowded : bool
        There is no room for level tick labels.
    legend_columns : int
    """
    figure, axes = one_panel(ax, (ONE, 2.9))
    for number, curve in enumerate(panel.theory):
        axes.plot(curve.x, curve.y, curve.dash or DASHES[number % len(DASHES)], linewidth=0.8,
                  color=COLOURS[curve.role] if curve.role else "black", label=curve.label or None,
                  zorder=1)
    spread = np.linspace(-1.0, 1.0, len(panel.series)) if len(panel.series) > 1 else [0.0]
    for offset, series in zip(spread, panel.series):
        # beside each other where x only counts: bars must not hide each other
        _draw_series(axes, series, 0.16 * float(offset) if panel.ticks else 0.0, "y" in panel.log)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    _scale(axes, panel)
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=50 if crowded else 0,
                        ha="right" if crowded else "center", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(panel.ticks) - 0.5)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=legend_columns,
                    columnspacing=1.2, handlelength=1.8)
    return figure


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
        axes.set_ylim(panel.ylim)


def _draw_series(axes: "Axes", series: Series, shift: float, logarithms: bool) -> None:
    """Mean over seeds with the 95 % t-interval as band or bar; beside it a dot for each seed.

    On a logarithmic axis mean and interval are those of the logarithms: they stay on it.
    """
    colour, x = COLOURS[series.role], np.asarray(series.x, float) + shift
    values = np.asarray(series.values, float)
    if logarithms:
        values = np.log(np.where(values > 0.0, values, np.nan))
    seeds = np.sum(np.isfinite(values), axis=0)
    shown = np.flatnonzero(seeds > 0)
    if len(shown) == 0:
        return
    x, values, seeds = x[shown], values[:, shown], seeds[shown]
    mean = np.nanmean(values, axis=0)
    half = np.zeros(len(x))
    several = np.flatnonzero(seeds > 1)
    spread = np.nanstd(values[:, several], axis=0, ddof=1) / np.sqrt(seeds[several])
    half[several] = stats.t.ppf(0.5 + LEVEL / 2, seeds[several] - 1) * spread
    low, high = mean - half, mean + half
    if logarithms:
        mean, low, high, values = np.exp(mean), np.exp(low), np.exp(high), np.exp(values)
    if series.joined:
        axes.plot(x, mean, color=colour, label=series.label, zorder=3)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        for of_seed in values:
            axes.plot(x, of_seed, color=colour, linewidth=0.4, alpha=0.35, zorder=2)
        return
    axes.errorbar(x, mean, yerr=(mean - low, high - mean), fmt=MARKERS[series.role], color=colour,
                  markersize=3.5, elinewidth=0.9, capsize=2, label=series.label, zorder=3)
    axes.plot(np.broadcast_to(x, values.shape).ravel(), values.ravel(), ".", color=colour,
              markersize=4.0, alpha=0.5, markeredgewidth=0, zorder=2, transform=_beside(axes))


def _beside(axes: "Axes") -> "Transform":
    """Data coordinates, a little to the right on paper."""
    from matplotlib.transforms import ScaledTranslation
    figure = axes.figure.figure  # also of axes in a subfigure; a figure is its own
    return axes.transData + ScaledTranslation(BESIDE / 72.0, 0.0, figure.dpi_scale_trans)
