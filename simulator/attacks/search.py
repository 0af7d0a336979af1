"""Searches beside the gradient: random points, and few features.

    RandomSearch    margins only, no gradient (a check for masked gradients)
    FeatureGreedy   puts the whole budget on a few dictionary features, chosen one by one: the
                    natural adversary of a purified network, which leaves nothing else to attack

The sharpest of all are the minimisers of a certificate's relaxation
(:mod:`simulator.certificates.branch_and_bound`); :func:`simulator.robustness.bracket.bracket`
uses all of them.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from simulator.attacks.described import described
from simulator.attacks.few_features import FewFeatures, can_move_features
from simulator.attacks.worst_case import BestFound
from simulator.checks import require_array, require_int
from simulator.protocols import Ball, Network, Perturbation
from simulator.randomness import Rng, require_generator

__all__ = ["FeatureGreedy", "RandomSearch"]


@dataclass(frozen=True)
class RandomSearch:
    """Accept-if-better random steps: sees margins, never a gradient.

    Half of the trials are fresh points of the sphere; the others move the best point by a
    random step whose length shrinks from the radius to a tenth of it.

    Attributes
    ----------
    trials : int
    until_broken : bool
        Stop at a sample once its margin is no longer positive: all that an accuracy asks.
    """

    trials: int = 40
    until_broken: bool = field(default=False, repr=False)

    thorough: ClassVar[str] = "from the top"  # see breaking_points

    def __post_init__(self) -> None:
        require_int("trials", self.trials, low=1)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng) -> Perturbation:
        """Return the best of ``trials`` random points."""
        rng = require_generator("rng", rng)
        best = BestFound(network, X, y, self.until_broken)
        for trial in range(self.trials):
            best.left()
            if len(best.X) == 0:
                break
            move = ball.draw(rng, best.X.shape, best.X.dtype)
            if trial % 2:
                length = 10.0 ** (-trial / self.trials)
                move = ball.project(best.delta[best.rows] + length * move)
            best.offer(move)
        return Perturbation(best.delta, 0)


@dataclass(frozen=True, repr=False, eq=False)
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
    until_broken : bool
        Stop at a sample once its margin is no longer positive: all that an accuracy asks.

    Notes
    -----
    For the plain symmetric network, in a ball that is the same in dictionary coordinates, no
    input is moved and no matrix multiplied: :class:`~simulator.attacks.few_features.FewFeatures`
    moves the pre-activations. Elsewhere every trial is a forward pass.
    """

    dictionary: np.ndarray | None = None
    features: int = 6
    candidates: int = 8
    descents: int = 4
    until_broken: bool = field(default=False, repr=False)

    thorough: ClassVar[bool] = True  # see breaking_points

    __repr__ = described

    def __post_init__(self) -> None:
        require_int("features", self.features, low=1)
        require_int("candidates", self.candidates, low=1)
        require_int("descents", self.descents, low=0)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the best perturbation of few features; ``rng`` is not used."""
        best = BestFound(network, X, y, self.until_broken)
        d = best.X.shape[1]
        M = (None if self.dictionary is None
             else require_array("dictionary", self.dictionary, (d, d), dtype=best.X.dtype))
        if can_move_features(network, M, ball):
            self._in_features(best, M, ball)
        else:
            self._in_inputs(best, np.eye(d, dtype=best.X.dtype) if M is None else M, ball)
        return Perturbation(best.delta, 0)

    def _in_features(self, best: BestFound, M: np.ndarray | None, ball: Ball) -> None:
        """The search on pre-activations; the best point of each sample is offered at its end."""
        best.left()
        most = min(self.features, best.X.shape[1])
        moved = FewFeatures(best, M, ball, most)
        up, down = moved.alone()
        signs = np.where(down < up, -1.0, 1.0).astype(best.X.dtype)
        order = np.argsort(np.minimum(up, down), axis=1, kind="stable")[:, :self.candidates]
        signs = np.take_along_axis(signs, order, axis=1)
        for count in range(most):
            if self.until_broken:
                order, signs = moved.left(order, signs)
            if count == 0:
                moved.choose(0, order[:, 0], signs[:, 0])
            else:
                self._add_feature(moved, order, signs, count, ball)
            towards = moved.values
            for _ in range(self.descents):
                slopes = moved.offer_for_slopes(ball.steepest(towards))
                towards = -np.where(moved.values != 0.0, slopes, 0.0)
            moved.offer(ball.steepest(towards))
        best.offer(ball.project(moved.perturbations()))

    @staticmethod
    def _add_feature(moved: FewFeatures, order: np.ndarray, signs: np.ndarray, count: int,
                     ball: Ball) -> None:
        """Choose the candidate that lowers the margin most, beside the first ``count``."""
        least = np.full(len(order), np.inf)
        columns, values = np.zeros(len(order), np.int64), np.zeros(len(order), signs.dtype)
        for candidate, sign in zip(order.T, signs.T):
            is_new = ~moved.has(candidate, count)
            moved.choose(count, candidate, np.where(is_new, sign, 0.0))
            margins = moved.offer(ball.steepest(moved.values))
            better = is_new & (margins < least)
            least[better] = margins[better]
            columns[better], values[better] = candidate[better], sign[better]
        moved.choose(count, columns, values)

    def _in_inputs(self, best: BestFound, M: np.ndarray, ball: Ball) -> None:
        """The search by forward passes."""
        n, d = best.X.shape
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
            gradient = best.offer_for_gradient(ball.project(ball.steepest(towards)))
            towards = -np.where(support, gradient @ M, 0.0) @ M.T
        best.offer(ball.project(ball.steepest(towards)))
