"""The radius r50 at which half of the samples are broken, by bisection and as an interval.

The attacks alone give an upper end. With the certificates there is a lower end too: more than
half of the samples are certified there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, require_samples, worst_case
from simulator.certificates.margins import certify
from simulator.checks import require_real
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Network
from simulator.robustness.bracket import Bracket, in_double

__all__ = ["CriticalRadius", "critical_interval", "critical_radius"]


@dataclass(frozen=True)
class CriticalRadius:
    """The radius at which attacked accuracy falls to 1/2, as a bisection interval.

    Attributes
    ----------
    low, high : float
        Attacked accuracy is above 1/2 at ``low`` and at most 1/2 at ``high``. ``high`` is
        infinite if no radius up to the limit reached 1/2.
    """

    low: float
    high: float

    @property
    def value(self) -> float:
        """The middle of the interval (r50)."""
        return 0.5 * (self.low + self.high)

    @property
    def tolerance(self) -> float:
        """Half the width of the interval."""
        return 0.5 * (self.high - self.low)


def critical_radius(network: Network, batch: Batch, adversary: Adversary, *,
                    tolerance: float = 0.01, limit: float = 1e3,
                    saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> CriticalRadius:
    """Find r50 by bisection on the attacked accuracy.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        The radius of its ball is where the search begins, if it is positive.
    tolerance : float
        Width of the final interval, relative to its upper end.
    limit : float
        Give up above this radius.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii tried, function that returns the arrays to go on from) after each.

    Raises
    ------
    TypeError, ValueError
        No Adversary, no samples, a tolerance or limit of 0.

    Notes
    -----
    A sample broken at a radius is broken at every larger one, so it is not attacked again.
    """
    require_adversary(adversary)
    require_real("tolerance", tolerance, low=0.0, open_low=True)
    require_real("limit", limit, low=0.0, open_low=True)
    require_samples(batch)
    broken = ~(network.margins(batch.X, batch.y) > 0.0)
    if broken.mean() >= 0.5:
        return CriticalRadius(0.0, 0.0)
    search = _Search(0.0, float("inf"), adversary.ball.radius or 0.1, 0, broken)
    if saved is not None:
        low, high, middle = (float(end) for end in saved["ends"])
        search = _Search(low, high, middle, int(saved["tried"]), saved["broken"].copy())
    while not search.is_over(tolerance, limit):
        alive = np.flatnonzero(~search.broken)
        worst = worst_case(network, batch[alive], adversary.at(search.next), key=search.tried)
        search.told(alive[~(worst.margins > 0.0)])
        if tick is not None:
            tick(search.tried, search.arrays)
    return CriticalRadius(search.low, search.high)


@dataclass
class _Search:
    """A bisection in progress: doubling until half of the samples are broken, then halving.

    Attributes
    ----------
    low, high : float
        Fewer than half are broken at ``low``, at least half at ``high`` (infinite: not yet).
    next : float
        The radius to try.
    tried : int
        Radii tried so far.
    broken : ndarray of bool, shape (n,)
        Samples broken at ``low``.
    """

    low: float
    high: float
    next: float
    tried: int
    broken: np.ndarray

    def is_over(self, tolerance: float, limit: float) -> bool:
        if self.high == float("inf"):
            return self.tried > 0 and self.next > limit
        return (self.high - self.low <= tolerance * self.high
                or self.next in (self.low, self.high))  # neighbours: no tolerance is finer

    def told(self, rows: np.ndarray) -> None:
        """Take note of the samples that broke at the radius tried."""
        broken = self.broken.copy()
        broken[rows] = True
        self.tried += 1
        if broken.mean() < 0.5:
            self.low, self.broken = self.next, broken
        else:
            self.high = self.next
        self.next = (2.0 * self.next if self.high == float("inf")
                     else 0.5 * (self.low + self.high))

    def arrays(self) -> dict[str, np.ndarray]:
        return {"ends": np.array([self.low, self.high, self.next]),
                "tried": np.array(self.tried), "broken": self.broken.copy()}


def critical_interval(network: SymmetricReLU, batch: Batch, adversary: Adversary, *,
                      brackets: Sequence[Bracket], tolerance: float = 0.05, steps: int = 300,
                      saved: Mapping[str, np.ndarray] | None = None,
                      tick: Callable[..., None] | None = None) -> tuple[float, float]:
    """Bound r50 from both sides: certified at ``low``, broken at ``high``.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    adversary : Adversary
        In an L2Ball or a LinfBall.
    brackets : sequence of Bracket
        Of the same samples; may be empty.
    tolerance : float
        Width to which each end is bisected, relative to the upper end.
    steps : int
        Steps of the dual, which alone (without branching) certifies the lower end.
    saved : mapping of str to ndarray, or None
        What an interrupted call of equal arguments kept: it goes on from there.
    tick : callable or None
        Called with (radii tried, function that returns the arrays to go on from) after each.

    Returns
    -------
    low, high : float
        At ``low`` more than half of the samples are certified (0 where none is known), at
        ``high`` at least half are broken (infinite: at no radius searched).
    """
    require_adversary(adversary)
    plain, X, y = in_double(network, batch)
    samples, tried = Batch(X, y), 0

    def broken(step: int, keep: Callable[[], Mapping[str, np.ndarray]]) -> None:
        nonlocal tried
        tried = step
        if tick is not None:
            tick(step, keep)

    if saved is not None and "low" in saved:
        low, top, high = float(saved["low"]), float(saved["top"]), float(saved["high"])
        tried = int(saved["tried"])
    else:
        high = critical_radius(plain, samples, adversary, tolerance=tolerance, saved=saved,
                               tick=broken).high
        high = min([high, *(point.radius for point in brackets if point.attacked <= 0.5)])
        low = max([0.0, *(point.radius for point in brackets if point.certified > 0.5)])
        top = min([high, *(point.radius for point in brackets if point.certified <= 0.5)])
    while top < np.inf and top - low > tolerance * high:
        middle = 0.5 * (low + top)
        if _certifies_half(plain, samples, adversary.at(middle), steps):
            low = middle
        else:
            top = middle
        tried += 1
        if tick is not None:
            kept = {"low": low, "top": top, "high": high, "tried": tried}
            tick(tried, lambda: {name: np.array(value) for name, value in kept.items()})
    return low, high


def _certifies_half(network: SymmetricReLU, batch: Batch, adversary: Adversary,
                    steps: int) -> bool:
    """Whether the dual certifies more than half, asked of the safest samples first."""
    worst = worst_case(network, batch, adversary)
    order = np.argsort(-worst.margins, kind="stable")
    order = order[worst.margins[order] > 0.0]
    needed, certified = len(batch) // 2 + 1, 0
    for tried, row in enumerate(order):
        if certified + len(order) - tried < needed:
            return False
        one = slice(row, row + 1)
        bound = certify(network, batch[one], adversary, start=worst.delta[one],
                        methods=("quadratic",), steps=steps)
        certified += int(bound.margins[0] > 0.0)
        if certified >= needed:
            return True
    return False
