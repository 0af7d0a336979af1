"""The radius r50 at which half of the samples are broken, by bisection and as an interval.

The attacks alone give an upper end. With the certificates there is a lower end too: more than
half of the samples are certified there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import require_adversary, require_samples, which_break, worst_case
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
                    known: tuple[Sequence[float], np.ndarray] | None = None,
                    saved: Mapping[str, np.ndarray] | None = None,
                    tick: Callable[..., None] | None = None) -> CriticalRadius:
    """Find r50 by bisection on the attacked accuracy, under all attacks of an adversary.

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
    known : tuple of radii and ndarray of int, shape (n,), or None
        Ascending radii, and the samples' points under "strongest" of
        :func:`~simulator.robustness.accuracy.breaking_points` there: the search begins between
        two of them, and asks only about samples that hold at the one and break at the other.
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
    A sample broken at a radius is broken at every larger one, so it is not attacked again there.
    Strong attacks cost more, so they come second: where the bisection of the others ends, they
    are asked whether half of the samples hold there, and if not, the search goes down from
    there, on the samples that did not. Where something is known, both come together.
    """
    require_adversary(adversary)
    require_real("tolerance", tolerance, low=0.0, open_low=True)
    require_real("limit", limit, low=0.0, open_low=True)
    require_samples(batch)
    wrong = ~(network.margins(batch.X, batch.y) > 0.0)
    if wrong.mean() >= 0.5:
        return CriticalRadius(0.0, 0.0)
    if saved is not None:
        search = _Search.stored(saved)
    elif known is not None:
        search = _Search.between(*known)
    else:
        search = _Search.begun(adversary.ball.radius or 0.1, wrong)
    while True:
        if search.is_over(tolerance, limit):
            if search.strongly or not adversary.strong or search.low == 0.0:
                return CriticalRadius(search.low, search.high)
            search = search.made_strong(wrong)
        rows = search.rows()
        broken = which_break(network, batch[rows], adversary.at(search.next),
                             strong=search.strongly, key=search.tried)
        search.told(rows[broken])
        if tick is not None:
            tick(search.tried, search.arrays)


STEP_DOWN = 0.03  # the first step below the r50 of weaker attacks, relative; then doubled


@dataclass
class _Search:
    """A search in progress: for a radius on either side of r50, then by bisection.

    Attributes
    ----------
    low, high : float
        Fewer than half are broken at ``low``, at least half at ``high`` (infinite: not yet).
    next : float
        The radius to try.
    broken : ndarray of bool, shape (n,)
        Samples broken at ``low``.
    held : ndarray of bool, shape (n,)
        Samples that held under strong attacks at ``high``, and so are not attacked below it.
    tried : int
        Radii tried so far.
    down : float
        The step down from ``high`` where ``low`` is not known; 0 where it is.
    strongly : bool
        Whether the strong attacks take part.
    """

    low: float
    high: float
    next: float
    broken: np.ndarray
    held: np.ndarray
    tried: int = 0
    down: float = 0.0
    strongly: bool = False

    @classmethod
    def begun(cls, radius: float, wrong: np.ndarray) -> "_Search":
        return cls(0.0, float("inf"), radius, wrong, np.zeros(len(wrong), bool))

    @classmethod
    def between(cls, radii: Sequence[float], broken_from: np.ndarray) -> "_Search":
        """Return the search that begins between the radii on either side of one half."""
        halves = [index for index in range(len(radii)) if np.mean(broken_from <= index) >= 0.5]
        top = halves[0] if halves else len(radii)
        low = radii[top - 1] if top else 0.0
        high = radii[top] if halves else float("inf")
        return cls(low, high, 0.5 * (low + high) if halves else 2.0 * low, broken_from < top,
                   broken_from > top, strongly=True)

    @classmethod
    def stored(cls, saved: Mapping[str, np.ndarray]) -> "_Search":
        low, high, middle, down = (float(number) for number in saved["ends"])
        tried, strongly = (int(number) for number in saved["counts"])
        return cls(low, high, middle, saved["broken"].copy(), saved["held"].copy(), tried, down,
                   bool(strongly))

    def made_strong(self, wrong: np.ndarray) -> "_Search":
        """Return the search that begins where this one ended, at its ``low``."""
        return _Search(0.0, self.high, self.low, wrong, np.zeros(len(wrong), bool), self.tried,
                       STEP_DOWN * self.low, True)

    def is_over(self, tolerance: float, limit: float) -> bool:
        if self.high == float("inf"):
            return self.tried > 0 and self.next > limit
        return (self.high - self.low <= tolerance * self.high
                or self.next in (self.low, self.high))  # neighbours: no tolerance is finer

    def rows(self) -> np.ndarray:
        """The samples to attack at the next radius."""
        return np.flatnonzero(~(self.broken | self.held))

    def told(self, rows: np.ndarray) -> None:
        """Take note of the samples that broke at the radius tried."""
        broken = self.broken.copy()
        broken[rows] = True
        self.tried += 1
        if broken.mean() < 0.5:
            self.low, self.broken, self.down = self.next, broken, 0.0
        else:
            self.high = self.next
            if self.strongly:
                self.held = ~broken
        if self.high == float("inf"):
            self.next = 2.0 * self.next
        elif 0.0 < self.down < self.high:
            self.next, self.down = self.high - self.down, 2.0 * self.down
        else:
            self.next = 0.5 * (self.low + self.high)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"ends": np.array([self.low, self.high, self.next, self.down]),
                "counts": np.array([self.tried, int(self.strongly)]),
                "broken": self.broken.copy(), "held": self.held.copy()}


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
