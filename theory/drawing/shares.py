"""How sure a share of samples is, such as an accuracy: exact binomial limits, band or bars."""

from typing import TYPE_CHECKING, Any

import numpy as np

from theory.scaling import binomial_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SHARE_WORDS", "share_band", "share_bars"]

SHARE_WORDS = "95 % limits of the share"  # for legends
BAND = 0.13  # how much of its colour a band has
BAR: dict[str, Any] = {"linestyle": "none", "elinewidth": 0.7, "capsize": 1.5, "capthick": 0.7}


def share_band(axes: "Axes", x: Any, shares: Any, samples: int, colour: str, **look: Any) -> None:
    """Draw the 95 % limits of shares of ``samples`` samples each as a band along x."""
    low, high = binomial_limits(shares, samples)
    given: dict[str, Any] = {"color": colour, "alpha": BAND, "linewidth": 0} | look
    axes.fill_between(x, low, high, **given)


def share_bars(axes: "Axes", x: Any, shares: Any, samples: int, colour: str, **look: Any) -> None:
    """Draw the 95 % limits of shares of ``samples`` samples each as bars at x."""
    middle = np.atleast_1d(np.asarray(shares, float))
    low, high = binomial_limits(middle, samples)
    axes.errorbar(x, middle, (middle - low, high - middle), **({"ecolor": colour} | BAR | look))
