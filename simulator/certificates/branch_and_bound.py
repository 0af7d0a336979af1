"""Complete search: branch and bound on the kinks, and the exact l_inf margin by MILP.

S_b is concave-convex at one point only, the kink -b. A neuron whose interval has no -b inside
is convex there, and where all neurons are, the Lagrangian of :mod:`simulator.certificates.relaxation` has
no gap. So a box of intervals ``low_i <= <w_i, delta> <= high_i`` is split at one neuron's kink,
``<w_i, delta> <= -b - t_i`` or ``>=``; at most one split per neuron is ever needed. Each
half-space ``<w, delta> <= v`` shrinks the other neurons' intervals, for any eta >= 0:

    <w_k, delta>  <=  r ||w_k - eta w||_* + eta v,

with the best eta in closed form for l2; neurons of one feature are nearly parallel, so one
split settles them all. The node with the lowest bound is opened first, its minimiser is an
attack to start from, and at any time the lowest open bound is sound: the search can be stopped.

For l_inf the margin is a mixed-integer linear program with one binary for each neuron that has
its kink inside; it checks the bounds on small networks.
"""

import heapq
import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import block_array, csr_array, diags_array, eye_array

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.relaxation import Multipliers, Relaxation

__all__ = ["Search", "exact_margin", "search"]

NODE_RATE = 0.02  # step length in a box: small, for the parent's multipliers are nearly right


@dataclass(frozen=True)
class Search:
    """What branch and bound knows about one sample: ``lower <= true margin <= upper``.

    Attributes
    ----------
    lower, upper : float
    delta : ndarray, shape (d,)
        The perturbation of ``y x`` that reaches ``upper`` (``y delta`` is that of x).
    nodes : int
        Boxes bounded.
    finished : bool
        Decided within the budget, or nothing left to split.
    """

    lower: float
    upper: float
    delta: np.ndarray
    nodes: int
    finished: bool


def search(problem: Relaxation, delta: np.ndarray, nodes: int = 100,
           seconds: float = float("inf"), target: float = 0.0, tolerance: float = 1e-3,
           root_steps: int = 300, node_steps: int = 120) -> Search:
    """Close in on the worst margin of one sample.

    Parameters
    ----------
    problem : Relaxation
    delta : ndarray, shape (d,)
        Where to start, of ``y x``: an attack, or zero.
    nodes : int
        Boxes to bound at most (one more if the last split opens two); the best bounds so far
        are returned then. The same number gives the same bits.
    seconds : float
        Further limit, by the clock: what it returns depends on the machine.
    target : float
        Stop when the sign of ``margin - target`` is known; infinite: search on until
        ``upper - lower <= tolerance``.
    tolerance : float
    root_steps, node_steps : int
        Steps of ascent before branching, and for each box.
    """
    deadline = time.perf_counter() + seconds
    upper, delta = problem.descend(delta)

    settled = np.inf  # lowest bound of the boxes that cannot be split any more

    def goal() -> float:
        return target if target < np.inf else upper - tolerance

    def decided() -> bool:
        return upper <= target < np.inf or heap[0][0] > min(goal(), settled)

    bound, multipliers, point = problem.maximise(problem.start(delta), root_steps, goal())
    heap = [(bound, 0, problem, multipliers, point)]
    count = 1
    while heap and not decided() and count < nodes and time.perf_counter() < deadline:
        bound, _, box, multipliers, point = heapq.heappop(heap)
        value, found = problem.descend(problem.ball.project(point[None])[0])
        if value < upper:
            upper, delta = value, found
        neuron = _neuron_to_split(box, multipliers, point)
        if neuron < 0:
            settled = min(settled, bound)
            continue
        kink = box.kink[neuron]
        for side in (1.0, -1.0):
            half = _halve(box, side * box.W[neuron], side * kink, neuron, side)
            if half is None:
                continue
            if half.has_kink.any():
                below, better, point = half.maximise(multipliers, node_steps, goal(), NODE_RATE)
            elif isinstance(half.ball, LinfBall):
                below, better, point = _convex_box(half, multipliers)
            else:
                below, better, point = half.maximise(multipliers, 8 * node_steps, goal(),
                                                     NODE_RATE)
            count += 1
            value, found = problem.descend(problem.ball.project(point[None])[0], 1)
            if value < upper:
                upper, delta = value, found
            heapq.heappush(heap, (max(below, bound), count, half, better, point))
    lower = min(heap[0][0] if heap else np.inf, settled, upper)
    finished = (not heap) or decided()
    return Search(float(lower), float(upper), delta, count, finished)


def exact_margin(problem: Relaxation, seconds: float = 60.0) -> tuple[float, float]:
    """Return the least margin in an l_inf ball, as HiGHS' lower and upper value.

    With z_i the binary "u_i <= -b", the term of neuron i is ``p_i - q_i``: ``p_i >= u_i - b``,
    ``p_i >= 0``, ``q_i <= -u_i - b + (1 - z_i) max(u_i + b)``, ``q_i <= z_i max(-u_i - b)``.
    Equal up to the tolerance of the solver, 1e-6; the lower value is sound to the same.

    Parameters
    ----------
    problem : Relaxation
        With an :class:`~simulator.balls.LinfBall`.
    seconds : float
        Time limit; the two values differ if it was reached.
    """
    if not isinstance(problem.ball, LinfBall):
        raise ValueError(f"ball: expected LinfBall, got {problem.ball}: the program is linear")
    q, d = problem.W.shape
    if q == 0:
        exact = problem.constant - problem.ball.radius * np.abs(problem.linear).sum()
        return float(exact), float(exact)
    W, one = csr_array(problem.W), eye_array(q)
    up, down = problem.t + problem.high + problem.bias, -problem.t - problem.low - problem.bias
    up, down = np.maximum(up, 0.0), np.maximum(down, 0.0)
    rows = block_array([[W, -one, None, None],
                        [W, None, one, diags_array(up)],
                        [None, None, one, -diags_array(down)]], format="csr")
    limits = np.concatenate([problem.bias - problem.t, up - problem.bias - problem.t,
                             np.zeros(q)])
    kinked = problem.has_kink
    fixed = np.where(problem.high <= problem.kink, 1.0, 0.0)
    result = milp(
        np.concatenate([problem.linear, np.ones(q), -np.ones(q), np.zeros(q)]),
        integrality=np.concatenate([np.zeros(d + 2 * q), kinked]),
        bounds=Bounds(
            np.concatenate([np.full(d, -problem.ball.radius), np.zeros(q), np.zeros(q),
                            np.where(kinked, 0.0, fixed)]),
            np.concatenate([np.full(d, problem.ball.radius), np.full(2 * q, np.inf),
                            np.where(kinked, 1.0, fixed)])),
        constraints=LinearConstraint(rows, -np.inf, limits),
        options={"time_limit": seconds, "mip_rel_gap": 1e-9})
    lower = result.mip_dual_bound if result.mip_dual_bound is not None else -np.inf
    upper = result.fun if result.fun is not None else np.inf
    return float(problem.constant + lower), float(problem.constant + upper)


def _convex_box(box: Relaxation, start: Multipliers) -> tuple[float, Multipliers, np.ndarray]:
    """Bound an l_inf box without kinks through the duals of its linear program.

    Ascent is slow at the corners of an l_inf ball. The duals of ``s = W delta`` are the best
    slopes; the bound is evaluated on them as on any slopes, so it does not rest on the solver.
    """
    q, d = box.W.shape
    curved = np.flatnonzero(box.low >= box.kink)
    pick = csr_array((np.ones(len(curved)), (np.arange(len(curved)), curved)),
                     shape=(len(curved), q))
    below = np.ones(q)
    below[curved] = 0.0  # beyond -b: slope 1
    result = linprog(
        np.concatenate([box.linear, below, np.ones(len(curved))]),
        A_eq=block_array([[csr_array(box.W), -eye_array(q), csr_array((q, len(curved)))]],
                         format="csr"), b_eq=np.zeros(q),
        A_ub=block_array([[csr_array((len(curved), d)), pick, -eye_array(len(curved))]],
                         format="csr"), b_ub=box.bias - box.t[curved],
        bounds=np.concatenate([
            np.tile([-box.ball.radius, box.ball.radius], (d, 1)),
            np.stack([box.low, box.high], 1), np.tile([0.0, np.inf], (len(curved), 1))]))
    if result.status == 2:  # no point of the ball is in the box
        return np.inf, start, np.zeros(d)
    if result.status != 0:
        return -np.inf, start, np.zeros(d)
    found = Multipliers(-result.eqlin.marginals, np.zeros(q), start.log_lam)
    return box.bound(found, result.x[:d]), found, result.x[:d]


def _neuron_to_split(box: Relaxation, multipliers: Multipliers, point: np.ndarray) -> int:
    """The neuron whose direction carries most of the gap, or -1 if no kink is inside."""
    kinked = np.flatnonzero(box.has_kink)
    if len(kinked) == 0:
        return -1
    gaps = np.maximum(box.gaps(multipliers, point), 0.0)[kinked]
    V = box.W[kinked]
    V = V / np.linalg.norm(V, axis=1, keepdims=True)
    return int(kinked[np.argmax((V @ V.T) ** 2 @ gaps)])


def _halve(box: Relaxation, w: np.ndarray, v: float, neuron: int,
           side: float) -> Relaxation | None:
    """Add ``<w, delta> <= v`` with ``w = side w_neuron``; None if nothing is left."""
    high = np.minimum(box.high, _reach(box.W, w, v, box.ball))
    low = np.maximum(box.low, -_reach(-box.W, w, v, box.ball))
    if side > 0.0:
        high[neuron] = min(v, box.high[neuron])
    else:
        low[neuron] = max(-v, box.low[neuron])
    return None if (low > high).any() else box.restricted(low, high)


def _reach(V: np.ndarray, w: np.ndarray, v: float, ball: L2Ball | LinfBall) -> np.ndarray:
    """Upper bounds of ``<V_k, delta>`` in the ball with ``<w, delta> <= v``, shape (q,)."""
    square = w @ w
    along = V @ w / square
    eta = along
    if isinstance(ball, L2Ball):
        cosine = v / (ball.radius * np.sqrt(square))
        if abs(cosine) < 1.0:
            across = np.sqrt(np.maximum(np.einsum("kj,kj->k", V, V) - along**2 * square, 0.0))
            eta = along - across * cosine / np.sqrt((1.0 - cosine**2) * square)
    eta = np.maximum(eta, 0.0)
    reach = ball.radius * ball.dual_norm(V - eta[:, None] * w) + eta * v
    return reach + 1e-12 * (ball.radius * ball.dual_norm(V) + np.abs(eta * v))
