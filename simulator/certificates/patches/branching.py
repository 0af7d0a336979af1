"""Branch and bound on the patches of one sample, in boxes of activations.

What the relaxation of :mod:`simulator.certificates.patches.bounds` loses, it loses at the rival
neurons, where it has a chord for the concave -sigma. So a box is split at one rival neuron k, at
its activation 0 if that is inside (one half is then without it), else in the middle. The
half-space ``<w_k, delta> <= v`` shrinks the intervals of all neurons, for any eta >= 0:

    <w_j, delta>  <=  r ||w_j - eta w_k|| + eta v,

with the best eta in closed form; neurons of one class are nearly parallel, so one split helps
all. Patches are bounded one by one and their bounds add up exactly: the next boxes are always
those of the patches with the widest gaps. The budget is in boxes, so the same call gives the
same bits.
"""

import numpy as np

from simulator.certificates.patches.bounds import RATE, TINY, descend, tighten
from simulator.certificates.patches.problem import Boxes, PatchProblem
from simulator.jit import kernel

__all__ = ["branch", "halves", "neurons_to_split"]

# Patches at most that are split before gaps are compared again, and the share of the widest gap
# below which a patch waits: more in a round is less bookkeeping, fewer waste no box on small gaps.
ROUND, WORTH_SPLITTING = 16, 0.5
# Of the ascent in a half. Where its intervals are nearly the parent's, so are its multipliers, and
# larger first steps would lose them.
STEPS, NEARLY_RIGHT = 100, 0.01
STAYS = 0.9  # an interval as wide as this, relative to the parent's, keeps the parent's slope
NARROW = 1e-9  # an interval shorter than this, relative to 1 + |t + high|, has no chord to lose


def branch(problem: PatchProblem, whole: Boxes, upper: np.ndarray, attack: np.ndarray,
           boxes: int, target: float, slack: float) -> np.ndarray:
    """Close in on the sum of the worst patches.

    Parameters
    ----------
    problem : PatchProblem
    whole : Boxes
        One tightened box per patch.
    upper : ndarray, shape (P,)
        What an attack reached on each patch; lowered in place where the search finds less.
    attack : ndarray, shape (P, 2 m)
        Its coefficients, replaced in place with it.
    boxes : int
        Boxes to bound at most.
    target : float
        Stop when it is known on which side of this the sum is; infinite: never known.
    slack : float
        Gap at which a patch is left alone.

    Returns
    -------
    ndarray, shape (P,)
        Lower bounds of the patches.
    """
    P, r = problem.T.shape
    room = P + boxes // 2  # a split bounds two boxes and keeps one more
    tree = Boxes.room(room, r)
    tree.put(np.arange(P), whole)
    lower, count = whole.bounds.copy(), P
    settled = np.full(P, np.inf)  # lowest bound of the boxes that cannot be split any more
    while lower.sum() <= target and (target == np.inf or upper.sum() > target):
        gaps = np.where(lower < settled, upper - lower, -np.inf)
        if not gaps.max() > slack or count >= room:
            break
        widest = np.argsort(-gaps, kind="stable")[:min(ROUND, room - count)]
        chosen = widest[gaps[widest] > max(slack, WORTH_SPLITTING * gaps.max())]
        leaves = np.array([_lowest(tree, count, patch) for patch in chosen])
        parents = tree.take(leaves)
        neurons = neurons_to_split(problem, parents)
        is_whole = neurons < 0
        ended = chosen[is_whole]
        settled[ended] = np.minimum(settled[ended], parents.bounds[is_whole])
        tree.bounds[leaves[is_whole]] = np.inf
        split = np.flatnonzero(~is_whole)
        if len(split):
            halved = parents.take(split)
            both = halves(problem, halved, neurons[split])
            tighten(problem, both, upper[both.patch] - 0.5 * slack, STEPS, curved=True,
                    rates=_rates(problem, halved, both))
            _attack(problem, both, upper, attack)
            rows = np.concatenate([leaves[split], np.arange(count, count + len(split))])
            tree.put(rows, both)
            count += len(split)
        for patch in chosen:
            lowest = tree.bounds[_lowest(tree, count, patch)]
            lower[patch] = min(settled[patch], lowest, upper[patch])
    return lower


def halves(problem: PatchProblem, boxes: Boxes, neurons: np.ndarray) -> Boxes:
    """Split boxes, each at one of its rival neurons.

    A half inherits the multipliers, with slopes that fit its own intervals: tangents within
    them for the true class; chords for the rival, where a curvature beside a slope that the
    ascent found says that it knows better and the interval is nearly the parent's.

    Parameters
    ----------
    problem : PatchProblem
    boxes : Boxes
    neurons : ndarray of int, shape (c,)

    Returns
    -------
    Boxes
        2 c of them: all lower halves, then all upper ones. Halves without a point of the ball
        have the bound infinity.
    """
    rows = np.arange(len(neurons))
    zero = -boxes.activations[rows, neurons]
    low, high = boxes.low[rows, neurons], boxes.high[rows, neurons]
    cuts = np.where((low < zero) & (zero < high), zero, 0.5 * (low + high))
    both = boxes.take(np.concatenate([rows, rows]))
    wide = both.low.copy(), both.high.copy()
    _halve(problem.gram, problem.radius, neurons, cuts, both.low, both.high, problem.grain)
    m, T = problem.m, both.activations
    both.slopes[:, :m] = np.clip(both.slopes[:, :m], problem.slopes(T + both.low)[:, :m],
                                 problem.slopes(T + both.high)[:, :m])
    is_new = both.high - both.low < STAYS * (wide[1] - wide[0])
    is_new |= both.curvatures == 0.0
    is_new[:, :m] = False
    both.slopes[is_new] = problem.chords(both)[is_new]
    both.bounds[(both.low > both.high).any(axis=1)] = np.inf
    return both


def neurons_to_split(problem: PatchProblem, boxes: Boxes) -> np.ndarray:
    """Choose the rival neuron whose direction carries most of the gaps.

    Where no gap is seen, the one whose chord is the worst somewhere in the box.

    Parameters
    ----------
    problem : PatchProblem
    boxes : Boxes

    Returns
    -------
    ndarray of int, shape (c,)
        -1 where -sigma is linear on all intervals, so that there is nothing to split.
    """
    norms = np.sqrt(np.maximum(np.diag(problem.gram), np.finfo(float).tiny))
    aligned = (problem.gram / norms / norms[:, None]) ** 2
    carried = np.where(boxes.gaps > 0.0, boxes.gaps @ aligned, 0.0)
    low, high = (boxes.activations + ends for ends in (boxes.low, boxes.high))
    bend = problem.slopes(high) - problem.slopes(low)
    bend = np.where(high - low > NARROW * (1.0 + np.abs(high)), bend * (high - low), 0.0)
    bend[:, :problem.m] = 0.0
    unseen = carried.max(axis=1) == 0.0
    carried[unseen] = bend[unseen]
    return np.where(carried.max(axis=1) > 0.0, carried.argmax(axis=1), -1)


def _rates(problem: PatchProblem, parents: Boxes, both: Boxes) -> np.ndarray:
    """How long the first step of the ascent is in each half, shape (2 c,)."""
    width, before = (np.maximum(boxes.high - boxes.low, 0.0)[:, problem.m:].sum(axis=1)
                     for boxes in (both, parents))
    return np.where(width > STAYS * np.tile(before, 2), NEARLY_RIGHT, RATE)


def _attack(problem: PatchProblem, boxes: Boxes, upper: np.ndarray,
            attack: np.ndarray) -> None:
    """Descend from where the relaxation puts the adversary; lower ``upper`` in place."""
    b = boxes.coefficients.copy()
    reached = descend(problem, boxes.patch, b)
    for row, patch in enumerate(boxes.patch):
        if reached[row] < upper[patch]:
            upper[patch], attack[patch] = reached[row], b[row]


def _lowest(tree: Boxes, count: int, patch: int) -> int:
    rows = np.flatnonzero(tree.patch[:count] == patch)
    return int(rows[np.argmin(tree.bounds[rows])])


@kernel
def _halve(G: np.ndarray, radius: float, neurons: np.ndarray, cuts: np.ndarray, lows: np.ndarray,
           highs: np.ndarray, grain: float) -> None:
    """Boxes c get ``<w_k, delta> <= v``, boxes c + count ``>=``; the others' intervals shrink."""
    count = len(neurons)
    for c in range(2 * count):
        k, v = neurons[c % count], cuts[c % count]
        side = 1.0 if c < count else -1.0
        for j in range(len(G)):
            highs[c, j] = min(highs[c, j], _reached(G, k, j, 1.0, side, side * v, radius, grain))
            lows[c, j] = max(lows[c, j], -_reached(G, k, j, -1.0, side, side * v, radius, grain))
        if side > 0.0:
            highs[c, k] = v
        else:
            lows[c, k] = v


@kernel
def _reached(G: np.ndarray, k: int, j: int, side_j: float, side_k: float, v: float,
             radius: float, grain: float) -> float:
    """Upper bound of ``side_j <w_j, delta>`` in the ball with ``side_k <w_k, delta> <= v``.

    Widened by the rounding of its terms: the square root is one of a difference of squares.
    """
    square, cross = G[k, k], side_j * side_k * G[k, j]
    if square < TINY:
        return np.inf  # too small to have a square
    along = cross / square
    eta = along
    cosine = v / (radius * np.sqrt(square))
    if abs(cosine) < 1.0:
        across = np.sqrt(max(G[j, j] - along * along * square, 0.0))
        eta -= across * cosine / np.sqrt((1.0 - cosine * cosine) * square)
    eta = max(eta, 0.0)
    size = 2.0 * (G[j, j] + eta * eta * square)
    rest = max(G[j, j] - 2.0 * eta * cross + eta * eta * square, 0.0) + grain * size
    return radius * np.sqrt(rest) * (1.0 + grain) + eta * v + grain * abs(eta * v)
