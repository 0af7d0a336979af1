"""The radii at which almost no sample is broken yet, and at which almost every one is.

With the radius at which each sample breaks these are order statistics. ``r99`` is the largest
radius with attacked accuracy of at least .99: of n samples ``floor(.01 n)`` may break before.
``r01`` is the smallest with accuracy of at most .01: as many may be left. Limits for the
population are order statistics too, by the binomial law of how many of n samples lie below a
quantile: exact for any distribution of radii.

Only the samples about these places are asked for more than the curves know of them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from simulator.attacks.adversary import Adversary
from simulator.attacks.reach import within_reach
from simulator.attacks.worst_case import require_adversary, require_samples, which_break
from simulator.checks import require_network, require_radii, require_real
from simulator.protocols import Batch, Network

__all__ = ["CONFIDENCE", "LEVELS", "TailRadius", "limits", "limits_on_grid", "order",
           "tail_radii"]

LEVELS = (0.99, 0.01)
CONFIDENCE = 0.95
ROUNDING = 1e-9  # 0.01 * 300 is 3


@dataclass(frozen=True)
class TailRadius:
    """The radius at which attacked accuracy passes a level.

    Attributes
    ----------
    value : float
        Of these samples: the middle of the last interval of the bisection. Infinite if no radius
        searched is large enough.
    tolerance : float
        Half the width of that interval.
    low, high : float
        95 % limits of the population's, the bisection's error included.
    """

    value: float
    tolerance: float
    low: float
    high: float


def order(level: float, n: int) -> int:
    """Return which of n radii, ascending from 1, is that of an accuracy level.

    At or above one half: the largest radius with at least that accuracy; below: the smallest with
    at most that.
    """
    if level >= 0.5:
        return min(n, math.floor((1.0 - level) * n + ROUNDING) + 1)
    return max(1, n - math.floor(level * n + ROUNDING))


def limits(level: float, n: int, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Return the order statistics between which the population's radius of a level lies.

    Returns
    -------
    low, high : int
        From 1; 0 and n + 1 where so few samples limit nothing on that side.
    """
    tail = 0.5 * (1.0 - confidence)
    # the binomial law itself: scipy.stats takes a second to import, in each worker of a sweep
    below = scipy.special.bdtr(np.arange(n + 1), n, 1.0 - level)
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1.0 - tail)) + 1


def limits_on_grid(level: float, radii: Sequence[float], points: np.ndarray,
                   confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return limits of the population's radius of a level, from what the curves know alone.

    Parameters
    ----------
    level : float
        Of accuracy.
    radii : sequence of float
        Ascending.
    points : ndarray of int, shape (n,)
        Under "strongest" of :func:`~simulator.robustness.accuracy.breaking_points` there.
    confidence : float

    Returns
    -------
    low, high : float
        Radii of the grid, so that the limits are at most one step of it too wide on either side;
        0 and infinity where the grid or so few samples limit nothing.
    """
    ends = np.concatenate([[0.0], require_radii("radii", radii), [np.inf]])
    first, last = limits(level, len(points), confidence)
    ascending = np.sort(points)
    return (float(ends[ascending[first - 1]]) if first >= 1 else 0.0,
            float(ends[ascending[last - 1] + 1]) if last <= len(points) else math.inf)


def tail_radii(network: Network, batch: Batch, adversary: Adversary, *,
               known: tuple[Sequence[float], np.ndarray], levels: Sequence[float] = LEVELS,
               tolerance: float = 0.01, limit: float = 1e3, confidence: float = CONFIDENCE,
               saved: Mapping[str, np.ndarray] | None = None,
               tick: Callable[..., None] | None = None) -> dict[float, TailRadius]:
    """Find the radii at which attacked accuracy passes some levels, with their limits.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        All its attacks are asked, the strong ones too.
    known : tuple of radii and ndarray of int, shape (n,)
        Ascending radii, and the samples' points under "strongest" of
        :func:`~simulator.robustness.accuracy.breaking_points` there.
    levels : sequence of float
        Of accuracy.
    tolerance : float
        Width of the last interval of each bisection, relative to its upper end.
    limit : float
        Give up above this radius.
    confidence : float
        Of the limits.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii tried, function that returns the arrays to go on from) after each.

    Returns
    -------
    dict of float to TailRadius
        By level.

    Raises
    ------
    TypeError, ValueError
        No Adversary, no samples, radii that do not ascend, a tolerance or limit of 0.

    Notes
    -----
    A sample broken at a radius counts as broken at every larger one, as in the curves.
    """
    require_adversary(adversary)
    require_real("tolerance", tolerance, low=0.0, open_low=True)
    require_real("limit", limit, low=0.0, open_low=True)
    require_network(network)
    X, y = require_samples(batch)
    radii = np.array(require_radii("radii", known[0]))
    search = (_TailSearch.between(radii, known[1], ~(network.margins(X, y) > 0.0))
              if saved is None else _TailSearch.stored(saved))
    places = {place for level in levels
              for place in (order(level, len(X)), *limits(level, len(X), confidence))
              if 1 <= place <= len(X)}
    near, reach = network, -math.inf
    while (radius := search.wanted(places, tolerance, limit, adversary.ball.radius)) is not None:
        if radius > reach:
            reach = max(radius, float(radii[-1]))
            near = within_reach(network, X, adversary.ball.with_radius(reach))
        rows, there = search.undecided(radius), adversary.at(radius)
        few = within_reach(near, X[rows], there.ball)  # of a few samples, a few neurons
        search.told(radius, rows, which_break(few, batch[rows], there, strong=True,
                                              key=search.tried))
        if tick is not None:
            tick(search.tried, search.arrays)
    return {level: search.found(level, confidence) for level in levels}


@dataclass
class _TailSearch:
    """Between which radii each sample breaks.

    Attributes
    ----------
    holds, breaks : ndarray, shape (n,)
        The largest radius at which each sample is known to hold, the smallest at which it is known
        to break (infinite: none).
    tried : int
        Radii tried so far.
    """

    holds: np.ndarray
    breaks: np.ndarray
    tried: int = 0

    @classmethod
    def between(cls, radii: np.ndarray, points: np.ndarray, wrong: np.ndarray) -> "_TailSearch":
        ends = np.concatenate([[0.0], radii, [np.inf]])
        return cls(np.where(wrong, 0.0, ends[points]), np.where(wrong, 0.0, ends[points + 1]))

    @classmethod
    def stored(cls, saved: Mapping[str, np.ndarray]) -> "_TailSearch":
        return cls(saved["holds"].copy(), saved["breaks"].copy(), int(saved["tried"]))

    def between_which(self, place: int) -> tuple[float, float]:
        """Return the ends between which the place-th smallest radius lies."""
        return (float(np.partition(self.holds, place - 1)[place - 1]),
                float(np.partition(self.breaks, place - 1)[place - 1]))

    def wanted(self, places: set[int], tolerance: float, limit: float,
               start: float) -> float | None:
        """Return the radius to try next, None where all places are known well enough."""
        for place in sorted(places):
            low, high = self.between_which(place)
            if math.isinf(high):
                if (further := 2.0 * low or start or 0.1) <= limit:
                    return further
            elif high - low > tolerance * high and low < 0.5 * (low + high) < high:
                return 0.5 * (low + high)
        return None

    def undecided(self, radius: float) -> np.ndarray:
        """The samples of which it is not known whether they hold at a radius."""
        return np.flatnonzero((self.holds < radius) & (radius < self.breaks))

    def told(self, radius: float, rows: np.ndarray, broken: np.ndarray) -> None:
        """Take note of which of the samples broke at the radius tried."""
        self.breaks[rows[broken]] = radius
        self.holds[rows[~broken]] = radius
        self.tried += 1

    def found(self, level: float, confidence: float) -> TailRadius:
        n = len(self.holds)
        low, high = self.between_which(order(level, n))
        first, last = limits(level, n, confidence)
        return TailRadius(0.5 * (low + high), 0.5 * (high - low) if high < math.inf else math.inf,
                          self.between_which(first)[0] if first >= 1 else 0.0,
                          self.between_which(last)[1] if last <= n else math.inf)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"holds": self.holds.copy(), "breaks": self.breaks.copy(),
                "tried": np.array(self.tried)}
