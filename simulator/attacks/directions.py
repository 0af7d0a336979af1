"""Attacks along directions known beforehand: they never look at the input.

    Universal        delta = the steepest perturbation along -y v, v fixed, such as the dense
                     direction v = M w* of Allen-Zhu & Li (arXiv 2005.10190)
    EraseAndWrite    delta[p] = -beta_p v_y + eps v_t in the non-robust patches, the perturbation of
                     Li & Li (arXiv 2410.08503): the feature of the class is erased, that of
                     another one written
    FixedDirections  delta[p] = eps (f_j - f_y) / sqrt 2 in every patch, f the features of the
                     classes of Li & Li (arXiv 2410.08503)
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.described import described
from simulator.attacks.worst_case import BestFound, against
from simulator.networks.smoothed_relu_cnn import require_classes
from simulator.protocols import Ball, Network, Perturbation
from simulator.randomness import Rng

__all__ = ["EraseAndWrite", "FixedDirections", "Universal"]


@dataclass(frozen=True, repr=False, eq=False)
class Universal:
    """One input-independent direction, with the sign of the label.

    Attributes
    ----------
    direction : ndarray, shape (d,)
        v, any length; the attack of the paper takes the dense direction ``M w*``.
    """

    direction: np.ndarray

    __repr__ = described

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the steepest perturbation along ``-y v``; network and rng are not used."""
        return Perturbation(ball.steepest(against(self.direction, X, y)), 0)


@dataclass(frozen=True, repr=False, eq=False)
class FixedDirections:
    """The features of two classes swapped: ``f_j - f_y`` in every patch, for the worst j.

    Attributes
    ----------
    features : ndarray, shape (K, d)
        One a class: u or v.
    """

    features: np.ndarray

    __repr__ = described

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the worst over the wrong classes j; gradients and rng are not used."""
        best = BestFound(network, X, y)
        own = require_classes("y", y, len(best.X), len(self.features))
        for turn in range(1, len(self.features)):
            other = (own + turn) % len(self.features)
            direction = (self.features[other] - self.features[own])[:, None, :]
            best.offer(ball.steepest(np.broadcast_to(direction, best.X.shape)))
        return Perturbation(best.delta, 0)


@dataclass(frozen=True, repr=False, eq=False)
class EraseAndWrite:
    """``delta[p] = -beta_p v_y + radius v_t`` in the non-robust patches, for the worst t.

    The perturbation under which standard training is said to fail (Li & Li, arXiv 2410.08503, as a
    review of it quotes it). With features along the axes it lies in the l_inf ball of this radius
    if ``beta_p`` is no larger; in no l2 ball of this radius: its length is
    ``sqrt(beta_p^2 + radius^2)``.

    Attributes
    ----------
    features : ndarray, shape (K, d)
        v, one a class.
    strengths : ndarray, shape (J_NR,)
        beta_p of the non-robust patches, which are the last ones.
    """

    features: np.ndarray
    strengths: np.ndarray

    __repr__ = described

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng | None = None) -> Perturbation:
        """Return the worst over the classes t; gradients and rng are not used.

        Not cut to the ball: whoever asks does that, or does not.
        """
        best = BestFound(network, X, y)
        own = require_classes("y", y, len(best.X), len(self.features))
        first = best.X.shape[1] - len(self.strengths)
        for turn in range(1, len(self.features)):
            written = ball.radius * self.features[(own + turn) % len(self.features)]
            delta = np.zeros_like(best.X)
            delta[:, first:] = (written[:, None, :]
                                - self.strengths[:, None] * self.features[own][:, None, :])
            best.offer(delta)
        return Perturbation(best.delta, 0)
