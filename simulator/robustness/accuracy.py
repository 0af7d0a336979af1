"""How robust a network is: accuracy against radius, and the critical radius r50.

Attacked accuracy is the worst over all attacks, per sample. A perturbation found at one radius
belongs to every larger ball too, so curves are non-increasing by construction, not by luck.
Attacks bound robust accuracy from above only; :func:`~simulator.robustness.bracket.bracket` bounds it from
both sides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.attacks.gradient import FGM, PGD, RandomSearch, Universal, worst_case
from simulator.attacks.gradient_masking import masking
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import certify
from simulator.checks import require_int, require_real
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Ball, Batch, Network
from simulator.randomness import Role, stream
from simulator.robustness.bracket import Bracket, bracket, in_double

__all__ = ["Bracket", "CriticalRadius", "accuracy", "accuracy_curves", "bracket",
           "certified_summary", "critical_interval", "critical_radius", "standard_attacks"]


def standard_attacks(direction: np.ndarray, steps: int = 20) -> dict[str, Attack]:
    """Return the attacks whose worst case is "attacked accuracy".

    Parameters
    ----------
    direction : ndarray, shape (d,)
        The universal direction ``M w*``.
    steps : int
        Steps of PGD from each of its starts (zero, random, universal).
    """
    return {"universal": Universal(direction), "fgm": FGM(),
            "pgd": PGD(steps, ("zero", "random", "universal"), direction=direction),
            "random": RandomSearch()}


def accuracy(network: Network, batch: Batch, chunk: int = 1000) -> float:
    """Share of samples with a positive margin, evaluated ``chunk`` rows at a time."""
    require_int("chunk", chunk, low=1)
    _require_samples(batch)
    right = sum(int(np.count_nonzero(network.margins(batch.X[rows:rows + chunk],
                                                     batch.y[rows:rows + chunk]) > 0.0))
                for rows in range(0, len(batch), chunk))
    return right / len(batch)


def accuracy_curves(network: Network, batch: Batch, ball: Ball,
                    radii: Sequence[float], attacks: Mapping[str, Attack], seed: int,
                    chunk: int = 1000) -> dict[str, np.ndarray]:
    """Accuracy under each attack, and under the worst of all, at every radius.

    Parameters
    ----------
    network : Network
    batch : Batch
    ball : Ball
        The norm; its own radius is not used.
    radii : sequence of float
        Ascending, at least 0.
    attacks : mapping of str to Attack
    seed : int
    chunk : int

    Returns
    -------
    dict of str to ndarray, shape (len(radii),)
        One curve for each attack and "strongest", each non-increasing.
    """
    radii = [require_real("radii", radius, low=0.0) for radius in radii]
    if sorted(radii) != radii:
        raise ValueError(f"radii: expected ascending order, got {radii}")
    if "strongest" in attacks:
        raise ValueError('attacks: expected other names, got "strongest": it names their worst')
    curves: dict[str, list[float]] = {name: [] for name in (*attacks, "strongest")}
    broken = {name: np.zeros(len(batch), bool) for name in curves}
    for index, radius in enumerate(radii):
        found = worst_case(network, batch.X, batch.y, ball.with_radius(radius), attacks,
                           stream(seed, Role.EVALUATION_ATTACK, index), chunk)
        for name in curves:
            margins = found.margins if name == "strongest" else found.margins_of[name]
            broken[name] |= ~(margins > 0.0)
            curves[name].append(1.0 - float(broken[name].mean()))
    return {name: np.array(curve) for name, curve in curves.items()}


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


def critical_radius(network: Network, batch: Batch, ball: Ball,
                    attacks: Mapping[str, Attack], seed: int, tolerance: float = 0.01,
                    chunk: int = 1000, limit: float = 1e3) -> CriticalRadius:
    """Find r50 by bisection on the attacked accuracy.

    Parameters
    ----------
    network : Network
    batch : Batch
    ball : Ball
        The norm, and the radius to start from if it is positive.
    attacks : mapping of str to Attack
    seed : int
    tolerance : float
        Width of the final interval, relative to its upper end.
    chunk : int
    limit : float
        Give up above this radius.

    Notes
    -----
    A sample broken at a radius is broken at every larger one, so it is not attacked again.
    """
    require_real("tolerance", tolerance, low=0.0, open_low=True)
    require_real("limit", limit, low=0.0, open_low=True)
    _require_samples(batch)
    calls = 0

    def broken_at(radius: float, broken: np.ndarray) -> np.ndarray:
        nonlocal calls
        alive = np.flatnonzero(~broken)
        found = worst_case(network, batch.X[alive], batch.y[alive], ball.with_radius(radius),
                           attacks, stream(seed, Role.EVALUATION_ATTACK, calls), chunk)
        calls += 1
        result = broken.copy()
        result[alive] = ~(found.margins > 0.0)
        return result

    low_broken = ~(network.margins(batch.X, batch.y) > 0.0)
    if low_broken.mean() >= 0.5:
        return CriticalRadius(0.0, 0.0)
    low, high = 0.0, ball.radius or 0.1
    while (broken := broken_at(high, low_broken)).mean() < 0.5:
        low, low_broken = high, broken
        high *= 2.0
        if high > limit:
            return CriticalRadius(low, float("inf"))
    while high - low > tolerance * high:
        middle = 0.5 * (low + high)
        if middle in (low, high):  # neighbouring numbers: no tolerance is finer
            break
        broken = broken_at(middle, low_broken)
        if broken.mean() < 0.5:
            low, low_broken = middle, broken
        else:
            high = middle
    return CriticalRadius(low, high)


def critical_interval(network: SymmetricReLU, batch: Batch, ball: L2Ball | LinfBall,
                      brackets: Sequence[Bracket], attacks: Mapping[str, Attack], seed: int,
                      tolerance: float = 0.05, steps: int = 300) -> tuple[float, float]:
    """Bound r50 from both sides: certified at ``low``, broken at ``high``.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch
    ball : L2Ball or LinfBall
    brackets : sequence of Bracket
        Of the same samples; may be empty.
    attacks : mapping of str to Attack
    seed : int
    tolerance : float
        Width to which each end is bisected, relative to the upper end.
    steps : int
        Steps of the dual, which alone (without branching) certifies the lower end.

    Returns
    -------
    low, high : float
        At ``low`` more than half of the samples are certified (0 where none is known), at
        ``high`` at least half are broken (infinite: at no radius searched).
    """
    plain, X, y = in_double(network, batch)
    high = critical_radius(plain, Batch(X, y), ball, attacks, seed, tolerance).high
    high = min([high, *(found.radius for found in brackets if found.attacked <= 0.5)])
    low = max([0.0, *(found.radius for found in brackets if found.certified > 0.5)])
    top = min([high, *(found.radius for found in brackets if found.certified <= 0.5)])
    while top < np.inf and top - low > tolerance * high:
        middle = 0.5 * (low + top)
        if _certifies_half(plain, X, y, ball.with_radius(middle), attacks, seed, steps):
            low = middle
        else:
            top = middle
    return low, high


def certified_summary(network: SymmetricReLU, batch: Batch, ball: L2Ball | LinfBall,
                      radii: Sequence[float], attacks: Mapping[str, Attack],
                      strong: Mapping[str, Attack], seed: int, nodes: int) -> dict[str, Any]:
    """What a run's summary says about any perturbation; arguments as in :func:`bracket`.

    Returns
    -------
    dict
        ``bracket``: list of :meth:`Bracket.numbers`; ``certified_accuracy``: at the radius of
        ``ball``, if it is one of ``radii``; ``r50_low``, ``r50_high``: see
        :func:`critical_interval`; ``masking``: signs raised at the radius of ``ball``, see
        :mod:`simulator.attacks.gradient_masking`. A smoothed network has no certificate: its bracket is empty
        and its critical radius has no bounds.
    """
    seen = ball.radius > 0.0 and bool((network.margins(batch.X, batch.y) > 0.0).any())
    signs = list(masking(network, batch, ball, seed).raised) if seen else []
    if network.smoothing > 0.0:
        return {"bracket": [], "masking": signs}
    brackets = bracket(network, batch, radii, ball, attacks, seed, strong, nodes)
    low, high = critical_interval(network, batch, ball, brackets, attacks, seed)
    at_radius = {"certified_accuracy": found.certified for found in brackets
                 if found.radius == ball.radius}
    return {"bracket": [found.numbers() for found in brackets], **at_radius, "r50_low": low,
            "r50_high": high, "masking": signs}


def _certifies_half(network: SymmetricReLU, X: np.ndarray, y: np.ndarray,
                    ball: L2Ball | LinfBall, attacks: Mapping[str, Attack], seed: int,
                    steps: int) -> bool:
    """Whether the dual certifies more than half, asked of the safest samples first."""
    found = worst_case(network, X, y, ball, attacks, stream(seed, Role.EVALUATION_ATTACK))
    order = np.argsort(-found.margins, kind="stable")
    order = order[found.margins[order] > 0.0]
    needed, certified = len(X) // 2 + 1, 0
    for tried, row in enumerate(order):
        if certified + len(order) - tried < needed:
            return False
        bound = certify(network, X[row:row + 1], y[row:row + 1], ball, found.delta[row:row + 1],
                        ("quadratic",), steps=steps)
        certified += int(bound.margins[0] > 0.0)
        if certified >= needed:
            return True
    return False


def _require_samples(batch: Batch) -> None:
    if len(batch) == 0:
        raise ValueError("batch: expected at least one sample, got none: accuracy is a mean")
