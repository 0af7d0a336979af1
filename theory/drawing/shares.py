"""How sure a number of samples is: of a share, such as an accuracy, the exact binomial limits, of
others those that the run has kept; as a band or as bars.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from theory.scaling import binomial_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LIMIT_WORDS", "SHARE_WORDS", "history_band", "limit_band", "limit_bars", "share_band",
           "share_bars"]

LIMIT_WORDS = "95 % limits over the samples"  # for legends
SHARE_WORDS = "95 % limits of the share"  # for legends
BAND = 0.13  # how much of its colour a band has
BAR: dict[str, Any] = {"linestyle": "none", "elinewidth": 0.7, "capsize": 1.5, "capthick": 0.7}


def share_band(axes: "Axes", x: Any, shares: Any, samples: int, colour: str, **look: Any) -> None:
    """Draw the 95 % limits of shares of ``samples`` samples each as a band along x."""
    limit_band(axes, x, binomial_limits(shares, samples), colour, **look)


def limit_band(axes: "Axes", x: Any, limits: Any, colour: str, **look: Any) -> None:
    """Draw limits, shape (2, points), as a band along x."""
    low, high = limits
    given: dict[str, Any] = {"color": colour, "alpha": BAND, "linewidth": 0} | look
    axes.fill_between(x, low, high, **given)


def history_band(axes: "Axes", history: Any, name: str, rows: np.ndarray, colour: str) -> None:
    """Draw the limits of a column along some rows of a history as a band, if it has any."""
    if f"{name}_low" in history:
        steps, *limits = (history[column][rows].astype(float)
                          for column in ("step", f"{name}_low", f"{name}_high"))
        limit_band(axes, steps, limits, colour)


def share_bars(axes: "Axes", x: Any, shares: Any, samples: int, colour: str, **look: Any) -> None:
    """Draw the 95 % limits of shares of ``samples`` samples each as bars at x."""
    limit_bars(axes, x, shares, binomial_limits(np.atleast_1d(np.asarray(shares, float)), samples),
               colour, **look)


def limit_bars(axes: "Axes", x: Any, values: Any, limits: Any, colour: str, **look: Any) -> None:
    """Draw the limits of values, shape (2, points), as bars at x; NaN draws none."""
    middle = np.atleast_1d(np.asarray(values, float))
    low, high = np.asarray(limits, float).reshape(2, -1)
    # a limit may lie within rounding on the wrong side
    axes.errorbar(x, middle, np.maximum(0.0, (middle - low, high - middle)),
                  **({"ecolor": colour} | BAR | look))
