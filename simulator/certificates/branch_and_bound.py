"""Complete search: branch and bound on the kinks.

S_b is concave-convex at one point only, the kink -b. A neuron whose interval has no -b inside
is convex there, and where all neurons are, the Lagrangian of
:mod:`simulator.certificates.relaxation` has no gap. So a box of intervals
``low_i <= <w_i, delta> <= high_i`` is split at one neuron's kink,
``<w_i, delta> <= -b - t_i`` or ``>=``; at most one split per neuron is ever needed. Each
half-space ``<w, delta> <= v`` shrinks the other neurons' intervals, for any eta >= 0:

    <w_k, delta>  <=  r ||w_k - eta w||_* + eta v,

with the best eta in closed form; neurons of one feature are nearly parallel, so one
split settles them all. The box with the lowest bound is opened first, its minimiser is an
attack to start from, and at any time the lowest open bound is sound: the search can be stopped.
"""

import heapq
import math
import time
from dataclasses import dataclass

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.best_slopes import best_slopes
from simulator.certificates.inputs import grain
from simulator.certificates.relaxation import DESCENT_STEPS, Ascent, Dual, Multipliers, Relaxation
from simulator.heartbeat import beat

__all__ = ["Search", "search"]

BOX_STEPS = 120  # of ascent in a box: more would sharpen a bound that two halves sharpen cheaper
BOX_RATE = 0.02  # step length in a box: small, for the parent's multipliers are nearly right
LINF_STEPS, LINF_RATE = 2, 0.03  # of l_inf: times as many steps, for it has d multipliers lam
ROOT_STAGE = 300  # steps of the root at once: an ascent that starts anew, slower, reaches further
ROOT_RATE = 0.02  # step length from its second stage on
STAGE_WORTH = 0.1  # of a large problem: share of what is missing that a stage must gain to go on

# In l2 the lowest bound rises by about as much whenever the boxes double in number: by an eighth of
# the gap at most, in all that was seen. A search that would not reach its target at several times
# its pace so far is hopeless; after one box the pace is that eighth, after few it is vague, and a
# share of the gap at least: (boxes bounded, times the pace, share of the gap). Where boxes are
# cheap there is time to wait: the bound may stay where it is for thirty of them and then rise.
HOPES = ((33, 2.0, 0.0),)
HOPES_OF_LARGE = ((1, 1.0, 0.125), (2, 1.0, 1.0), (5, 3.0, 0.03), (9, 2.0, 0.0))
# Few boxes gain little: large samples that four of them certified had ended the first climb of the
# root less than half as far below the target as the least margin met is above it (seeds below 100).
# A root that ends as far below as that, or further, is left at its first climb.
FEW_BOXES = 8
LAST_STEPS = 8  # times as many steps in a box without kinks: it is convex, and never split again


Part = tuple[Relaxation, Dual | int]


@dataclass(frozen=True)
class Search:
    """What branch and bound knows about one sample: ``lower <= true margin <= upper``.

    Attributes
    ----------
    lower, upper : float
    delta : ndarray, shape (d,)
        The perturbation of ``y x`` that reaches ``upper`` (``y delta`` is that of x).
    boxes : int
        Boxes bounded.
    finished : bool
        Decided within the budget, or nothing left to split.
    parts : tuple of (Relaxation, Dual or int)
        The boxes that ``lower`` rests on, where they were asked for: each with what bounds it, or
        with a neuron (of the q) whose interval is empty there.
    """

    lower: float
    upper: float
    delta: np.ndarray
    boxes: int
    finished: bool
    parts: tuple[Part, ...] = ()

    def __repr__(self) -> str:
        end = "finished" if self.finished else "stopped"
        return f"Search({self.lower:.4g} to {self.upper:.4g}, {end} after {self.boxes} boxes)"


def search(problem: Relaxation, delta: np.ndarray, boxes: int = 100,
           seconds: float = float("inf"), target: float = 0.0, tolerance: float = 1e-3,
           root_steps: int = 300, box_steps: int = BOX_STEPS, keep: bool = False) -> Search:
    """Close in on the worst margin of one sample.

    Parameters
    ----------
    problem : Relaxation
    delta : ndarray, shape (d,)
        Where to start, of ``y x``: an attack, or zero.
    boxes : int
        Boxes to bound at most (one more if the last split opens two); the best bounds so far
        are returned then, and earlier where the target is out of their reach. The same number
        gives the same bits.
    seconds : float
        Further limit, by the clock: what it returns depends on the machine.
    target : float
        Stop when the sign of ``margin - target`` is known; infinite: search on until
        ``upper - lower <= tolerance``.
    tolerance : float
    root_steps, box_steps : int
        Steps of ascent before branching, and for each box.
    keep : bool
        Whether to return the parts of the ball, and what bounds each.
    """
    deadline = time.perf_counter() + seconds
    tree = _Tree(problem, delta, target, tolerance, root_steps, boxes)
    while (tree.heap and not tree.decided and tree.count < boxes and not tree.is_hopeless
           and time.perf_counter() < deadline):
        tree.split(box_steps)
    lower = min(tree.lowest, tree.settled, tree.upper)
    return Search(float(lower), float(tree.upper), tree.delta, tree.count,
                  not tree.heap or tree.decided, tree.parts() if keep else ())


class _Tree:
    """The open boxes, lowest bound first, and the least margin met.

    Attributes
    ----------
    heap : list of (bound, number, box, ascent)
    count : int
        Boxes bounded so far.
    upper : float
        Least margin met, at ``delta``.
    root : float
        Bound of the whole ball.
    hopes : tuple of (int, float, float)
        When to give up.
    boxes : int
        Boxes to bound at most.
    is_stingy : bool
        Whether these are too few for a root that ends far from the target.
    settled : float
        Lowest bound of the boxes that cannot be split any more.
    closed : list of Part
        These boxes, and those without a point of the ball.
    """

    def __init__(self, problem: Relaxation, delta: np.ndarray, target: float, tolerance: float,
                 root_steps: int, boxes: int) -> None:
        self.target, self.tolerance, self.boxes = target, tolerance, boxes
        self.hopes: tuple[tuple[int, float, float], ...] = HOPES
        self.is_stingy = False
        if isinstance(problem.ball, LinfBall):
            self.hopes = ()
        elif problem.is_large:
            self.hopes = HOPES_OF_LARGE
            self.is_stingy = boxes <= FEW_BOXES and target < np.inf
        self.upper, self.delta = problem.descend(delta)
        self.settled, self.count = np.inf, 1
        self.closed: list[Part] = []
        root = _climbed(problem, problem.start(self.delta), root_steps, self.goal, self.floor)
        self.heap: list[tuple[float, int, Relaxation, Ascent]] = [(root.bound, 0, problem, root)]
        self.root = root.bound
        self._attack(problem, root.point)

    @property
    def goal(self) -> float:
        """A bound above this needs no sharpening."""
        return self.target if self.target < np.inf else self.upper - self.tolerance

    @property
    def lowest(self) -> float:
        """Lowest bound of the open boxes."""
        return self.heap[0][0] if self.heap else np.inf

    @property
    def decided(self) -> bool:
        """Whether it is known on which side of the target the margin is."""
        return (self.upper <= self.target < np.inf
                or self.lowest > min(self.goal, self.settled))

    @property
    def floor(self) -> float:
        """A root that ends below this is too far from the target for the boxes there are."""
        return 2.0 * self.target - self.upper if self.is_stingy else -np.inf

    @property
    def is_hopeless(self) -> bool:
        """Whether the boxes will not reach the target, by the root and what the first ones gained.
        """
        if self.root < self.floor:
            return True
        known = [hope for hope in self.hopes if self.count >= hope[0]]
        if not known or self.boxes <= self.hopes[-1][0] or self.target == np.inf:
            return False
        _, times, share = known[-1]
        pace = max((self.lowest - self.root) / max(math.log2(self.count), 1.0),
                   share * (self.upper - self.root))
        doublings = math.log2(max(self.boxes / self.count, 1.0))
        return self.lowest + times * pace * doublings < self.target

    def parts(self) -> tuple[Part, ...]:
        """What the lowest bound rests on: the boxes that are left, and those that are closed."""
        return (*self.closed, *((box, found.dual) for _, _, box, found in self.heap))

    def split(self, steps: int) -> None:
        """Open the box with the lowest bound: attack from it, and bound its halves."""
        bound, _, box, found = heapq.heappop(self.heap)
        self._attack(box, found.point)
        neuron = _neuron_to_split(box, found.multipliers, found.point)
        if neuron < 0:
            self.settled = min(self.settled, bound)
            self.closed.append((box, found.dual))
            return
        for side in (1.0, -1.0):
            half = _halve(box, neuron, side)
            empty = int(np.argmax(half.low - half.high))
            if half.low[empty] > half.high[empty]:
                self.closed.append((half, empty))
                continue
            beat()
            better = self._bounded(half, found.multipliers, steps)
            self.count += 1
            self._attack(half, better.point, 1)
            if better.bound < bound:  # what bounds the whole bounds its half
                better = better._replace(bound=bound, dual=found.dual)
            heapq.heappush(self.heap, (better.bound, self.count, half, better))

    def _attack(self, box: Relaxation, point: np.ndarray, steps: int = DESCENT_STEPS) -> None:
        """Descend from where a relaxation puts the adversary; keep the least margin."""
        value, delta = box.descend(box.ball.project(point[None])[0], steps)
        if value < self.upper:
            self.upper, self.delta = value, delta

    def _bounded(self, box: Relaxation, start: Multipliers, steps: int) -> Ascent:
        if isinstance(box.ball, LinfBall):
            return (box.maximise(start, LINF_STEPS * steps, self.goal, LINF_RATE)
                    if box.has_kink.any() else _convex_box(box, start))
        if box.has_kink.any():
            return box.maximise(start, steps, self.goal, BOX_RATE)
        return box.maximise(start, LAST_STEPS * steps, self.goal, BOX_RATE)


def _climbed(problem: Relaxation, start: Multipliers, steps: int, goal: float,
             floor: float) -> Ascent:
    """Ascend at once; a large problem in stages, while they gain what boxes do not gain cheaper.

    In an l_inf ball at once, too: its d multipliers lam need the long way. A bound below ``floor``
    is left as it is.
    """
    if isinstance(problem.ball, LinfBall) or not problem.is_large:
        return problem.maximise(start, steps, goal)
    found, left = problem.maximise(start, min(steps, ROOT_STAGE), goal), steps - ROOT_STAGE
    while left > 0 and found.bound <= goal and found.bound >= floor:
        later = problem.maximise(found.multipliers, min(left, ROOT_STAGE), goal, ROOT_RATE)
        gain, left = later.bound - found.bound, left - ROOT_STAGE
        found = later if gain > 0.0 else found
        if gain < STAGE_WORTH * (goal - found.bound):
            break
    return found


def _convex_box(box: Relaxation, start: Multipliers) -> Ascent:
    """Bound an l_inf box without kinks by its best slopes: ascent is slow at its corners."""
    slopes, delta = best_slopes(box)
    multipliers = Multipliers(slopes, np.zeros(len(slopes)), start.log_lam)
    bound, dual = box.bound(multipliers, delta)
    return Ascent(bound, multipliers, delta, dual)


def _neuron_to_split(box: Relaxation, multipliers: Multipliers, point: np.ndarray) -> int:
    """The neuron whose direction carries most of the gap, or -1 if no kink is inside."""
    kinked = np.flatnonzero(box.has_kink)
    if len(kinked) == 0:
        return -1
    gaps = np.maximum(box.gaps(multipliers, point), 0.0)[kinked]
    V = box.W[kinked]
    V = V / np.linalg.norm(V, axis=1, keepdims=True)
    return int(kinked[np.argmax((V @ V.T) ** 2 @ gaps)])


def _halve(box: Relaxation, neuron: int, side: float) -> Relaxation:
    """Return the half on one side of a neuron's kink; an interval in it may be empty."""
    w, v = side * box.W[neuron], side * box.kink[neuron]
    high = np.minimum(box.high, _reach(box.W, w, v, box.ball))
    low = np.maximum(box.low, -_reach(-box.W, w, v, box.ball))
    if side > 0.0:
        high[neuron] = min(v, box.high[neuron])
    else:
        low[neuron] = max(-v, box.low[neuron])
    return box.restricted(low, high, (neuron, side, float(v)))


def _reach(V: np.ndarray, w: np.ndarray, v: float, ball: L2Ball | LinfBall) -> np.ndarray:
    """Upper bounds of ``<V_k, delta>`` in the ball with ``<w, delta> <= v``, shape (q,).

    Any eta is sound; the rounding of ``r ||V_k - eta w||_* + eta v`` is relative to the sizes of
    V_k, eta w and eta v, which may cancel.
    """
    if isinstance(ball, LinfBall):
        eta = _best_of_quotients(V, w, v / ball.radius)
    else:
        square = max(w @ w, np.finfo(float).tiny)
        along = V @ w / square
        eta = along
        cosine = v / (ball.radius * np.sqrt(square))
        if abs(cosine) < 1.0:
            across = np.sqrt(np.maximum(np.einsum("kj,kj->k", V, V) - along**2 * square, 0.0))
            eta = along - across * cosine / np.sqrt((1.0 - cosine**2) * square)
    eta = np.maximum(eta, 0.0)
    reach = ball.radius * ball.dual_norm(V - eta[:, None] * w) + eta * v
    size = ball.radius * (ball.dual_norm(V) + eta * ball.dual_norm(w[None])[0]) + eta * abs(v)
    reach += grain(V.shape[1]) * size
    return np.where(np.isfinite(reach), reach, np.inf)  # of a neuron too small to have a square


def _best_of_quotients(V: np.ndarray, w: np.ndarray, v: float) -> np.ndarray:
    """Where ``||V_k - eta w||_1 + eta v`` is least, shape (q,): a weighted median, or 0.

    It bends at the quotients ``V_kj / w_j`` alone, where its slope gains ``2 |w_j|``.
    """
    some = np.abs(w) > np.finfo(float).tiny
    if not some.any():
        return np.zeros(len(V))
    quotients, weights = V[:, some] / w[some], np.abs(w[some])
    order = np.argsort(quotients, axis=1, kind="stable")
    slopes = v - weights.sum() + 2.0 * np.cumsum(weights[order], axis=1)
    first = np.argmax(slopes >= 0.0, axis=1)
    best = np.take_along_axis(quotients, order, axis=1)[np.arange(len(V)), first]
    return np.where(slopes[:, -1] >= 0.0, best, 0.0)
