"""Attacks that search another network than the one they are asked about.

    ThroughSmoothedGates   searches a linearised network through smoothed gates: its true
                           gradient does not see that the output jumps where a gate opens
    InSpan                 searches an equal network in coordinates of the span of its weights
    Borrowed               the perturbations of another network: do they transfer?
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.worst_case import BestFound
from simulator.balls import LinfBall
from simulator.checks import require_real
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, Span
from simulator.protocols import Attack, Ball, Network, Perturbation
from simulator.randomness import Rng, require_generator

__all__ = ["Borrowed", "InSpan", "ThroughSmoothedGates", "require_reads_patches", "span_in"]


@dataclass(frozen=True)
class ThroughSmoothedGates:
    """An attack that also searches linearised networks through smoothed gates.

    It keeps, per sample, what is worst for the true network. Any other network it attacks
    plainly.

    Attributes
    ----------
    attack : Attack
        How each of the networks is searched.
    widths : tuple of float
        Half-widths of the smoothed gates as multiples of the bias; 0 is the true network.
    """

    attack: Attack
    widths: tuple[float, ...] = (0.0, 0.5, 1.0)

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("widths: expected at least one, got none")
        for width in self.widths:
            require_real("widths", width, low=0.0)

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng) -> Perturbation:
        """Return the perturbation with the smallest true margin over all widths."""
        rng = require_generator("rng", rng)  # one for all widths
        if not isinstance(network, LinearizedReLU):
            return self.attack.perturb(network, X, y, ball, rng)
        best = BestFound(network, X, y)
        blind = []
        for width in self.widths:
            seen = network.smoothed(width * network.bias)
            result = self.attack.perturb(seen, best.X, best.y, ball, rng)
            best.offer(ball.project(result.delta))
            blind.append(result.zero_gradients)
        return Perturbation(best.delta, min(blind))


@dataclass(frozen=True)
class InSpan:
    """Another attack, carried out in coordinates of the span of the weights.

    Attributes
    ----------
    attack : Attack
        Sees an equal network with at most K m coordinates a patch. What it finds is the same;
        random points are uniform on the sphere within the span, where alone they matter. In an
        l_inf ball it sees the network as it is.
    """

    attack: Attack

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng) -> Perturbation:
        """Return what the attack finds, in the coordinates of X."""
        basis, inside = span_in(require_reads_patches(network), ball)
        result = self.attack.perturb(inside, X @ basis.T, y, ball,
                                     require_generator("rng", rng))
        return Perturbation(result.delta @ basis, result.zero_gradients)


@dataclass(frozen=True)
class Borrowed:
    """An attack on another network than the one that is asked about.

    Attributes
    ----------
    attack : Attack
    source : Network
    """

    attack: Attack
    source: Network

    def perturb(self, network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
                rng: Rng) -> Perturbation:
        """Return the perturbation of the source; ``network`` is not used."""
        return self.attack.perturb(self.source, X, y, ball, require_generator("rng", rng))


def span_in(network: SmoothedReLUCNN, ball: Ball) -> Span:
    """Return the network in the span of its weights; in its own coordinates for an l_inf ball.

    Parameters
    ----------
    network : SmoothedReLUCNN
    ball : Ball
        One of l2 looks the same in every orthonormal system, a cube in its own only.
    """
    if isinstance(ball, LinfBall):
        d = network.weights.shape[2]
        return Span(np.eye(d, dtype=network.weights.dtype), network)
    return network.in_span()


def require_reads_patches(network: Network) -> SmoothedReLUCNN:
    """Return the network if it is a SmoothedReLUCNN, or raise TypeError."""
    if not isinstance(network, SmoothedReLUCNN):
        raise TypeError(f"network: expected a SmoothedReLUCNN, got a {type(network).__name__}: "
                        "the attack works in the span of its weights")
    return network
