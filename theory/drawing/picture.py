"""The numbers of a claim's figure as plain data; :mod:`theory.drawing.claims` draws any of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Curve", "Panel", "Picture", "Series", "picture_from_dict", "picture_to_dict"]

PLAIN = ("xlabel", "ylabel", "log", "ticks", "at", "ylim")  # of a panel: JSON has them as they are


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
    dash : "--", ":", "-." or ""
        A joined line thin and without markers: something that the others are held against.
    """

    label: str
    x: np.ndarray
    values: np.ndarray
    role: str = "clean"
    joined: bool = False
    dash: str = ""


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
    possible : tuple of float
        Ends of what can be measured at all: bars and bands are cut there. A file has none.
    """

    xlabel: str
    ylabel: str
    series: tuple[Series, ...]
    theory: tuple[Curve, ...] = ()
    log: str = ""
    ticks: tuple[str, ...] = ()
    at: tuple[float, ...] = ()
    ylim: tuple[float, float] | None = None
    possible: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True)
class Picture:
    """A claim's figure: panels side by side and a caption that says what is seen."""

    caption: str
    panels: tuple[Panel, ...] = field(default=())


def picture_to_dict(picture: Picture) -> dict[str, Any]:
    """Return a picture as JSON has it: null where a seed has no value."""
    panels = []
    for panel in picture.panels:
        entry = {name: getattr(panel, name) for name in PLAIN}
        entry["series"] = [{"label": series.label, "x": _numbers(series.x),
                            "values": [_numbers(row) for row in series.values],
                            "role": series.role, "joined": series.joined, "dash": series.dash}
                           for series in panel.series]
        entry["theory"] = [{"label": curve.label, "x": _numbers(curve.x), "y": _numbers(curve.y),
                            "dash": curve.dash, "role": curve.role} for curve in panel.theory]
        panels.append(entry)
    return {"caption": picture.caption, "panels": panels}


def picture_from_dict(content: Mapping[str, Any]) -> Picture:
    """Return the picture that :func:`picture_to_dict` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is not of that form.
    """
    def rows(values: Any) -> np.ndarray:
        return np.array(values, dtype=np.float64)

    return Picture(content["caption"], tuple(
        Panel(panel["xlabel"], panel["ylabel"],
              tuple(Series(entry["label"], rows(entry["x"]), rows(entry["values"]), entry["role"],
                           entry["joined"], entry["dash"]) for entry in panel["series"]),
              tuple(Curve(entry["label"], rows(entry["x"]), rows(entry["y"]), entry["dash"],
                          entry["role"]) for entry in panel["theory"]),
              panel["log"], tuple(panel["ticks"]), tuple(panel["at"]),
              None if panel["ylim"] is None else tuple(panel["ylim"]))
        for panel in content["panels"]))


def _numbers(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in np.asarray(values, float)]
