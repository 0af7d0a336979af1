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

A proof may split its neurons' weights, ``w_i = g_i + e_i``: then mu_i bends ``<e_i, delta>`` alone,
P has e_i in place of w_i, and ``<g_i, delta>`` has a slope of its own; see :func:`split_minima`.

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
from typing import NamedTuple

import numpy as np

from simulator.certificates.checker.definite import shift_to_definite
from simulator.certificates.checker.exact import Exact, quotient_up
from simulator.certificates.checker.problem import Problem, Unproven, dual_norms_up, soft_threshold
from simulator.certificates.checker.tree import Part, parts
from simulator.certificates.proofs import Leaf, Proof
from simulator.heartbeat import beat

__all__ = ["inner_minima", "leaves_bound", "separable_bound", "split_minima"]

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
    split = _split(problem, proof, tracked)
    least = None
    for part in parts(problem, proof.leaves, tracked):
        beat()
        if part.is_empty:
            continue
        if part.leaf.empty >= 0:
            raise Unproven(f"leaf {part.number}: expected an empty part, as it is said to be, got "
                           "one whose intervals have points")
        bound = constant + _part_bound(problem, part, tracked, own_slopes[others], split, linear)
        least = bound if least is None else least.minimum(bound)
    return least


class _Weights(NamedTuple):
    """The weights (k, d) of some neurons in two parts, and how far each goes in the ball, (k,).

    Attributes
    ----------
    core : Exact or None
        None where all is rest.
    rest : Exact
    floats : ndarray, shape (k, d)
        ``rest`` as it was given.
    far_core, far_rest : Exact, shape (k,)
    """

    core: Exact | None
    rest: Exact
    floats: np.ndarray
    far_core: Exact
    far_rest: Exact


def _split(problem: Problem, proof: Proof, neurons: np.ndarray) -> _Weights:
    """Split the weights of the proof's neurons as it says; of others all is rest."""
    floats, W = problem.network.weights[neurons], problem.network.W[neurons]
    if len(proof.cores) == 0:
        return _Weights(None, W, floats, ZERO, problem.reach[neurons])
    is_core = np.zeros(floats.size, bool)
    is_core[proof.cores] = True
    is_core = is_core.reshape(floats.shape)
    core, rest = W.where(is_core, ZERO), W.where(~is_core, ZERO)
    far = [(problem.r * dual_norms_up(V, problem.is_l2)).raised(problem.grid)
           for V in (core, rest)]
    return _Weights(core, rest, np.where(is_core, 0.0, floats), *far)


def _part_bound(problem: Problem, part: Part, neurons: np.ndarray, others: np.ndarray,
                split: _Weights, linear: Exact) -> Exact:
    """The bound in one part without the neurons of the rest; ``others`` are slopes."""
    leaf, t, b = part.leaf, problem.t[neurons], problem.network.b
    curvatures = np.concatenate([leaf.curvatures, np.zeros(len(others))])
    a, mu = Exact.of(np.concatenate([leaf.slopes, others])), Exact.of(curvatures)
    c = linear + a @ split.rest
    if split.core is None:
        inner = inner_minima(t, a, mu, part.low, part.high, b, problem.grid)
    else:
        slopes = leaf.core_slopes if len(leaf.core_slopes) else leaf.slopes
        k = Exact.of(np.concatenate([slopes, others]))
        c = c + k @ split.core
        inner = split_minima(t, a, k, mu, split.far_core, split.far_rest, part.low, part.high, b,
                             problem.grid)
    ball = (_curved_minimum(problem, split, curvatures, c, leaf) if curvatures.any()
            else -(problem.r * dual_norms_up(c[None], problem.is_l2)[0]))
    return inner.sum() + ball


def _curved_minimum(problem: Problem, split: _Weights, curvatures: np.ndarray, c: Exact,
                    leaf: Leaf) -> Exact:
    """At least the minimum of the ball term, with the price of lam taken off."""
    curved = np.flatnonzero(curvatures)
    d = len(leaf.point)
    lam = np.broadcast_to(leaf.lam, d)
    shift = shift_to_definite(split.floats[curved], curvatures[curved], lam)
    W, mu = split.rest[curved], Exact.of(curvatures[curved])
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


def split_minima(t: Exact, a: Exact, k: Exact, mu: Exact, far_z: Exact, far_n: Exact, low: Exact,
                 high: Exact, b: Exact, grid: int) -> Exact:
    """Return at most ``min [S_b(t + z + n) - k z - a n + mu n^2]``, shape (q,).

    The minimum is over ``|z| <= far_z``, ``|n| <= far_n`` and ``low <= z + n <= high``. For a fixed
    n it is piecewise linear in z, and S_b bends downward at -b: it is least where z or z + n ends,
    or at ``z + n = b - t``. On each of these lines the minimum in n is that of parabolas. A neuron
    whose range is empty gets a number that means nothing, for its part is empty then.
    """
    least, met = a - a, np.zeros(t.shape, bool)
    for z in (-far_z, far_z):
        left, right = (-far_n).maximum(low - z), far_n.minimum(high - z)
        value = inner_minima(t + z, a, mu, left, right, b, grid) - k * z
        there = left <= right
        least, met = value.minimum(least).where(met, value).where(there, least), met | there
    for s in (low, high, b - t):
        left, right = (-far_n).maximum(s - far_z), far_n.minimum(s + far_z)
        value = _parabolas(soft_threshold(t + s, b) - k * s, k - a, mu, left, right, grid)
        there = (left <= right) & (low <= s) & (s <= high)
        least, met = value.minimum(least).where(met, value).where(there, least), met | there
    return least


def inner_minima(t: Exact, a: Exact, mu: Exact, low: Exact, high: Exact, b: Exact,
                 grid: int) -> Exact:
    """Return at most ``min_{low <= s <= high} [S_b(t + s) - a s + mu s^2]``, shape (q,).

    On each of the three pieces of S_b that is a parabola.
    """
    least = soft_threshold(t + low, b) - a * low + mu * low * low
    one = Exact(np.ones(t.shape, dtype=int), 0)
    pieces = ((one - a, t + b, low, high.minimum(-b - t)),
              (-a, t - t, low.maximum(-b - t), high.minimum(b - t)),
              (one - a, t - b, low.maximum(b - t), high))
    for slope, offset, left, right in pieces:
        value = _parabolas(offset, slope, mu, left, right, grid)
        least = value.minimum(least).where(left <= right, least)
    return least


def _parabolas(offset: Exact, slope: Exact, mu: Exact, left: Exact, right: Exact,
               grid: int) -> Exact:
    """Return at most ``min_{left <= s <= right} [offset + slope s + mu s^2]``, shape (q,).

    It is reached at an end or, if the parabola opens upward, at its vertex -slope / (2 mu). Exact,
    but for the drop to the vertex, which is rounded up to ``2**-grid``.
    """
    at_left, at_right = (offset + slope * s + mu * s * s for s in (left, right))
    twice = mu + mu
    vertex = (ZERO < mu) & (twice * left < -slope) & (-slope < twice * right)
    safe = mu.where(vertex, Exact(np.ones(mu.shape, dtype=int), 0))
    drop = quotient_up(slope * slope, safe + safe + safe + safe, grid)
    return (offset - drop).where(vertex, at_left.minimum(at_right))


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
