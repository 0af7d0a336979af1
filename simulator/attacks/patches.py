"""Attacks on networks that read patches: one-step ascent, feature directions, patch by patch.

    Ascent          delta = step * (-grad margin), cut to the ball: the gradient's own length
                    counts, as in the one-step adversarial training of Li & Li (arXiv 2410.08503)
    FixedDirections delta[p] = eps (f_j - f_y) / sqrt 2 in every patch: it never looks at X
    PatchSearch     every patch takes the worst perturbation found for it

The outputs are sums over patches, ``F_i(X) = sum_p A_i(X[p])``, and each patch has a budget of
its own. So with a target class j the worst case falls apart,

    min_delta F_y - F_j = sum_p min_{||delta_p|| <= eps} A_y(X[p] + delta_p) - A_j(X[p] + delta_p),

and the best mixture of any candidates is found patch by patch: that of a product of sets.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulator.attacks.gradient import BestFound, zero_rows
from simulator.checks import require_array, require_int, require_real
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, require_classes
from simulator.protocols import Attack, Ball, Network, Perturbation

__all__ = ["Ascent", "FixedDirections", "InSpan", "PatchSearch"]


@dataclass(frozen=True)
class Ascent:
    """One step of gradient ascent of a given size, projected.

    Attributes
    ----------
    step : float
        Factor of the gradient. While the weights are small so is the perturbation.
    """

    step: float

    def __post_init__(self) -> None:
        require_real("step", self.step, low=0.0, open_low=True)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return ``-step grad margin``, cut to the ball; ``rng`` is not used."""
        gradient = network.margin_gradient(X, y)
        return Perturbation(ball.project(-self.step * gradient), zero_rows(gradient))


@dataclass(frozen=True)
class InSpan:
    """Another attack, carried out in coordinates of the span of the weights.

    Attributes
    ----------
    attack : Attack
        Sees an equal network with at most K m coordinates a patch. What it finds is the same;
        random points are uniform on the sphere within the span, where alone they matter.
    """

    attack: Attack

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return what the attack finds, in the coordinates of X."""
        basis, inside = _reads_patches(network).in_span()
        found = self.attack.perturb(inside, X @ basis.T, y, ball, rng)
        return Perturbation(found.delta @ basis, found.zero_gradients)


@dataclass(frozen=True, eq=False)
class FixedDirections:
    """The features of two classes swapped: ``f_j - f_y`` in every patch, for the worst j.

    Attributes
    ----------
    features : ndarray, shape (K, d)
        One a class: u or v.
    """

    features: np.ndarray

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the worst over the wrong classes j; gradients and rng are not used."""
        best = BestFound(network, X, y)
        own = require_classes("y", y, len(best.X), len(self.features))
        for turn in range(1, len(self.features)):
            other = (own + turn) % len(self.features)
            direction = (self.features[other] - self.features[own])[:, None, :]
            best.offer(ball.steepest(np.broadcast_to(direction, best.X.shape)))
        return Perturbation(best.delta, 0)


@dataclass(frozen=True, eq=False)
class PatchSearch:
    """For each wrong class, every patch takes the worst perturbation met for it.

    Candidates: each feature, sum and difference of two, forwards and backwards; every neuron of
    the wrong class, and against every neuron of the right one. Each is projected onto the span
    of the weights and taken at full length. Then projected gradient descent from the best of
    them and from random starts.

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

    def __post_init__(self) -> None:
        require_int("steps", self.steps, low=0)
        require_int("restarts", self.restarts, low=0)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: np.random.Generator) -> Perturbation:
        """Return the perturbation of the most dangerous wrong class."""
        basis, inside = _reads_patches(network).in_span()
        X = require_array("X", X, (None, None, basis.shape[1]), dtype=basis.dtype) @ basis.T
        own = require_classes("y", y, len(X), inside.classes)
        features = np.empty((0, X.shape[2])) if self.features is None else require_array(
            "features", self.features, (None, basis.shape[1])) @ basis.T
        least = np.full(len(X), np.inf)
        delta = np.zeros_like(X)
        for turn in range(1, inside.classes):
            found = _Target(inside, X, own, (own + turn) % inside.classes, ball)
            self._search(found, features, rng)
            margins = found.least.sum(axis=1)
            worse = margins < least
            least[worse], delta[worse] = margins[worse], found.delta[worse]
        return Perturbation(delta @ basis, 0)

    def _search(self, found: "_Target", features: np.ndarray, rng: np.random.Generator) -> None:
        for direction in _pairs(features):
            found.offer_direction(np.broadcast_to(direction, found.delta[:, 0].shape))
        if self.neurons:
            W = found.network.weights
            for r in range(W.shape[1]):
                found.offer_direction(W[found.other, r])
                found.offer_direction(-W[found.own, r])
        if self.steps:
            found.descend(found.delta.copy(), self.steps)
            for _ in range(self.restarts):
                found.descend(found.ball.draw(rng, found.X.shape, found.X.dtype), self.steps)


def _reads_patches(network: Network) -> SmoothedReLUCNN:
    if not isinstance(network, SmoothedReLUCNN):
        raise TypeError(f"network: expected a SmoothedReLUCNN, got a {type(network).__name__}: "
                        "the attack works in the span of its weights")
    return network


def _pairs(features: np.ndarray) -> Iterator[np.ndarray]:
    """Each feature, each difference and each sum of two, with both signs."""
    for a, f in enumerate(features):
        yield f
        yield -f
        for g in features[:a]:
            yield f - g
            yield g - f
            yield f + g
            yield -f - g


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
        self._offer(np.broadcast_to(unit, self.X.shape))

    def descend(self, delta: np.ndarray, steps: int) -> None:
        """Walk down the gradient from ``delta``, every patch for itself."""
        for step in range(steps):
            A, gradient = self.network.patch_outputs_and_gradient(self.X + delta, self.scale)
            self._take(delta, self._difference(A))
            ahead = self.ball.steepest(-gradient)
            if step == 0:
                self._offer(ahead)
            delta = self.ball.project(delta + (2.5 / steps) * ahead)
        self._offer(delta)

    def _offer(self, delta: np.ndarray) -> None:
        self._take(delta, self._difference(self.network.patch_outputs(self.X + delta)))

    def _difference(self, A: np.ndarray) -> np.ndarray:
        return A[self.rows, :, self.own] - A[self.rows, :, self.other]

    def _take(self, delta: np.ndarray, values: np.ndarray) -> None:
        worse = values < self.least
        self.least[worse] = values[worse]
        self.delta[worse] = delta[worse]
