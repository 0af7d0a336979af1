"""The exact worst margin in an l_inf ball: a mixed-integer linear program.

A reference for tests, not a certificate: both values are the solver's word, true up to its
tolerances (1e-6 for constraints), and come without multipliers that others could check. What a run
proves rests on :mod:`simulator.certificates.branch_and_bound`. For the q neurons of a
relaxation let ``u_i = t_i + <w_i, delta>`` and ``z_i = 1{u_i <= -b}``; then
``S_b(u_i) = p_i - q_i`` at the minimum of

    constant + <linear, delta> + sum_i p_i - q_i

over ``|delta_k| <= r``, ``p_i >= 0``, ``q_i >= 0`` and, with ``up_i = max(u_i + b)``,
``down_i = max(-u_i - b)`` over the interval of neuron i,

    delta    p     q      z
    [  W    -1     .      .   ]   <=   b - t             p_i >= u_i - b
    [  W     .     1    +up   ]   <=   up - b - t        q_i <= -u_i - b + (1 - z_i) up_i
    [  .     .     1    -down ]   <=   0                 q_i <= z_i down_i

with one binary for each neuron that has its kink inside its interval.
"""

import numpy as np
import scipy
from scipy.sparse import block_array, csr_array, diags_array, eye_array

from simulator.balls import LinfBall
from simulator.certificates.relaxation import Relaxation
from simulator.checks import require_real

__all__ = ["exact_margin"]

GAP = 1e-9  # relative gap at which HiGHS stops: below its tolerance for constraints, 1e-6


def exact_margin(problem: Relaxation, seconds: float = 60.0) -> tuple[float, float]:
    """Return the least margin in an l_inf ball, as HiGHS' lower and upper value.

    Equal up to the tolerance of the solver, 1e-6, and no proof: the lower value may be above the
    least margin by that much.

    Parameters
    ----------
    problem : Relaxation
        With an :class:`~simulator.balls.LinfBall`.
    seconds : float
        Time limit; the two values differ if it was reached.

    Raises
    ------
    ValueError
        Another ball: the program would not be linear.
    """
    if not isinstance(problem.ball, LinfBall):
        raise ValueError(f"ball: expected LinfBall, got {problem.ball}: the program is linear")
    require_real("seconds", seconds, low=0.0)
    W, t, b, r = problem.W, problem.t, problem.bias, problem.ball.radius
    q, d = W.shape
    if q == 0:
        exact = problem.constant - r * np.abs(problem.linear).sum()
        return float(exact), float(exact)
    up = np.maximum(t + problem.high + b, 0.0)
    down = np.maximum(-t - problem.low - b, 0.0)
    rows = block_array([
        [csr_array(W), -eye_array(q), None, None],
        [csr_array(W), None, eye_array(q), diags_array(up)],
        [None, None, eye_array(q), -diags_array(down)]], format="csr")
    limits = np.concatenate([b - t, up - b - t, np.zeros(q)])

    kinked = problem.has_kink
    is_below = np.where(problem.high <= problem.kink, 1.0, 0.0)  # z where there is no choice
    none, free = np.zeros(q), np.full(q, np.inf)
    result = scipy.optimize.milp(
        np.concatenate([problem.linear, np.ones(q), -np.ones(q), none]),
        integrality=np.concatenate([np.zeros(d), none, none, kinked]),
        bounds=scipy.optimize.Bounds(
            np.concatenate([np.full(d, -r), none, none, np.where(kinked, 0.0, is_below)]),
            np.concatenate([np.full(d, r), free, free, np.where(kinked, 1.0, is_below)])),
        constraints=scipy.optimize.LinearConstraint(rows, -np.inf, limits),
        options={"time_limit": seconds, "mip_rel_gap": GAP})
    lower = result.mip_dual_bound if result.mip_dual_bound is not None else -np.inf
    upper = result.fun if result.fun is not None else np.inf
    return float(problem.constant + lower), float(problem.constant + upper)
