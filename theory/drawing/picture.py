"""The numbers of a claim's figure as plain data; :mod:`theory.drawing.claims` draws any of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Curve", "Panel", "Picture", "Series"]


@dataclass(frozen=True)
class Series:
    """Measured values, one row a seed: drawn as the mean with a band or bar over seeds.

    Attributes
    ----------
    label : str
    x : ndarray, shape (points,)
    values : ndarray, shape (seeds, points)
    role : "clean", "adversarial", "linear", "other", or "case 0" to "case 6"
        Sets the colour; cases are neither clean nor adversarial, such as sizes and families.
    joined : bool
        A line with a band; False: points with bars.
    """

    label: str
    x: np.ndarray
    values: np.ndarray
    role: str = "clean"
    joined: bool = False


@dataclass(frozen=True)
class Curve:
    """What the theory expects, or a fit: a line from x to y.

    Attributes
    ----------
    label : str
        Its formula; "" keeps the line out of the legend.
    x, y : sequence of float
    dash : "-", "--", ":", "-." or ""
        "" takes the next kind of the panel.
    role : str
        As of :class:`Series`, for a line in its colour; "" is black.
    """

    label: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    dash: str = ""
    role: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    xlabel, ylabel : str
        Matplotlib's mathematical text is allowed.
    series : tuple of Series
    theory : tuple of Curve
    log : str
        "", "x", "y" or "xy".
    ticks : tuple of str
        Names of x = 0, 1, ... where x only counts, or of the places in ``at``.
    at : tuple of float
        Where the ticks are; () is 0, 1, ...
    ylim : tuple of float or None
    """

    xlabel: str
    ylabel: str
    series: tuple[Series, ...]
    theory: tuple[Curve, ...] = ()
    log: str = ""
    ticks: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    ylim: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """A claim's figure: panels side by side and a caption that says what is seen."""

    caption: str
    panels: tuple[Panel, ...] = field(default=())
