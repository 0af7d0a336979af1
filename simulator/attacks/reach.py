"""Leave out the neurons that no perturbation of a ball can wake, once for a whole measurement.

Training must ask at every step which neurons have an open gate. An evaluation attacks the same
samples of the same network thousands of times: what is idle on all of them stays idle.
"""

from typing import Any

import numpy as np

from simulator.checks import require_array
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Ball

__all__ = ["within_reach"]

ROWS = 2048  # neurons whose products are held at once
ROUNDING = 1e-5  # far above that of a product of some thousand terms in float32


def within_reach(network: Any, X: np.ndarray, ball: Ball) -> Any:
    """Return a network that is equal on the balls around X, but for the rounding of its sums.

    Left out is every neuron whose gate stays closed there: ``|<w_i, x_n>| + max_ball <w_i, delta>
    <= b`` for all n, with room for rounding.

    Parameters
    ----------
    network : Network
        Any but a plain :class:`SymmetricReLU` is returned as it is.
    X : ndarray, shape (n, d)
    ball : Ball

    Returns
    -------
    Network
        With rows of its own: it does not follow a training of the other.
    """
    if not isinstance(network, SymmetricReLU) or network.smoothing > 0.0:
        return network
    W = network.weights
    X = require_array("X", X, (None, W.shape[1]), dtype=W.dtype)
    lengths = np.linalg.norm(X, axis=1).max(initial=0.0)
    keep = np.zeros(len(W), bool)
    for first in range(0, len(W), ROWS):
        beat()
        block = W[first:first + ROWS]
        largest = np.abs(X @ block.T).max(axis=0, initial=0.0)
        room = ROUNDING * lengths * np.linalg.norm(block, axis=1)
        moved = np.einsum("ij,ij->i", block, ball.steepest(block))
        reach = largest + room + (1.0 + ROUNDING) * moved
        keep[first:first + ROWS] = ~(reach <= network.bias * (1.0 - ROUNDING))  # NaN reaches
    if not keep.any():
        keep[:1] = True  # a network has a neuron at least
    return SymmetricReLU(W[keep], network.bias, screening=network.screening)
