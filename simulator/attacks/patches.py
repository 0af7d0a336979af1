"""The worst perturbation of patches, each with a budget of its own, patch by patch.

The outputs of the patch network are sums over patches, ``F_i(X) = sum_p A_i(X[p])`` (Li & Li,
arXiv 2410.08503). So with a target class j the worst case falls apart,

    min_delta F_y - F_j = sum_p min_{||delta_p|| <= eps} A_y(X[p] + delta_p) - A_j(X[p] + delta_p),

and the best mixture of any candidates is found patch by patch: that of a product of sets.
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.described import described
from simulator.attacks.gradient import descend
from simulator.attacks.through import require_reads_patches, span_in
from simulator.checks import require_array, require_int
from simulator.heartbeat import beat
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, require_classes
from simulator.protocols import Ball, Network, Perturbation
from simulator.randomness import Rng, require_generator

__all__ = ["PatchSearch", "directions_of"]


@dataclass(frozen=True, repr=False, eq=False)
class PatchSearch:
    """For each wrong class, every patch takes the worst perturbation met for it.

    Candidates: each feature, sum and difference of two, forwards and backwards; every neuron of
    the wrong class, and against every neuron of the right one. Each is projected onto the span
    of the weights (in an l_inf ball: left as it is) and taken at full length. Then projected
    gradient descent from the best of them and from random starts.

    Attributes
    ----------
    features : ndarray, shape (F, d), or None
        Directions to try and to combine, such as u and v of all classes.
    neurons : bool
        Try the directions of the neurons.
    steps : int
        Gradient steps from each start, of size 2.5 radius / steps; 0 only mixes candidates.
    restarts : int
        Random starts.
    """

    features: np.ndarray | None = None
    neurons: bool = True
    steps: int = 20
    restarts: int = 2

    __repr__ = described

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=0)
        require_int("restarts", self.restarts, low=0)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng) -> Perturbation:
        """Return the perturbation of the most dangerous wrong class."""
        rng = require_generator("rng", rng)
        basis, inside = span_in(require_reads_patches(network), ball)
        X = require_array("X", X, (None, None, basis.shape[1]), dtype=basis.dtype) @ basis.T
        own = require_classes("y", y, len(X), inside.classes)
        features = np.empty((0, X.shape[2])) if self.features is None else require_array(
            "features", self.features, (None, basis.shape[1])) @ basis.T
        least = np.full(len(X), np.inf)
        delta = np.zeros_like(X)
        for turn in range(1, inside.classes):
            target = _Target(inside, X, own, (own + turn) % inside.classes, ball)
            self._search(target, features, rng)
            margins = target.least.sum(axis=1)
            worse = margins < least
            least[worse], delta[worse] = margins[worse], target.delta[worse]
        return Perturbation(delta @ basis, 0)

    def _search(self, target: "_Target", features: np.ndarray, rng: np.random.Generator) -> None:
        for direction in directions_of(features):
            for side in (direction, -direction):
                target.offer_direction(np.broadcast_to(side, target.delta[:, 0].shape))
        if self.neurons:
            W = target.network.weights
            for r in range(W.shape[1]):
                target.offer_direction(W[target.other, r])
                target.offer_direction(-W[target.own, r])
        if self.steps:
            descend(target, target.delta.copy(), target.ball, self.steps)
            for _ in range(self.restarts):
                start = target.ball.draw(rng, target.X.shape, target.X.dtype)
                descend(target, start, target.ball, self.steps)


def directions_of(features: np.ndarray) -> np.ndarray:
    """Return each feature, and difference and sum of every two, shape (F^2, d).

    Parameters
    ----------
    features : ndarray, shape (F, d)
    """
    rows = list(features)
    for a, f in enumerate(features):
        for g in features[:a]:
            rows += [f - g, f + g]
    return np.reshape(rows, (-1, features.shape[1]))


class _Target:
    """The perturbation with the smallest ``A_y - A_j`` met so far in each patch."""

    def __init__(self, network: SmoothedReLUCNN, X: np.ndarray, own: np.ndarray,
                 other: np.ndarray, ball: Ball) -> None:
        self.network, self.X, self.own, self.other, self.ball = network, X, own, other, ball
        self.rows = np.arange(len(X))
        self.scale = np.zeros((len(X), network.classes), X.dtype)
        self.scale[self.rows, own] = 1.0
        self.scale[self.rows, other] = -1.0
        self.delta = np.zeros_like(X)
        self.least = self._difference(network.patch_outputs(X))

    def offer_direction(self, directions: np.ndarray) -> None:
        """Try a direction of each sample, shape (n, r), at full length in all its patches."""
        unit = self.ball.steepest(directions[:, None, :])
        self.offer(np.broadcast_to(unit, self.X.shape))

    def offer(self, delta: np.ndarray) -> None:
        """Take the perturbation in every patch where it is worse."""
        beat()
        self._take(delta, self._difference(self.network.patch_outputs(self.X + delta)))

    def offer_for_gradient(self, delta: np.ndarray) -> np.ndarray:
        """Take the perturbation where it is worse; return the gradient of ``A_y - A_j``."""
        beat()
        A, gradient = self.network.patch_outputs_and_gradient(self.X + delta, self.scale)
        self._take(delta, self._difference(A))
        return gradient

    def left(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Search all samples to the end: a patch alone does not break one."""
        return arrays

    def _difference(self, A: np.ndarray) -> np.ndarray:
        difference: np.ndarray = A[self.rows, :, self.own] - A[self.rows, :, self.other]
        return difference

    def _take(self, delta: np.ndarray, values: np.ndarray) -> None:
        worse = values < self.least
        self.least[worse] = values[worse]
        self.delta[worse] = delta[worse]
