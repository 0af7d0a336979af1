"""The separable bound: feature by feature, mixtures by their norm.

In a purified network neuron i is a peak ``C_i`` of one feature j(i) and a mixture v_i of all the
others. Give the mixture its worst case, ``r ||v_i||_*``, and the l2 budget a multiplier lam:

    y f  >=  max_lam  sum_j min_{|s| <= r} [H_j(s) + lam s^2] - lam r^2,
    H_j(s) = sum_{i: j(i) = j} S_b(t_i + C_i s - r ||v_i||_*).

H_j is piecewise linear, so the inner minimum is at a break point or inside one piece; the outer
maximum is that of a concave function of one number. (An l_inf ball is a product of intervals:
there lam = 0, without loss.) A reading of section 6 of Allen-Zhu & Li (arXiv 2005.10190).

A dictionary D is orthonormal up to rounding at best. So ``v_i = w_i - C_i D_j`` is computed as
what is left of w_i, which is exact for any C_i; only the budget ``sum_j <D_j, delta>^2 <= r^2``
needs the columns, and takes ``||D^T D||`` times as much.
"""

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.inputs import SignedInputs, grain, require_ball, signed_inputs
from simulator.checks import require_orthonormal
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

__all__ = ["separable_bounds", "separable_dual"]

# Bisection of lam. More halvings only sharpen the bound, and every lam is sound: 50 exhaust a
# float64, and 1e-6 of the upper end, reached after 20, moves the bound by its square.
HALVINGS = 50
LAM_TOLERANCE = 1e-6


def separable_dual(network: SymmetricReLU, batch: Batch, ball: L2Ball | LinfBall, *,
                   dictionary: np.ndarray | None = None) -> np.ndarray:
    """Bound every margin feature by feature, mixtures by their norm.

    Parameters
    ----------
    network, batch, ball
        As in :func:`~simulator.certificates.margins.certify`.
    dictionary : ndarray, shape (d, d), or None
        Orthonormal, features in its columns; None is the identity. An l_inf ball needs the
        identity: it is a product of intervals in no other basis.

    Returns
    -------
    ndarray, shape (n,)
    """
    inputs = signed_inputs(network, batch, require_ball(ball))
    return separable_bounds(inputs, dictionary)[0] * inputs.unit


def separable_bounds(inputs: SignedInputs, dictionary: np.ndarray | None = None
                     ) -> tuple[np.ndarray, np.ndarray]:
    """Return :func:`separable_dual` of inputs that are checked, and the best lam.

    Returns
    -------
    bounds, lam : ndarray, shape (n,)
        In units of the inputs.
    """
    W, T, b, ball = inputs.W, inputs.T, inputs.bias, inputs.ball
    (m, d), is_l2 = W.shape, isinstance(ball, L2Ball)
    C, mixtures, radius = W, W.copy(), ball.radius
    if dictionary is not None:
        if not is_l2:
            raise ValueError("dictionary: expected None, got a matrix: an l_inf ball is a "
                             "product of intervals in the coordinates of x only")
        dictionary = require_orthonormal("dictionary", dictionary, d)
        C = W @ dictionary
        radius *= 1.0 + _excess(dictionary)
    feature = np.abs(C).argmax(axis=1)
    peaks = C[np.arange(m), feature]
    if dictionary is None:
        mixtures[np.arange(m), feature] = 0.0
    else:
        mixtures -= peaks[:, None] * dictionary.T[feature]
    order = np.argsort(feature, kind="stable")
    groups = np.searchsorted(feature[order], np.arange(d + 1))
    peaks = peaks[order]
    slack = ball.radius * ball.dual_norm(mixtures[order])
    reach = ball.radius * ball.dual_norm(W[order])
    bounds, lam = np.empty(len(T)), np.empty(len(T))
    for row, t in enumerate(np.ascontiguousarray(T[:, order])):
        beat()
        live = np.abs(t) + reach > b
        bounds[row], lam[row] = _bound(t, peaks, slack, live, groups, b, radius, is_l2)
    sizes = np.abs(T).sum(axis=1) + m * b + 4.0 * (reach.sum() + radius * np.abs(peaks).sum())
    return bounds - inputs.doubt - 2.0 * grain(m, d) * sizes, lam


def _excess(dictionary: np.ndarray) -> float:
    """By how much ``||D delta||`` can exceed ``||delta||``, relative: half of ``||D^T D - I||``."""
    d = len(dictionary)
    error = dictionary.T @ dictionary - np.eye(d)
    return 0.5 * float(np.linalg.norm(error)) + d * grain(d)


@kernel
def _bound(t: np.ndarray, peaks: np.ndarray, slack: np.ndarray, live: np.ndarray,
           groups: np.ndarray, b: float, radius: float, is_l2: bool) -> tuple[float, float]:
    """Separable bound of one sample, and its lam: break points of every H_j, then the best lam."""
    m, d = len(t), len(groups) - 1
    points, values = np.empty(2 * m + 2 * d), np.empty(2 * m + 2 * d)
    pieces = np.empty(d + 1, np.int64)
    steepness, count = 0.0, 0
    for j in range(d):
        pieces[j] = count
        slope, end = _break_points(t, peaks, slack, live, groups[j:j + 2], b, radius, points,
                                   count)
        steepness += slope * slope
        for k in range(count, end):
            values[k] = _feature_value(t, peaks, slack, live, b, groups[j], groups[j + 1],
                                       points[k])
        count = end
    pieces[d] = count
    high = np.sqrt(steepness) / radius if is_l2 and radius > 0.0 else 0.0
    return _best_lam(points, values, pieces, radius, high)


@kernel
def _break_points(t: np.ndarray, peaks: np.ndarray, slack: np.ndarray, live: np.ndarray,
                  group: np.ndarray, b: float, radius: float, points: np.ndarray,
                  start: int) -> tuple[float, int]:
    """Write the break points of H_j in [-radius, radius] from ``start`` on, ascending.

    Returns the largest slope that H_j can have, and where the points end.
    """
    points[start], points[start + 1] = -radius, radius
    count, slope = start + 2, 0.0
    for i in range(group[0], group[1]):
        if live[i] and peaks[i] != 0.0:
            slope += abs(peaks[i])
            for kink in (-b, b):
                s = (kink - t[i] + slack[i]) / peaks[i]
                if abs(s) < radius:
                    points[count] = s
                    count += 1
    kinks = points[start:count]
    kinks.sort()
    return slope, count


@kernel
def _feature_value(t: np.ndarray, peaks: np.ndarray, slack: np.ndarray, live: np.ndarray, b: float,
                   first: int, last: int, s: float) -> float:
    """H_j(s), over the neurons first..last of one feature."""
    total = 0.0
    for i in range(first, last):
        if live[i]:
            u = t[i] + peaks[i] * s - slack[i]
            if u > b:
                total += u - b
            elif u < -b:
                total += u + b
    return total


@kernel
def _best_lam(points: np.ndarray, values: np.ndarray, pieces: np.ndarray, radius: float,
              high: float) -> tuple[float, float]:
    """Bisect lam in [0, high]: concave, with derivative ``||s||^2 - radius^2``."""
    low, lam, best, best_lam = 0.0, 0.0, -np.inf, 0.0
    for _ in range(HALVINGS):
        total, square = _dual_value(points, values, pieces, radius, lam)
        if total > best:
            best, best_lam = total, lam
        if high == 0.0:
            break
        if square > radius * radius:
            low = lam
        else:
            high = lam
        if high - low <= LAM_TOLERANCE * high:
            break
        lam = 0.5 * (low + high)
    return best, best_lam


@kernel
def _dual_value(points: np.ndarray, values: np.ndarray, pieces: np.ndarray, radius: float,
                lam: float) -> tuple[float, float]:
    """``sum_j min_s [H_j(s) + lam s^2] - lam radius^2``, and ``sum_j s_j^2`` at the minimum."""
    total, square = -lam * radius * radius, 0.0
    for j in range(len(pieces) - 1):
        first = pieces[j]
        least, at = values[first] + lam * points[first] ** 2, points[first]
        for k in range(first, pieces[j + 1] - 1):
            left, right = points[k], points[k + 1]
            value, s = values[k + 1] + lam * right * right, right
            if lam > 0.0 and right > left:
                slope = (values[k + 1] - values[k]) / (right - left)
                inside = -0.5 * slope / lam
                if left < inside < right:
                    s = inside
                    value = values[k] + slope * (s - left) + lam * s * s
            if value < least:
                least, at = value, s
        total += least
        square += at * at
    return total, square
