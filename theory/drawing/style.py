"""How every figure looks, and where all of Matplotlib comes from.

Figures are made without pyplot: nobody's backend is chosen, switched or started, and a figure
lives as long as somebody holds it. A figure is made for the width of a column or of a page, and
printed at that width no letter is smaller than 8 points (sub- and superscripts are, as in any
text). What is made for a page has a second form for a phone, a column wide with its panels below
each other, drawn by the same functions inside :func:`narrow_form`. Colour is never alone: whoever
prints in grey tells things apart by marker, dash or hatch. The house style lies over Matplotlib's
own defaults and not over the user's settings, so that equal runs give equal files on every machine;
what the user has set is as before afterwards. Matplotlib is loaded when the first figure is drawn.
"""

import logging
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simulator.errors import RunError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

__all__ = ["ADVERSARIAL", "CLEAN", "COLOURS", "COLUMN", "GUIDE", "LINEAR", "MARKERS", "NAMES",
           "OTHER", "PAGE", "SHADES", "STYLE", "SUFFIXES", "DrawingError", "area", "bar", "broken",
           "cache_folder", "draw_all", "drawn", "every", "house_style", "is_narrow", "legend",
           "line", "moved", "name_y", "narrow_form", "new_figure", "one_panel", "plain_numbers",
           "save_figures", "settle"]

Drawn = TypeVar("Drawn")
SUFFIXES = ("pdf", "png")  # of the files of each figure
COLUMN, PAGE = 3.4, 7.0  # inches: one column, the page
# Okabe & Ito, told apart by every eye: one colour for one thing in all figures.
CLEAN, ADVERSARIAL, LINEAR, OTHER = "#D55E00", "#0072B2", "#666666", "#009E73"
COLOURS = {"clean": CLEAN, "adversarial": ADVERSARIAL}
MARKERS = {"clean": "o", "adversarial": "s"}
NAMES = {"clean": "after clean training", "adversarial": "after adversarial training"}
# For things that are neither clean nor adversarial, such as sizes.
SHADES = ("#000000", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#999999")
# ends of a logarithmic axis, one over the other, up to which it is labelled like a linear one
NARROW = 3.0
LETTER, HANDLE, LINE = 0.067, 0.5, 0.17  # inches: of 8 points, and of an entry of a legend
TALLEST = 2.6  # inches: a panel of the narrow form, if nothing else is said
_NARROW: ContextVar[bool] = ContextVar("narrow", default=False)
MANY_DECADES = 2.5  # on one axis, from which on powers of ten are labels enough
GUIDE: dict[str, Any] = {"color": "0.75", "linewidth": 0.6, "zorder": 0}  # a line to read off at
STYLE: dict[str, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 8,
    "legend.title_fontsize": 8, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "legend.handlelength": 1.8, "legend.columnspacing": 1.2, "legend.labelspacing": 0.3,
    "lines.markersize": 3.5, "hatch.linewidth": 0.5, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.6, "lines.linewidth": 1.3,
    "legend.frameon": False, "pdf.fonttype": 42, "ps.fonttype": 42, "savefig.dpi": 200,
}


class DrawingError(RunError):
    """A figure cannot be drawn or written; what it would show is there all the same."""


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, whatever the user has set, and set nothing for good."""
    _load_matplotlib()
    from matplotlib import style
    with style.context(["default", STYLE]):
        yield


def _load_matplotlib() -> None:
    """Import Matplotlib even where MPLBACKEND names a backend that it does not know.

    One that it knows counts as it always does, for whoever uses pyplot afterwards.
    """
    if "matplotlib" in sys.modules:
        return
    wanted = os.environ.pop("MPLBACKEND", "")
    try:
        import matplotlib
    finally:
        if wanted:
            os.environ["MPLBACKEND"] = wanted
    if wanted:
        try:
            matplotlib.rcParams["backend"] = wanted
        except ValueError:
            pass  # no figure here needs a backend


def cache_folder() -> str:
    """Return where Matplotlib keeps its fonts."""
    _load_matplotlib()
    import matplotlib
    return str(matplotlib.get_cachedir())


@contextmanager
def narrow_form() -> Iterator[None]:
    """Draw for a phone: every figure a column wide, panels below each other."""
    token = _NARROW.set(True)
    try:
        yield
    finally:
        _NARROW.reset(token)


def is_narrow() -> bool:
    """Whether figures are drawn in the form for a phone."""
    return _NARROW.get()


def new_figure(rows: int = 1, columns: int = 1, *, size: tuple[float, float], across: int = 1,
               tallest: float = TALLEST, **grid: Any) -> "tuple[Figure, np.ndarray]":
    """Return a figure and its axes, shape (rows, columns).

    Parameters
    ----------
    rows, columns : int
    size : tuple of float
        Width and height in inches.
    across : int
        Panels beside each other in the narrow form; the others follow below, column by column.
        As many as columns: the grid stays as it is.
    tallest : float
        Inches of a panel there, at most.
    **grid
        As of ``matplotlib.figure.Figure.subplots``: sharex, width_ratios and the like.
    """
    _load_matplotlib()
    from matplotlib.figure import Figure
    if not is_narrow() or size[0] <= COLUMN:
        figure = Figure(figsize=size, layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **grid)
    if across == columns:
        figure = Figure(figsize=(COLUMN, size[1]), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **grid)
    down = -(-rows * columns // across)
    figure = Figure(figsize=(COLUMN, down * min(size[1] / rows, tallest)), layout="constrained")
    grid.pop("width_ratios", None)
    if "height_ratios" in grid:
        grid["height_ratios"] = (list(grid["height_ratios"]) * columns if across == 1 else None)
    row_wise = grid.get("sharey") == "row"
    if row_wise:
        grid["sharey"] = False
    panels = figure.subplots(down, across, squeeze=False, **grid).ravel()
    for panel in panels[rows * columns:]:
        panel.remove()
    axes = panels[:rows * columns].reshape(columns, rows).T
    for row in axes if row_wise else ():
        for panel in row[1:]:
            panel.sharey(row[0])
    return figure, axes


def legend(where: "Figure | Axes", handles: "Sequence[Artist]", *, ncols: int,
           **look: Any) -> None:
    """Put a legend into a figure or a pair of axes; in the narrow form with fewer columns.

    The figure grows by the lines that the legend has more.
    """
    if is_narrow():
        if "title" in look:
            look["title"] = broken(look["title"])
        longest = max((len(str(handle.get_label())) for handle in handles), default=1)
        fit = max(1, min(ncols, int(COLUMN / (LETTER * longest + HANDLE))))
        figure: Any = where.figure if hasattr(where, "get_xlim") else where
        width, height = figure.get_size_inches()
        more = math.ceil(len(handles) / fit) - math.ceil(len(handles) / ncols)
        figure.set_size_inches(width, height + LINE * more)
        ncols = fit
    where.legend(handles=handles, ncols=ncols, **look)


def name_y(axes: "Iterable[Axes]", words: str) -> None:
    """Name the axis of y of panels beside each other: of the first, in the narrow form of all."""
    for place, panel in enumerate(axes):
        panel.set_ylabel(words if place == 0 or is_narrow() else "")


def broken(words: str, letters: int = 42) -> str:
    """Return words that the narrow form breaks into lines of so many letters."""
    return textwrap.fill(words, letters) if is_narrow() else words


def one_panel(ax: "Axes | None", size: tuple[float, float]) -> "tuple[Figure, Axes]":
    """Return the figure of the axes given and the axes, or a new figure with one pair of them."""
    if ax is None:
        figure, axes = new_figure(size=size)
        return figure, axes[0, 0]
    return ax.figure.figure, ax


def line(label: str, **look: Any) -> "Artist":
    """Return an entry of a legend that looks like a line or a marker."""
    from matplotlib.lines import Line2D
    return Line2D([], [], label=label, **look)


def area(label: str, **look: Any) -> "Artist":
    """Return an entry of a legend that looks like a filled area."""
    from matplotlib.patches import Rectangle
    return Rectangle((0.0, 0.0), 1.0, 1.0, label=label, **({"linewidth": 0} | look))


def bar(label: str) -> "Artist":
    """Return an entry of a legend that looks like the bar of an interval."""
    return line(label, color="black", linestyle="none", marker="|", markersize=7,
                markeredgewidth=1.0)


def moved(axes: "Axes", points: float) -> "Transform":
    """Data coordinates, so many points to the right on paper."""
    from matplotlib.transforms import ScaledTranslation
    figure = axes.figure.figure  # also of axes in a subfigure; a figure is its own
    return axes.transData + ScaledTranslation(points / 72.0, 0.0, figure.dpi_scale_trans)


def every(points: int) -> int:
    """Return the step from marker to marker of a line, so that there are about ten of them."""
    return max(1, points // 10)


def plain_numbers(axis: "Axis") -> None:
    """Write 1, 2, 5, 10 on a logarithmic axis, also within one decade; powers over many.

    They are powers of ten where 0.0001 or 100000 would be among them.
    """
    from matplotlib.ticker import (FuncFormatter, LogFormatterMathtext, LogLocator, MaxNLocator,
                                   NullFormatter, NullLocator)
    low, high = axis.get_view_interval()
    wide = low > 0.0 and high > 10.0**MANY_DECADES * low
    if 0.0 < low and high < NARROW * low:
        axis.set_major_locator(MaxNLocator(5))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(LogLocator(10.0, (1.0,) if wide else (1.0, 2.0, 5.0)))
    plain = not wide or (low > 3e-4 and high < 3e4)
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}") if plain
                             else LogFormatterMathtext())
    axis.set_minor_formatter(NullFormatter())


def draw_all(figures: "Mapping[str, Callable[[], Figure]]") -> "dict[str, Figure]":
    """Draw figures in the house style, by name.

    Raises
    ------
    DrawingError
        One of them cannot be drawn.
    """
    with house_style():
        return {name: drawn(name, draw) for name, draw in figures.items()}


def save_figures(figures: "Mapping[str, Callable[[], Figure]]", folder: Path) -> list[Path]:
    """Draw each figure in the house style and write it as PDF and PNG; return the files.

    Raises
    ------
    DrawingError
        A figure cannot be drawn, after all others are; or a file cannot be written.
    """
    written: list[Path] = []
    failed: list[str] = []
    with house_style():
        for name, draw in figures.items():
            try:
                figure = drawn(name, draw)
                written += [_written(figure, folder / f"{name}.{suffix}")
                            for suffix in SUFFIXES]
            except DrawingError as error:
                failed.append(str(error))
                if isinstance(error.__cause__, OSError):
                    break
    if failed:
        raise DrawingError("; ".join(failed))
    return written


def settle(figure: "Figure") -> None:
    """Lay a figure out, once for all the files that it is written as."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def drawn(name: str, draw: Callable[[], Drawn]) -> Drawn:
    """Return what a function draws; a DrawingError names the figure that cannot be drawn."""
    try:
        return draw()
    except Exception as error:  # whatever the numbers of a run do to Matplotlib
        raise DrawingError(f"figure {name}: cannot be drawn: {type(error).__name__}: "
                           f"{' '.join(str(error).split())}") from error


@contextmanager
def _without_dates_of_fonts() -> Iterator[None]:
    """Silence one warning of fontTools: a font of Matplotlib's own has a date that it wonders at.

    Nothing depends on that date. Whatever else it says of a font that is put into a PDF is heard.
    """
    def heard(record: logging.LogRecord) -> bool:
        return "timestamp seems very low" not in record.getMessage()

    fonts = logging.getLogger("fontTools.ttLib.tables._h_e_a_d")
    fonts.addFilter(heard)
    try:
        yield
    finally:
        fonts.removeFilter(heard)


def _written(figure: "Figure", path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        settle(figure)
        # without a date in it, equal runs give equal files
        with _without_dates_of_fonts():
            figure.savefig(path, metadata={"CreationDate": None} if path.suffix == ".pdf" else None)
    except OSError as error:
        raise DrawingError(f"{path}: cannot be written: {error.strerror or error}") from error
    except Exception as error:
        raise DrawingError(f"figure {path.stem}: cannot be drawn: {type(error).__name__}: "
                           f"{' '.join(str(error).split())}") from error
    return path
