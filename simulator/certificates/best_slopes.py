"""The best slopes of an l_inf box: the linear relaxation solved to its end.

With a piecewise linear, convex floor under every S_b (the chord over the kink, S_b itself where
it is convex) the least margin of a box is a linear program, and the duals of ``s = W delta`` are
the slopes of the best linear bound. A floor has at most two segments; with ``s_i`` measured from
the lower end of its interval and M a price on leaving the interval,

    minimise   <linear, delta> + sum_i kappa_i p_i + q_i + M (over_i + under_i)

           delta     p      q     over   under
        [    W      -1     -1     -1      1   ]   =   low
        |delta_k| <= r,  0 <= p_i <= turn_i - low_i,  0 <= q_i <= high_i - turn_i

The price makes the program feasible whatever the box: where the box is empty, the duals are slopes
as large as M, on which the bound is as large as the box is empty. Nothing rests on the solver:
its slopes are but a point of the dual, evaluated like any other.
"""

import numpy as np
import scipy
from scipy.sparse import csr_array, eye_array, hstack

from simulator.certificates.relaxation import Relaxation
from simulator.networks.symmetric_relu import soft_threshold

__all__ = ["best_slopes"]

PRICE = 1e3  # M; slopes that matter are of order 1
SOLVED = 0  # scipy's word for the end of a linear program


def best_slopes(box: Relaxation) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes of the best linear bound in a box, and where it puts the adversary.

    Parameters
    ----------
    box : Relaxation
        In an l_inf ball.

    Returns
    -------
    slopes : ndarray, shape (q,)
        Chords of the floors where the solver found no answer.
    delta : ndarray, shape (d,)
    """
    q, d = box.W.shape
    r = box.ball.radius
    turn, kappa = _floors(box)
    if q == 0:
        return kappa, box.ball.steepest(-box.linear[None])[0]
    one = eye_array(q)
    result = scipy.optimize.linprog(
        np.concatenate([box.linear, kappa, np.ones(q), np.full(2 * q, PRICE)]),
        A_eq=hstack([csr_array(box.W), -one, -one, -one, one], format="csr"), b_eq=box.low,
        bounds=np.column_stack([
            np.concatenate([np.full(d, -r), np.zeros(4 * q)]),
            np.concatenate([np.full(d, r), turn - box.low, box.high - turn,
                            np.full(2 * q, np.inf)])]), method="highs-ds")
    if result.status != SOLVED:
        return kappa, box.ball.steepest(-(box.linear + kappa @ box.W)[None])[0]
    return -result.eqlin.marginals, result.x[:d]


def _floors(box: Relaxation) -> tuple[np.ndarray, np.ndarray]:
    """Where the convex floor of each S_b turns to slope 1, and its slope before that, (q,)."""
    low, high = box.low, box.high
    below = high <= box.kink
    turn = np.where(below, high, np.clip(box.bias - box.t, low, high))
    width = turn - low
    rise = soft_threshold(box.t + turn, box.bias) - soft_threshold(box.t + low, box.bias)
    chord = rise / np.where(width > 0.0, width, 1.0)
    return turn, np.where(below, 1.0, np.where(width > 0.0, np.clip(chord, 0.0, 1.0), 1.0))
