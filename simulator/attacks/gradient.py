"""Attacks: searches of a ball for a perturbation with a small margin.

    FGM        delta = argmax_{ball} <-grad margin, delta>
    PGD        K such steps of size 2.5 radius / K, each projected, from several starts
    Universal  delta = the steepest perturbation along -y v, v fixed: it never looks at x
    RandomSearch   margins only, no gradient (a check for masked gradients)

(FGM, PGD and the dense direction v = M w* as in Allen-Zhu & Li, arXiv 2005.10190.) An attack
is never believed: :func:`worst_case` projects its result onto the ball and scores it again,
and combines several attacks sample by sample. Each attack bounds robust accuracy from above
only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.checks import require_array, require_choice, require_int
from simulator.protocols import Attack, Ball, Network, Perturbation

__all__ = ["BestFound", "FGM", "PGD", "RandomSearch", "Universal", "WorstCase",
           "require_starts", "starting_points", "worst_case", "zero_rows"]


@dataclass(frozen=True)
class FGM:
    """Fast gradient method: one step of full length. A zero gradient gives no perturbation."""

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the steepest perturbation at X; ``rng`` is not used."""
        gradient = network.margin_gradient(X, y)
        return Perturbation(ball.steepest(-gradient), zero_rows(gradient))


@dataclass(frozen=True)
class Universal:
    """One input-independent direction, with the sign of the label.

    Attributes
    ----------
    direction : ndarray, shape (d,)
        v, any length; the attack of the paper takes the dense direction ``M w*``.
    """

    direction: np.ndarray

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the steepest perturbation along ``-y v``; network and rng are not used."""
        return Perturbation(ball.steepest(_against(self.direction, X, y)), 0)


@dataclass(frozen=True)
class PGD:
    """Projected gradient descent on the margin, keeping the best point ever met.

    The point FGM would choose is scored on the way (its gradient is known), so PGD from the
    start "zero" is never weaker than FGM.

    Attributes
    ----------
    steps : int
        Gradient steps K for each start, of size 2.5 radius / K.
    starts : tuple of "zero", "random", "universal"
        Where to begin. "universal" needs ``direction``.
    restarts : int
        How many random starts "random" stands for.
    direction : ndarray, shape (d,), or None
        Direction of the universal start.
    """

    steps: int = 20
    starts: tuple[str, ...] = ("zero",)
    restarts: int = 1
    direction: np.ndarray | None = None

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=1)
        require_starts(self.starts, self.restarts, self.direction)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the perturbation with the smallest margin over all starts and steps."""
        best = BestFound(network, X, y)
        zero_gradients = 0
        for delta in starting_points(self.starts, self.restarts, self.direction, best.X, best.y,
                                     ball, rng):
            zero_gradients = max(zero_gradients, self._search(best, delta, ball))
        return Perturbation(best.delta, zero_gradients)

    def _search(self, best: "BestFound", delta: np.ndarray, ball: Ball) -> int:
        """Walk from ``delta``; return how many samples had a zero gradient there."""
        blind = 0
        for step in range(self.steps):
            gradient = best.offer_for_gradient(delta)
            ascent = ball.steepest(-gradient)
            if step == 0:
                blind = zero_rows(gradient)
                best.offer(ascent)
            delta = ball.project(delta + (2.5 / self.steps) * ascent)
        best.offer(delta)
        return blind


@dataclass(frozen=True)
class RandomSearch:
    """Accept-if-better random steps: sees margins, never a gradient.

    Half of the trials are fresh points of the sphere; the others move the best point by a
    random step whose length shrinks from the radius to a tenth of it.
    """

    trials: int = 40

    def __post_init__(self) -> None:
        require_int("trials", self.trials, low=1)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the best of ``trials`` random points."""
        best = BestFound(network, X, y)
        for trial in range(self.trials):
            move = ball.draw(rng, best.X.shape, best.X.dtype)
            if trial % 2:
                length = 10.0 ** (-trial / self.trials)
                move = ball.project(best.delta + length * move)
            best.offer(move)
        return Perturbation(best.delta, 0)


def require_starts(starts: tuple[str, ...], restarts: int,
                   direction: np.ndarray | None) -> None:
    """Check the starts of an iterative attack, or raise ValueError."""
    require_int("restarts", restarts, low=1)
    if not starts:
        raise ValueError("starts: expected at least one of zero, random, universal, got none")
    for start in starts:
        require_choice("starts", start, ("zero", "random", "universal"))
    if "universal" in starts and direction is None:
        raise ValueError("direction: expected a vector, got None: the start is universal")


def starting_points(starts: tuple[str, ...], restarts: int, direction: np.ndarray | None,
                    X: np.ndarray, y: np.ndarray, ball: Ball,
                    rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the perturbations, shape of X, from which an iterative attack sets out."""
    for start in starts:
        for _ in range(restarts if start == "random" else 1):
            if start == "zero":
                yield np.zeros_like(X)
            elif start == "random":
                yield ball.draw(rng, X.shape, X.dtype)
            else:
                assert direction is not None  # checked when the attack was made
                yield ball.steepest(_against(direction, X, y))


class BestFound:
    """The perturbation with the smallest margin met so far, per sample; starts at zero.

    Attributes: ``network``; ``X``, ``y``; ``delta``, shape of X; ``margins``, shape (n,).
    """

    def __init__(self, network: Network, X: np.ndarray, y: np.ndarray) -> None:
        self.network = network
        self.X = require_array("X", X, (None,) * np.ndim(X))
        self.y = require_array("y", y, (len(self.X),), why="one label per sample",
                               dtype=self.X.dtype)
        self.delta = np.zeros_like(self.X)
        self.margins = network.margins(self.X, self.y)

    def offer(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return its margins.

        A margin of NaN is the worst of all: the network does not answer there.
        """
        margins = self.network.margins(self.X + delta, self.y)
        self._take(delta, margins)
        return margins

    def offer_for_gradient(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return the margins' gradient there."""
        X = self.X + delta
        if hasattr(self.network, "margins_and_gradient"):  # one forward pass instead of two
            margins, gradient = self.network.margins_and_gradient(X, self.y)
        else:
            margins = self.network.margins(X, self.y)
            gradient = self.network.margin_gradient(X, self.y)
        self._take(delta, margins)
        return gradient

    def _take(self, delta: np.ndarray, margins: np.ndarray) -> None:
        worse = (margins < self.margins) | np.isnan(margins)
        self.margins[worse] = margins[worse]
        self.delta[worse] = delta[worse]


@dataclass(frozen=True)
class WorstCase:
    """What several attacks together found, sample by sample.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        Smallest margin over the clean input and all attacks.
    delta : ndarray, shape of X
        The perturbation that gave it (zero where no attack beat the clean input).
    margins_of : dict of str to ndarray, shape (n,)
        Margin under each attack alone, re-scored; "clean" is the input itself.
    zero_gradients : dict of str to int
        Samples at which each attack saw a zero gradient.
    """

    margins: np.ndarray
    delta: np.ndarray
    margins_of: dict[str, np.ndarray]
    zero_gradients: dict[str, int] = field(default_factory=dict)

    def accuracy(self, name: str | None = None) -> float:
        """Share of samples still right under attack ``name``, or under the worst of all."""
        margins = self.margins if name is None else self.margins_of[name]
        return float(np.mean(margins > 0.0))


def worst_case(network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
               attacks: Mapping[str, Attack], rng: np.random.Generator,
               chunk: int = 1000) -> WorstCase:
    """Run every attack, project and re-score its result, and keep the worst per sample.

    Parameters
    ----------
    network : Network
    X : ndarray, shape (n, ...)
    y : ndarray, shape (n,)
    ball : Ball
    attacks : mapping of str to Attack
        Run in order; "clean" is a reserved name.
    rng : Generator
    chunk : int
        Rows attacked together. Part of a run's config: the last bit of a matrix product
        depends on how many rows it has.

    Returns
    -------
    WorstCase
    """
    require_int("chunk", chunk, low=1)
    X = require_array("X", X, (None,) * np.ndim(X))
    y = require_array("y", y, (len(X),), why="one label per sample", dtype=X.dtype)
    if "clean" in attacks:
        raise ValueError('attacks: expected other names, got "clean": it names the input itself')
    if len(X) == 0:
        raise ValueError("X: expected at least one sample, got none")
    pieces = [_worst_of_chunk(network, X[rows:rows + chunk], y[rows:rows + chunk], ball,
                              attacks, rng) for rows in range(0, len(X), chunk)]
    return WorstCase(
        margins=np.concatenate([piece.margins for piece in pieces]),
        delta=np.concatenate([piece.delta for piece in pieces]),
        margins_of={name: np.concatenate([piece.margins_of[name] for piece in pieces])
                    for name in pieces[0].margins_of},
        zero_gradients={name: sum(piece.zero_gradients[name] for piece in pieces)
                        for name in attacks})


def _worst_of_chunk(network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                    attacks: Mapping[str, Attack], rng: np.random.Generator) -> WorstCase:
    best = BestFound(network, X, y)
    margins_of = {"clean": best.margins.copy()}
    zero_gradients = {}
    for name, attack in attacks.items():
        found = attack.perturb(network, X, y, ball, rng)
        delta = require_array(f"perturbation of {name}", found.delta, X.shape, dtype=X.dtype)
        finite = np.isfinite(delta.reshape(len(X), -1)).all(axis=1)
        if not finite.all():  # nothing infinite lies in a ball, nor has a projection
            delta = np.where(finite.reshape((-1,) + (1,) * (X.ndim - 1)), delta, 0.0)
        margins_of[name] = best.offer(ball.project(delta))
        zero_gradients[name] = found.zero_gradients
    return WorstCase(best.margins, best.delta, margins_of, zero_gradients)


def _against(direction: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return ``-y_n v`` for each sample, shape of X."""
    direction = require_array("direction", direction, X.shape[1:], why="the shape of one input",
                              dtype=X.dtype)
    return -y.reshape((-1,) + (1,) * direction.ndim) * direction


def zero_rows(gradient: np.ndarray) -> int:
    """Return for how many samples the gradient is exactly zero."""
    return int(np.count_nonzero(~gradient.reshape(len(gradient), -1).any(axis=1)))
