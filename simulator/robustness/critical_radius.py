"""The radius r50 at which half of the samples are broken, by bisection and as an interval.

The attacks alone give an upper end. With the certificates there is a lower end too: more than
half of the samples are certified there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.reach import within_reach
from simulator.attacks.worst_case import require_adversary, require_samples, which_break, worst_case
from simulator.certificates.inputs import SignedInputs, require_ball, signed_inputs
from simulator.certificates.margins import Effort, certify_inputs
from simulator.checks import require_network, require_real
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Network
from simulator.robustness.bracket import TOGETHER, Bracket, dear_method, samples_in_double

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
    Right is a positive margin, so a sample whose margin is NaN counts as wrong.
    A sample broken at a radius is broken at every larger one, so it is not attacked again there.
    Strong attacks cost more, so they come second: where the bisection of the others ends, they
    are asked whether half of the samples hold there, and if not, the search goes down from
    there, on the samples that did not. Where something is known, both come together.
    """
    require_adversary(adversary)
    require_real("tolerance", tolerance, low=0.0, open_low=True)
    require_real("limit", limit, low=0.0, open_low=True)
    require_network(network)
    require_samples(batch)
    wrong = ~(network.margins(batch.X, batch.y) > 0.0)
    if wrong.mean() >= 0.5:
        return CriticalRadius(0.0, 0.0)
    if saved is not None:
        search = _Bisection.stored(saved)
    elif known is not None:
        search = _Bisection.between(*known, adversary.ball.radius or 0.1)
    else:
        search = _Bisection.begun(adversary.ball.radius or 0.1, wrong)
    while True:
        if search.is_over(tolerance, limit):
            if search.strongly or not adversary.strong or search.low == 0.0:
                return CriticalRadius(search.low, search.high)
            search = search.made_strong(wrong)
        rows, there = search.rows(), adversary.at(search.next)
        broken = which_break(within_reach(network, batch.X[rows], there.ball), batch[rows], there,
                             strong=search.strongly, key=search.tried)
        search.told(rows[broken])
        if tick is not None:
            tick(search.tried, search.arrays)


STEP_DOWN = 0.03  # the first step below the r50 of weaker attacks, relative; then doubled


@dataclass
class _Bisection:
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
    def begun(cls, radius: float, wrong: np.ndarray) -> "_Bisection":
        return cls(0.0, float("inf"), radius, wrong, np.zeros(len(wrong), bool))

    @classmethod
    def between(cls, radii: Sequence[float], broken_from: np.ndarray,
                beyond: float) -> "_Bisection":
        """Return the search that begins between the radii on either side of one half.

        Above a largest radius of 0 it begins at ``beyond``.
        """
        halves = [index for index in range(len(radii)) if np.mean(broken_from <= index) >= 0.5]
        top = halves[0] if halves else len(radii)
        low = radii[top - 1] if top else 0.0
        high = radii[top] if halves else float("inf")
        return cls(low, high, 0.5 * (low + high) if halves else 2.0 * low or beyond,
                   broken_from < top,
                   broken_from > top, strongly=True)

    @classmethod
    def stored(cls, saved: Mapping[str, np.ndarray]) -> "_Bisection":
        low, high, middle, down = (float(number) for number in saved["ends"])
        tried, strongly = (int(number) for number in saved["counts"])
        return cls(low, high, middle, saved["broken"].copy(), saved["held"].copy(), tried, down,
                   bool(strongly))

    def made_strong(self, wrong: np.ndarray) -> "_Bisection":
        """Return the search that begins where this one ended, at its ``low``."""
        return _Bisection(0.0, self.high, self.low, wrong, np.zeros(len(wrong), bool), self.tried,
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
        Of the same samples; may be empty. What they decided of each sample is not asked again.
    tolerance : float
        Width to which each end is bisected, relative to the upper end.
    steps : int
        Steps of the quadratic dual. It and the cheaper bounds, without branching, certify the lower
        end.
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
    ball, samples = require_ball(adversary), samples_in_double(network, batch)
    tried = 0

    def broken(step: int, keep: Callable[[], Mapping[str, np.ndarray]]) -> None:
        nonlocal tried
        tried = step
        if tick is not None:
            tick(step, keep)

    if saved is not None and "low" in saved:
        low, top, high = float(saved["low"]), float(saved["top"]), float(saved["high"])
        tried, known = int(saved["tried"]), _Known(saved["safe"].copy(), saved["broken"].copy())
    else:
        high = _breaking_radius(network, samples, adversary, brackets, tolerance, saved, broken)
        high = min([high, *(point.radius for point in brackets if point.attacked <= 0.5)])
        low = max([0.0, *(point.radius for point in brackets if point.certified > 0.5)])
        top = min([high, *(point.radius for point in brackets if point.certified <= 0.5)])
        known = _Known.of(brackets, len(samples))
    inputs = signed_inputs(network, samples, ball.with_radius(top)) if top < np.inf else None
    while inputs is not None and top - low > tolerance * top:
        middle = 0.5 * (low + top)
        if _certifies_half(inputs, samples, adversary.at(middle), known, steps):
            low = middle
        else:
            top = middle
        tried += 1
        if tick is not None:
            kept = {"low": low, "top": top, "high": high, "tried": tried,
                    "safe": known.safe.copy(), "broken": known.broken.copy()}
            tick(tried, lambda: {name: np.array(value) for name, value in kept.items()})
    return low, high


FURTHER = 2.0  # times the largest radius known of: the ball whose neurons a first search looks at


def _breaking_radius(network: SymmetricReLU, samples: Batch, adversary: Adversary,
                     brackets: Sequence[Bracket], tolerance: float,
                     saved: Mapping[str, np.ndarray] | None, tick: Callable[..., None]) -> float:
    """A radius at which at least half of the samples are broken, by bisection; or infinity.

    First with the neurons that can open in a ball twice as large as any asked about, and only where
    that is too small with all of them.
    """
    limit = FURTHER * max([adversary.ball.radius or 0.1, *(one.radius for one in brackets)])
    if saved is None or "whole" not in saved:
        ball = require_ball(adversary).with_radius(limit)
        near = signed_inputs(network, samples, ball).network()
        high = critical_radius(near, samples, adversary, tolerance=tolerance, limit=limit,
                               known=_breaking_points(brackets, len(samples)), saved=saved,
                               tick=tick).high
        if high < np.inf:
            return high
        saved = None
    whole = SymmetricReLU(network.weights.astype(samples.X.dtype), network.bias)
    return critical_radius(
        whole, samples, adversary, tolerance=tolerance, saved=saved,
        tick=lambda step, keep: tick(step, lambda: {**keep(), "whole": np.array(True)})).high


def _breaking_points(brackets: Sequence[Bracket],
                     n: int) -> tuple[list[float], np.ndarray] | None:
    """Radii, and the first of them (by number) at which each sample is broken; None: not known."""
    if not brackets or any(len(one.decided_by) != n for one in brackets):
        return None
    holds = [~np.char.startswith(one.decided_by, "broken") for one in brackets]
    return [one.radius for one in brackets], np.sum(holds, axis=0)


@dataclass
class _Known:
    """What is known of each sample: certified up to ``safe``, broken from ``broken`` on, (n,)."""

    safe: np.ndarray
    broken: np.ndarray

    @classmethod
    def of(cls, brackets: Sequence[Bracket], n: int) -> "_Known":
        known = cls(np.full(n, -np.inf), np.full(n, np.inf))
        for one in brackets:
            if len(one.decided_by) == n:
                known.hold(np.char.startswith(one.decided_by, "certified"), one.radius)
                known.fall(np.char.startswith(one.decided_by, "broken"), one.radius)
        return known

    def hold(self, rows: np.ndarray, radius: float) -> None:
        self.safe[rows] = np.maximum(self.safe[rows], radius)

    def fall(self, rows: np.ndarray, radius: float) -> None:
        self.broken[rows] = np.minimum(self.broken[rows], radius)

    def open_rows(self, radius: float) -> np.ndarray:
        return np.flatnonzero((self.safe < radius) & (self.broken > radius))


def _certifies_half(inputs: SignedInputs, samples: Batch, adversary: Adversary, known: _Known,
                    steps: int) -> bool:
    """Whether more than half of the samples are certified, the dual asked of the safest first."""
    radius, needed = adversary.ball.radius, len(samples) // 2 + 1
    effort = Effort(1, steps, steps)

    def certify(rows: np.ndarray, start: np.ndarray, methods: Sequence[str]) -> np.ndarray:
        some = inputs[rows].within(require_ball(adversary))
        found = certify_inputs(some, start / some.length, methods, effort)
        known.hold(rows[found.margins > 0.0], radius)
        known.fall(rows[found.upper <= 0.0], radius)
        return found.upper

    def held() -> int:
        return int(np.count_nonzero(known.safe >= radius))

    rows = known.open_rows(radius)
    if held() < needed <= held() + len(rows):
        worst = worst_case(inputs.network(), samples[rows], adversary)
        upper = certify(rows, worst.delta, TOGETHER[type(require_ball(adversary))])
        safest = np.argsort(-upper, kind="stable")
        left = safest[np.isin(rows[safest], known.open_rows(radius))]
        for tried, place in enumerate(left):
            if not held() < needed <= held() + len(left) - tried:
                break
            one = slice(place, place + 1)
            certify(rows[one], worst.delta[one], (dear_method(inputs),))
    return held() >= needed
