"""The one gradient-descent loop: clean training, and adversarial training with an attack.

    W <- W - eta grad_W L(x + delta(x, y; W), y),    delta = 0 in clean training.

Adversarial training starts from the clean network and keeps its bias, as in Allen-Zhu & Li
(arXiv 2005.10190). Bias schedules are objects; the loop asks them before every step.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.checks import require_int, require_real
from simulator.errors import Diverged
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Ball, Batches, Network
from simulator.randomness import Role, stream

__all__ = ["BiasSchedule", "LinearThenConstant", "TrackingNorm", "train"]

BLOW_UP = 1e3  # a loss this many times the loss of a blind guess, log 2, will not come back


class BiasSchedule(Protocol):
    """The bias of the symmetric network as training goes on."""

    def bias(self, step: int, network: SymmetricReLU) -> float:
        """Return b for a step."""
        ...


@dataclass(frozen=True)
class LinearThenConstant:
    """``b(t) = min(start + slope t, maximum)``.

    The bias grows while the neurons that won the lottery grow, so that the others stay
    silent, and then stays (a reading of Allen-Zhu & Li, arXiv 2005.10190).
    """

    start: float
    slope: float
    maximum: float

    def __post_init__(self) -> None:
        for name in ("start", "slope", "maximum"):
            require_real(name, getattr(self, name), low=0.0)

    def bias(self, step: int, network: SymmetricReLU) -> float:
        """Return b(step)."""
        return min(self.start + self.slope * step, self.maximum)


@dataclass(frozen=True)
class TrackingNorm:
    """``b = scale sqrt(log d) mean_i ||w_i|| / sqrt(d)``: the noise level of an average neuron.

    The bias stays on the scale of ``<w_i, xi>`` for a dense xi of unit norm, so that many
    neurons keep firing and the dense parts dominate.
    """

    scale: float

    def __post_init__(self) -> None:
        require_real("scale", self.scale, low=0.0)

    def bias(self, step: int, network: SymmetricReLU) -> float:
        """Return b for the present weights."""
        W = network.weights
        d = W.shape[1]
        norms = np.sqrt(np.einsum("ij,ij->i", W, W))
        return float(self.scale * math.sqrt(math.log(d) / d) * norms.mean(dtype=np.float64))


def train(network: Network, batches: Batches, learning_rate: float, start: int, stop: int,
          weight_decay: float = 0.0, seed: int = 0, schedule: BiasSchedule | None = None,
          attack: Attack | None = None, ball: Ball | None = None,
          after_step: Callable[[int, float], None] | None = None) -> None:
    """Train ``network`` in place over the steps ``start <= step < stop``.

    Parameters
    ----------
    network : Network
    batches : Batches
        Source of the samples of each step.
    learning_rate : float
        eta.
    start, stop : int
        Steps are numbered over the whole run, so a resumed run continues the same streams.
    weight_decay : float
        lam.
    seed : int
        Seed of the attack's and the smoothing noise's streams.
    schedule : BiasSchedule or None
        Sets ``network.bias`` before each step and once after the last; None leaves it.
    attack, ball : Attack and Ball, or None
        Adversarial training; both or neither. The result is projected onto the ball.
    after_step : callable or None
        Called with (steps done, loss) after each step: recording, checkpoints, progress.

    Raises
    ------
    Diverged
        The loss of a step was NaN, infinite or absurdly large.
    """
    require_real("learning_rate", learning_rate, low=0.0, open_low=True)
    require_int("start", start, low=0)
    require_int("stop", stop, low=start)
    if (attack is None) != (ball is None):
        raise ValueError("attack, ball: expected both or neither: an attack searches a ball")
    for step in range(start, stop):
        if schedule is not None:
            network.bias = schedule.bias(step, network)  # type: ignore[attr-defined, arg-type]
        batch = batches.batch(step)
        X = batch.X
        if attack is not None and ball is not None:
            found = attack.perturb(network, X, batch.y, ball,
                                   stream(seed, Role.TRAINING_ATTACK, step))
            X = X + ball.project(found.delta)
        loss = network.gradient_step(X, batch.y, learning_rate, weight_decay,
                                     stream(seed, Role.SMOOTHING_NOISE, step))
        if not abs(loss) < BLOW_UP * math.log(2.0):  # written so that NaN stops it too
            raise Diverged(step, loss)
        if after_step is not None:
            after_step(step + 1, loss)
    if schedule is not None:
        network.bias = schedule.bias(stop, network)  # type: ignore[attr-defined, arg-type]
