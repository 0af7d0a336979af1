"""The linear bound: lines under the soft threshold, with optimised slopes (CROWN).

For any slopes a_i, ``S_b(t_i + s) >= a_i s + intercept_i(a_i)`` on ``|s| <= r ||w_i||_*``, so

    y f  >=  sum_i intercept_i(a_i) - r ||sum_i a_i w_i||_*,

concave in a. It is the dual of :mod:`simulator.certificates.relaxation` without curvatures, for all
samples together: the cheapest of the bounds.
"""

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.dual_ascent import ascend, cosine
from simulator.certificates.inputs import SignedInputs, grain, require_ball, signed_inputs
from simulator.certificates.relaxation import tight_lines
from simulator.checks import require_int, require_real
from simulator.heartbeat import beat
from simulator.networks.symmetric_relu import SymmetricReLU, soft_threshold
from simulator.protocols import Batch

__all__ = ["linear_bounds", "linear_relaxation"]


def linear_relaxation(network: SymmetricReLU, batch: Batch, ball: L2Ball | LinfBall, *,
                      steps: int = 100, rate: float = 0.1) -> np.ndarray:
    """Bound every margin by lines under S_b with optimised slopes, all samples together.

    Parameters
    ----------
    network, batch, ball
        As in :func:`~simulator.certificates.margins.certify`.
    steps : int
        Steps of ascent in the slopes, which start as the chords of the intervals.
    rate : float
        Step length of Adam, falling to zero like a cosine.

    Returns
    -------
    ndarray, shape (n,)
    """
    require_int("steps", steps, low=1)
    require_real("rate", rate, low=0.0, open_low=True)
    inputs = signed_inputs(network, batch, require_ball(ball))
    return linear_bounds(inputs, steps, rate)[0] * inputs.unit


def linear_bounds(inputs: SignedInputs, steps: int = 100,
                  rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`linear_relaxation` of inputs that are checked, and its slopes.

    Returns
    -------
    bounds : ndarray, shape (n,)
        In units of the inputs.
    slopes : ndarray, shape (n, m)
    """
    b, ball, T = inputs.bias, inputs.ball, inputs.T
    every_reach = ball.radius * ball.dual_norm(inputs.W)
    alive = np.flatnonzero((np.abs(T) + every_reach > b).any(axis=0))
    W, T, reach = inputs.W[alive], np.ascontiguousarray(T[:, alive]), every_reach[alive]
    width = np.where(reach > 0.0, reach, 1.0)
    slopes = (soft_threshold(T + reach, b) - soft_threshold(T - reach, b)) / (2.0 * width)
    moments = np.zeros((2, slopes.size))
    best, best_slopes = np.full(len(T), -np.inf), np.zeros_like(inputs.T)
    for step in range(steps):
        beat()
        mixed = slopes @ W
        intercepts, touching = tight_lines(T, slopes, reach, b)
        bounds = intercepts.sum(axis=1) - ball.radius * ball.dual_norm(mixed)
        better = bounds > best
        best[better], best_slopes[np.ix_(better, alive)] = bounds[better], slopes[better]
        gradient = (ball.steepest(-mixed) @ W.T - touching) / width
        ascend(slopes.reshape(-1), gradient.reshape(-1), moments, step,
               cosine(rate, step, steps))
        np.clip(slopes, 0.0, 1.0, out=slopes)
    m, d = inputs.W.shape
    sizes = np.abs(inputs.T).sum(axis=1) + m * b + 2.0 * every_reach.sum()
    return best - inputs.doubt - grain(m, d) * sizes, best_slopes
