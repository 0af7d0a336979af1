"""Lower bounds of a margin from multipliers, in exact arithmetic.

In a part of the ball, with the multipliers a_i, mu_i, lam of its leaf,

    margin  >=  sum_i min_{low_i <= s <= high_i} [S_b(t_i + s) - a_i s + mu_i s^2]
                + min_{||delta|| <= r} [delta^T P delta + <c, delta>] - r^2 sum_k lam_k,

with ``c = sum_i a_i w_i`` and ``P = diag(lam) - sum_i mu_i w_i w_i^T``: for l_inf
``delta_k^2 <= r^2`` for each k, for l2 there is one lam, and it is ``||delta||^2 <= r^2``. Nothing
is asked of the multipliers but lam >= 0. The sum runs over all m neurons; one that the proof does
not name has a_i = mu_i = 0, or a_i = 1 where it is said to be linear, and gets its minimum like
any other. The second minimum is bounded through the leaf's delta_0, after a shift of P that makes
it semidefinite (:mod:`simulator.certificates.checker.definite`):

    >=  -delta_0^T Q delta_0 - r ||2 Q delta_0 + c||_* - shift max ||delta||_2^2,   Q = P + shift I.

The separable bound needs lam alone. For columns D_j of a dictionary, any numbers C_i and any choice
of a feature j(i) for each neuron, let ``v_i = w_i - C_i D_j(i)``. Then ``<w_i, delta> >= C_i s_j(i)
- r ||v_i||_*`` with ``s_j = <D_j, delta>``, S_b ascends, and ``sum_j s_j^2 <= ||D^T||^2 max
||delta||_2^2``, so

    margin  >=  sum_j min_{|s| <= r ||D_j||_*} [H_j(s) + lam s^2] - lam ||D^T||^2 max ||delta||_2^2,
    H_j(s) = sum_{i: j(i) = j} S_b(t_i + C_i s - r ||v_i||_*),

without any orthonormality of D; ``||D^T||^2`` is at most the largest row sum of ``|D^T D|``.
Neurons closed in the whole ball are zero in it and are left out of H_j.
"""

from fractions import Fraction

import numpy as np

from simulator.certificates.checker.definite import shift_to_definite
from simulator.certificates.checker.exact import Exact, quotient_up
from simulator.certificates.checker.problem import Problem, Unproven, dual_norms_up, soft_threshold
from simulator.certificates.checker.tree import Part, parts
from simulator.certificates.proofs import Leaf, Proof
from simulator.heartbeat import beat

__all__ = ["inner_minima", "leaves_bound", "separable_bound"]

ZERO = Exact.zeros()


def leaves_bound(problem: Problem, proof: Proof) -> Exact | None:
    """Return the least bound of a proof's leaves; None where all of them are empty.

    Raises
    ------
    Unproven
        The leaves leave out a part of the ball, or one is said to be empty that is not.
    """
    m, d = problem.network.weights.shape
    cut = np.concatenate([np.zeros(0, int), *(leaf.cut_neurons for leaf in proof.leaves)])
    # the proof's own neurons first: the multipliers are theirs; the others' are 0, or a_i = 1
    others = np.setdiff1d(cut, proof.neurons)
    tracked = np.concatenate([proof.neurons, others]).astype(int)
    own_slopes = np.zeros(m)
    own_slopes[proof.linear] = 1.0
    rest = np.setdiff1d(np.arange(m), tracked)
    reach, none = problem.reach[rest], Exact.zeros(len(rest))
    constant = inner_minima(problem.t[rest], Exact.of(own_slopes[rest]), none, -reach, reach,
                            problem.network.b, problem.grid).sum()
    linear = Exact.of(own_slopes[rest]) @ problem.network.W[rest]
    least = None
    for part in parts(problem, proof.leaves, tracked):
        beat()
        if part.is_empty:
            continue
        if part.leaf.empty >= 0:
            raise Unproven(f"leaf {part.number}: expected an empty part, as it is said to be, got "
                           "one whose intervals have points")
        slopes = np.concatenate([part.leaf.slopes, own_slopes[others]])
        curvatures = np.concatenate([part.leaf.curvatures, np.zeros(len(others))])
        bound = constant + _part_bound(problem, part, tracked, slopes, curvatures, linear)
        least = bound if least is None else least.minimum(bound)
    return least


def _part_bound(problem: Problem, part: Part, neurons: np.ndarray, slopes: np.ndarray,
                curvatures: np.ndarray, linear: Exact) -> Exact:
    """The bound in one part without the neurons of the rest."""
    a, mu = Exact.of(slopes), Exact.of(curvatures)
    W = problem.network.W[neurons]
    c = linear + a @ W
    inner = inner_minima(problem.t[neurons], a, mu, part.low, part.high, problem.network.b,
                         problem.grid)
    ball = (_curved_minimum(problem, neurons, curvatures, c, part.leaf) if curvatures.any()
            else -(problem.r * dual_norms_up(c[None], problem.is_l2)[0]))
    return inner.sum() + ball


def _curved_minimum(problem: Problem, neurons: np.ndarray, curvatures: np.ndarray, c: Exact,
                    leaf: Leaf) -> Exact:
    """At least the minimum of the ball term, with the price of lam taken off."""
    curved = np.flatnonzero(curvatures)
    d = len(leaf.point)
    lam = np.broadcast_to(leaf.lam, d)
    shift = shift_to_definite(problem.network.weights[neurons[curved]], curvatures[curved], lam)
    W, mu = problem.network.W[neurons[curved]], Exact.of(curvatures[curved])
    delta = Exact.of(leaf.point)
    Q_delta = (Exact.of(lam) + shift) * delta - (mu * (W @ delta)) @ W
    rest = dual_norms_up((Q_delta + Q_delta + c)[None], problem.is_l2)[0]
    square = problem.r * problem.r
    return -(delta @ Q_delta + problem.r * rest + square * Exact.of(leaf.lam).sum()
             + shift * _most_square(problem))


def _most_square(problem: Problem) -> Exact:
    """``max ||delta||_2^2`` over the ball."""
    square = problem.r * problem.r
    return square if problem.is_l2 else square * Exact(problem.network.weights.shape[1], 0)


def inner_minima(t: Exact, a: Exact, mu: Exact, low: Exact, high: Exact, b: Exact,
                 grid: int) -> Exact:
    """Return at most ``min_{low <= s <= high} [S_b(t + s) - a s + mu s^2]``, shape (q,).

    On each of the three pieces of S_b that is a parabola, least at an end or, if it opens upward,
    at its vertex. Exact, but for the drop to the vertex, which is rounded up to ``2**-grid``.
    """
    least = (soft_threshold(t + low, b) - a * low + mu * low * low)
    one = Exact(np.ones(t.shape, dtype=int), 0)
    pieces = ((one - a, t + b, low, high.minimum(-b - t)),
              (-a, t - t, low.maximum(-b - t), high.minimum(b - t)),
              (one - a, t - b, low.maximum(b - t), high))
    for slope, offset, left, right in pieces:
        there = left <= right
        for s in (left, right):
            value = offset + slope * s + mu * s * s
            least = value.minimum(least).where(there, least)
        twice = mu + mu  # the vertex is at -slope / (2 mu)
        vertex = there & (ZERO < mu) & (twice * left < -slope) & (-slope < twice * right)
        safe = mu.where(vertex, one)
        drop = quotient_up(slope * slope, safe + safe + safe + safe, grid)
        least = (offset - drop).minimum(least).where(vertex, least)
    return least


def separable_bound(problem: Problem, lam: float, dictionary: np.ndarray | None) -> Fraction:
    """Return the separable bound of one lam >= 0.

    Parameters
    ----------
    problem : Problem
    lam : float
    dictionary : ndarray, shape (d, d), or None
        Features in its columns; None is the identity, and what an l_inf ball needs.
    """
    network = problem.network
    m, d = network.weights.shape
    D = np.eye(d) if dictionary is None else dictionary
    C = network.weights if dictionary is None else network.weights @ D
    feature = np.abs(C).argmax(axis=1)
    peaks = Exact.of(C[np.arange(m), feature])
    columns = Exact.of(D.T)
    mixtures = network.W - Exact(peaks.numbers[:, None], peaks.scale) * columns[feature]
    falls = problem.t - (problem.r * dual_norms_up(mixtures, problem.is_l2)).raised(problem.grid)
    is_open = network.b < abs(problem.t) + problem.reach
    ends = problem.r * dual_norms_up(columns, problem.is_l2)
    price = _most_square(problem)
    if dictionary is not None:
        price = price * _largest(abs(columns @ columns.T).sum(axis=1))
    total = -Fraction(lam) * price.fraction()
    b, grid = network.b.fraction(), Fraction(2) ** problem.grid
    for j in range(d):
        beat()
        own = np.flatnonzero((feature == j) & is_open)
        pairs = [(falls[i].fraction(), peaks[i].fraction()) for i in own]
        least = _feature_minimum(pairs, b, Fraction(lam), ends[j].fraction())
        total += (least * grid // 1) / grid  # rounded down: denominators stay short
    return total


def _largest(values: Exact) -> Exact:
    return Exact(max(values.numbers.tolist()), values.scale)


def _feature_minimum(pairs: list[tuple[Fraction, Fraction]], b: Fraction, lam: Fraction,
                     end: Fraction) -> Fraction:
    """``min_{|s| <= end} [sum S_b(t + C s) + lam s^2]`` over pairs (t, C), exactly.

    The sum is linear between neighbouring kinks, so that two values tell its slope there.
    """
    kinks = {(kink - t) / C for t, C in pairs if C != 0 for kink in (-b, b)}
    points = sorted({-end, end} | {s for s in kinks if -end < s < end})
    values = [sum((_soft(t + C * s, b) for t, C in pairs), Fraction(0)) for s in points]
    least = min(value + lam * s * s for value, s in zip(values, points))
    if lam == 0:
        return least
    for left, right, at_left, at_right in zip(points, points[1:], values, values[1:]):
        slope = (at_right - at_left) / (right - left)
        s = -slope / (2 * lam)
        if left < s < right:
            least = min(least, at_left + slope * (s - left) + lam * s * s)
    return least


def _soft(u: Fraction, b: Fraction) -> Fraction:
    return u - b if u > b else u + b if u < -b else Fraction(0)
