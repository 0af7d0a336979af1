"""Stronger attacks, for where "attacked accuracy" should be close to the truth.

    AdaptivePGD     momentum and a step that halves where it stops helping, per sample
                    (in the spirit of APGD, Croce & Hein, arXiv 2003.01690), on the margin
    FeatureGreedy   puts the whole budget on a few dictionary features, chosen one by one: the
                    natural adversary of a purified network, which leaves nothing else to attack

The sharpest of all are the minimisers of a certificate's relaxation
(:mod:`simulator.certificates.branch_and_bound`); :func:`simulator.robustness.accuracy.bracket` uses all of them.
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.gradient import (PGD, BestFound, RandomSearch, require_starts,
                                        starting_points, zero_rows)
from simulator.checks import require_array, require_int
from simulator.protocols import Attack, Ball, Network, Perturbation

__all__ = ["AdaptivePGD", "FeatureGreedy", "strong_attacks"]

MOMENTUM = 0.75  # weight of the new step against the last move
PROGRESS = 0.75  # share of steps since the last check that must have helped


@dataclass(frozen=True)
class AdaptivePGD:
    """Projected gradient descent on the margin with a step of its own for each sample.

    The step starts at twice the radius. At growing intervals a sample whose margin fell in
    fewer than 3/4 of the steps, or that found nothing better at the same step size, halves its
    step and goes back to its best point.

    Attributes
    ----------
    steps : int
        Gradient steps for each start.
    starts : tuple of "zero", "random", "universal"
    restarts : int
        How many random starts "random" stands for.
    direction : ndarray, shape (d,), or None
        Direction of the universal start.
    """

    steps: int = 100
    starts: tuple[str, ...] = ("zero", "random")
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

    def _search(self, best: BestFound, delta: np.ndarray, ball: Ball) -> int:
        shape = (-1,) + (1,) * (best.X.ndim - 1)
        checks = _checkpoints(self.steps)
        size = np.full(len(best.X), 2.0, best.X.dtype)
        own = BestFound(best.network, best.X, best.y)  # of this start alone
        last = own.offer(delta)
        move = np.zeros_like(delta)
        helped = np.zeros(len(best.X))
        at_check, resized, before, blind = own.margins.copy(), np.ones(len(size), bool), 0, 0
        for step in range(self.steps):
            gradient = best.network.margin_gradient(best.X + delta, best.y)
            if step == 0:
                blind = zero_rows(gradient)
            ahead = ball.project(delta + size.reshape(shape) * ball.steepest(-gradient))
            weight = MOMENTUM if step else 1.0
            moved = ball.project(delta + weight * (ahead - delta) + (1.0 - weight) * move)
            move, delta = moved - delta, moved
            margins = own.offer(delta)
            helped += margins < last
            last = margins
            if step + 1 in checks:
                stalled = (helped < PROGRESS * (step + 1 - before)) | (
                    ~resized & (own.margins >= at_check))
                size[stalled] *= 0.5
                delta[stalled], last[stalled] = own.delta[stalled], own.margins[stalled]
                move[stalled] = 0.0
                at_check, resized, before = own.margins.copy(), stalled, step + 1
                helped[:] = 0.0
        best.offer(own.delta)
        return blind


def _checkpoints(steps: int) -> set[int]:
    """Steps at which progress is judged: intervals that shrink from 22 % to 6 % of all."""
    found, share, width = set(), 0.0, 0.22
    while share < 1.0:
        share += width
        found.add(int(np.ceil(share * steps)))
        width = max(width - 0.03, 0.06)
    return found


@dataclass(frozen=True)
class FeatureGreedy:
    """Greedy over dictionary features, the budget shared by few of them.

    First every feature alone gets the whole budget, with either sign. From the ``candidates``
    that lower the margin most, features are added one at a time, each time the one that lowers
    it most; after each the weights on the chosen features follow the gradient.

    Attributes
    ----------
    dictionary : ndarray, shape (d, d), or None
        Features in its columns; None is the identity.
    features : int
        Most features to perturb.
    candidates : int
        Features tried at each addition.
    descents : int
        Steepest steps within the chosen features.
    """

    dictionary: np.ndarray | None = None
    features: int = 4
    candidates: int = 12
    descents: int = 4

    def __post_init__(self) -> None:
        require_int("features", self.features, low=1)
        require_int("candidates", self.candidates, low=1)
        require_int("descents", self.descents, low=0)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the best perturbation of few features; ``rng`` is not used."""
        best = BestFound(network, X, y)
        n, d = best.X.shape
        M = (np.eye(d) if self.dictionary is None
             else require_array("dictionary", self.dictionary, (d, d))).astype(best.X.dtype)
        order, signs = self._alone(best, M, ball)
        rows = np.arange(n)
        chosen = np.zeros((n, d), best.X.dtype)  # signed, in dictionary coordinates
        for count in range(min(self.features, d)):
            if count == 0:
                chosen[rows, order[:, 0]] = signs[rows, order[:, 0]]
            else:
                least = np.full(n, np.inf)
                pick = np.full(n, -1)
                for candidate in order.T:
                    trial = chosen.copy()
                    trial[rows, candidate] = signs[rows, candidate]
                    margins = best.offer(ball.project(ball.steepest(trial @ M.T)))
                    new = (chosen[rows, candidate] == 0.0) & (margins < least)
                    least[new], pick[new] = margins[new], candidate[new]
                grown = pick >= 0
                chosen[rows[grown], pick[grown]] = signs[rows[grown], pick[grown]]
            self._descend(best, chosen != 0.0, chosen @ M.T, M, ball)
        return Perturbation(best.delta, 0)

    def _alone(self, best: BestFound, M: np.ndarray,
               ball: Ball) -> tuple[np.ndarray, np.ndarray]:
        """Features by the fall they cause alone, (n, candidates), and their signs (n, d)."""
        n, d = best.X.shape
        falls, signs = np.empty((n, d)), np.ones((n, d), best.X.dtype)
        for j in range(d):
            line = np.broadcast_to(M[:, j], best.X.shape)
            up, down = (best.offer(ball.project(ball.steepest(sign * line)))
                        for sign in (1.0, -1.0))
            signs[down < up, j] = -1.0
            falls[:, j] = np.minimum(up, down)
        return np.argsort(falls, axis=1, kind="stable")[:, :self.candidates], signs

    def _descend(self, best: BestFound, support: np.ndarray, towards: np.ndarray, M: np.ndarray,
                 ball: Ball) -> None:
        for _ in range(self.descents):
            delta = ball.project(ball.steepest(towards))
            best.offer(delta)
            gradient = best.network.margin_gradient(best.X + delta, best.y)
            towards = -np.where(support, gradient @ M, 0.0) @ M.T
        best.offer(ball.project(ball.steepest(towards)))


def strong_attacks(direction: np.ndarray, dictionary: np.ndarray | None = None,
                   steps: int = 100, restarts: int = 2) -> dict[str, Attack]:
    """Return the attacks for the samples that the standard ones did not break.

    Parameters
    ----------
    direction : ndarray, shape (d,)
        The universal direction ``M w*``.
    dictionary : ndarray, shape (d, d), or None
        None is the identity.
    steps : int
        Steps for each start of the two gradient attacks.
    restarts : int
        Random starts of each.
    """
    starts = ("zero", "random", "universal")
    return {"pgd-long": PGD(steps, starts, restarts, direction),
            "adaptive": AdaptivePGD(steps, starts, restarts, direction),
            "features": FeatureGreedy(dictionary), "random-long": RandomSearch(4 * steps)}
