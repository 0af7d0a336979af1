"""Figures of the claims: one renderer for every :class:`theory.drawing.picture.Picture`."""

import io
import math
from functools import partial
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # files only; a command must work without a screen

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402
from scipy import stats  # noqa: E402

from theory.claim import Finding  # noqa: E402
from theory.drawing.picture import Panel, Picture, Series  # noqa: E402
from theory.feature_purification.figures import (ADVERSARIAL, CLEAN, LINEAR, PAGE,  # noqa: E402
                                                 STYLE, save_figures)
from theory.scaling import LEVEL  # noqa: E402

__all__ = ["draw", "draw_findings", "png"]

COLOURS = {"clean": CLEAN, "adversarial": ADVERSARIAL, "linear": LINEAR, "other": "#009E73"}
MARKERS = {"clean": "o", "adversarial": "s", "linear": "^", "other": "D"}
DASHES = ("--", ":", "-.")
ONE, TWO = PAGE * 0.6, PAGE  # inches: width of a figure with one panel, with more


def draw_findings(findings: list[Finding], folder: Path) -> list[Path]:
    """Draw the figure of every finding that has one, as PDF and PNG; return the files."""
    return save_figures({finding.id: partial(draw, finding.data) for finding in findings
                         if finding.data is not None and finding.data.panels}, folder)


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = draw(picture)
        figure.savefig(buffer, format="png")
        plt.close(figure)
    return buffer.getvalue()


def draw(picture: Picture) -> Figure:
    """Draw a picture: its panels, at most three in a row, each with its own legend on top."""
    count = max(1, len(picture.panels))
    rows = math.ceil(count / 3)
    columns = math.ceil(count / rows)
    crowded = max((len(panel.ticks) for panel in picture.panels), default=0) > 7
    figure, panels = plt.subplots(rows, columns, squeeze=False,
                                  figsize=(ONE if count == 1 else TWO, 2.9 * rows))
    for axes in panels.flat[count:]:
        axes.remove()
    for axes, panel in zip(panels.flat, picture.panels):
        _draw_panel(axes, panel, crowded, 2 if columns < 3 else 1)
    return figure


def _draw_panel(axes: Axes, panel: Panel, crowded: bool, legend_columns: int) -> None:
    for number, curve in enumerate(panel.theory):
        axes.plot(curve.x, curve.y, curve.dash or DASHES[number % len(DASHES)], linewidth=0.8,
                  color=COLOURS[curve.role] if curve.role else "black", label=curve.label,
                  zorder=1)
    spread = np.linspace(-1.0, 1.0, len(panel.series)) if len(panel.series) > 1 else [0.0]
    for offset, series in zip(spread, panel.series):
        # beside each other where x only counts: bars must not hide each other
        _draw_series(axes, series, 0.08 * float(offset) if panel.ticks else 0.0)
    axes.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    if "x" in panel.log:
        axes.set_xscale("log")
        _readable(axes.xaxis)
    if "y" in panel.log:
        axes.set_yscale("log")
        _readable(axes.yaxis)
    elif panel.ylim is None:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=50 if crowded else 0,
                        ha="right" if crowded else "center", rotation_mode="anchor")
        axes.set_xlim(-0.5, len(panel.ticks) - 0.5)
    if panel.ylim is not None:
        axes.set_ylim(panel.ylim)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=legend_columns,
                    columnspacing=1.2, handlelength=1.8)


def _draw_series(axes: Axes, series: Series, shift: float) -> None:
    """Mean over seeds with the 95 % t-interval as band or bar; every seed as a faint dot."""
    colour, x = COLOURS[series.role], np.asarray(series.x, float) + shift
    seeds = np.sum(np.isfinite(series.values), axis=0)
    shown = np.flatnonzero(seeds > 0)
    if len(shown) == 0:
        return
    x, values, seeds = x[shown], series.values[:, shown], seeds[shown]
    mean = np.nanmean(values, axis=0)
    half = np.zeros(len(x))
    several = np.flatnonzero(seeds > 1)
    spread = np.nanstd(values[:, several], axis=0, ddof=1) / np.sqrt(seeds[several])
    half[several] = stats.t.ppf(0.5 + LEVEL / 2, seeds[several] - 1) * spread
    if series.joined:
        axes.plot(x, mean, color=colour, label=series.label, zorder=3)
        axes.fill_between(x, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0)
        return
    axes.errorbar(x, mean, yerr=half, fmt=MARKERS[series.role], color=colour, markersize=3.5,
                  elinewidth=0.9, capsize=2, label=series.label, zorder=3)
    axes.plot(np.broadcast_to(x, values.shape).ravel(), values.ravel(), ".", color=colour,
              markersize=2.5, alpha=0.35, markeredgewidth=0, zorder=2)


def _readable(axis: object) -> None:
    """Plain numbers on a logarithmic axis, also within one decade."""
    axis.set_major_locator(LogLocator(10.0, (1.0, 2.0, 5.0)))  # type: ignore[attr-defined]
    axis.set_major_formatter(FuncFormatter(  # type: ignore[attr-defined]
        lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())  # type: ignore[attr-defined]
