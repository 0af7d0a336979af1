"""Is the attack blind, or the network robust? Warning signs of masked gradients.

An attack that follows gradients looks weak on a network whose gradients say nothing, and the
network then looks robust (Athalye, Carlini & Wagner, arXiv 1802.00420). Four signs:

    zero_gradients   raised if more than 1 % of the samples have a gradient of exactly zero.
                     Means: at these samples a gradient attack has not moved at all.
    gradient_free    raised if random search, which sees margins only, lets the margin of more
                     than 10 % of the samples fall a tenth further than the gradient attack does
                     from the input and from random starts.
                     Means: the gradients lead away from the weak spots.
    stalled          raised if for more than 20 % of the samples the last doubling of the steps
                     gained less than 1 % of the margin, at a point where the gradient still
                     promises to gain by going elsewhere in the ball (cosine below 1/2).
                     Means: the convergence curve is flat although the attack is not done:
                     steps do not bring what gradients promise.
    spread           raised if over random restarts the falls of the margin differ by more than
                     half of the best, on half of the samples.
                     Means: where the attack ends is luck, and more restarts would find more.

None of them proves anything; silence does not either. A certificate does.
"""

from dataclasses import dataclass

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.worst_case import require_adversary, require_samples
from simulator.checks import require_int, require_network
from simulator.protocols import Ball, Batch, Network

__all__ = ["MaskingSigns", "gradient_masking"]

LIMITS = {"zero_gradients": 0.01, "gradient_free": 0.10, "stalled": 0.20, "spread": 0.50}


@dataclass(frozen=True)
class MaskingSigns:
    """The signs as measured; all are over the samples that the network gets right.

    Attributes
    ----------
    zero_gradients : float
        Share of samples whose margin gradient is exactly zero.
    gradient_free : float
        Share of samples on which random search ends clearly below the gradient attack.
    stalled : float
        Share of samples on which more steps gain nothing short of a stationary point.
    spread : float
        Median over samples of (largest - smallest fall over restarts) / (largest fall).
    steps : tuple of int
    curve : tuple of float
        Convergence: mean margin after that many steps from the input.
    """

    zero_gradients: float
    gradient_free: float
    stalled: float
    spread: float
    steps: tuple[int, ...]
    curve: tuple[float, ...]

    @property
    def raised(self) -> tuple[str, ...]:
        """The signs above their limits; see the module for what they mean."""
        return tuple(name for name, limit in LIMITS.items() if getattr(self, name) > limit)


def gradient_masking(network: Network, batch: Batch, adversary: Adversary, *,
                     steps: tuple[int, ...] = (1, 5, 20, 40), restarts: int = 4) -> MaskingSigns:
    """Look for signs of masked gradients at one radius.

    Parameters
    ----------
    network : Network
    batch : Batch
    adversary : Adversary
        Its ball, of radius above 0, and its seed; the attacks here are gradient descent and
        random search whatever its own are. At a radius that breaks about half of the samples
        the signs say most.
    steps : tuple of int
        Ascending; the last two are compared for the sign "stalled".
    restarts : int
        Random starts for the sign "spread".

    Raises
    ------
    TypeError, ValueError
        No sample is classified rightly, the radius is 0, or no Adversary.
    """
    require_adversary(adversary)
    require_int("restarts", restarts, low=2)
    if len(steps) < 2 or list(steps) != sorted(set(steps)):
        raise ValueError(f"steps: expected at least two, ascending, got {steps}")
    ball = adversary.ball
    if ball.radius == 0.0:
        raise ValueError("ball: expected a radius above 0, got 0: nothing can be masked there")
    require_network(network)
    X, y = require_samples(batch)
    clean = network.margins(X, y)
    right = clean > 0.0
    if not right.any():
        raise ValueError("batch: expected samples that the network gets right, got none")
    X, y, clean = X[right], y[right], clean[right]

    def margins(attack: PGD | RandomSearch, key: int) -> tuple[np.ndarray, np.ndarray]:
        delta = ball.project(attack.perturb(network, X, y, ball, adversary.stream(key)).delta)
        return network.margins(X + delta, y), delta

    gradient = network.margin_gradient(X, y).reshape(len(X), -1)
    curve = [margins(PGD(count), 0) for count in steps]
    (earlier, _), (white_box, delta) = curve[-2:]
    random, _ = margins(RandomSearch(10 * steps[-1]), 0)
    ends = np.stack([margins(PGD(steps[-1], ("random",)), 1 + index)[0]
                     for index in range(restarts)])
    white = np.minimum(white_box, ends.min(axis=0))
    falls = np.maximum(clean - ends, 0.0)
    best = falls.max(axis=0)
    spread = np.divide(np.ptp(falls, axis=0), best, out=np.ones_like(best), where=best > 0.0)
    return MaskingSigns(
        zero_gradients=float(np.mean(~gradient.any(axis=1))),
        gradient_free=float(np.mean(clean - random > 1.1 * (clean - white) + 1e-9 * clean)),
        stalled=float(np.mean((earlier - white_box < 0.01 * clean)
                              & (_alignment(network, X, y, ball, delta) < 0.5))),
        spread=float(np.median(spread)), steps=tuple(steps),
        curve=tuple(float(reached.mean()) for reached, _ in curve))


def _alignment(network: Network, X: np.ndarray, y: np.ndarray, ball: Ball,
               delta: np.ndarray) -> np.ndarray:
    """How far ``delta`` goes along the gradient at its end, 1 where no step promises more."""
    downhill = -network.margin_gradient(X + delta, y)
    best = (downhill * ball.steepest(downhill)).reshape(len(X), -1).sum(axis=1)
    gained = (downhill * delta).reshape(len(X), -1).sum(axis=1)
    aligned: np.ndarray = np.divide(gained, best, out=np.zeros_like(best), where=best > 0.0)
    return aligned
