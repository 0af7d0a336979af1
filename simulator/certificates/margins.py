"""Certified margins: sound lower bounds of ``y f(x + delta)`` over a ball.

An attack bounds robust accuracy from above; "robust to ANY perturbation" needs a bound from
below. For ``f(x) = sum_i S_b(<w_i, x>)`` (S_b the soft threshold), with ``t_i = y <w_i, x>``:

    linear      lines of slope a_i under S_b (CROWN, slopes optimised):
                sum_i intercept_i(a_i) - r ||sum_i a_i w_i||_*
    separable   for purified networks: neuron i = peak C_i of feature j(i) + mixture v_i,
                max_lam sum_j min_s [H_j(s) + lam s^2] - lam r^2,
                H_j(s) = sum_{i: j(i) = j} S_b(t_i + C_i s - r ||v_i||_*)
    quadratic   both at once, without a dictionary: :mod:`simulator.certificates.relaxation`
    branching   splits at the kinks, bounded by "quadratic": :mod:`simulator.certificates.branch_and_bound`

Neurons that stay below the threshold in the whole ball, ``|t_i| + r ||w_i||_* <= b``, drop out
of all of them. Every bound is sound on its own (up to rounding, which is taken off), so
:func:`certify` runs them from cheap to dear, each on the samples the earlier ones left open.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.branch_and_bound import search
from simulator.certificates.dual_ascent import ascend
from simulator.certificates.relaxation import ROUNDING, Relaxation, tight_lines
from simulator.checks import (require_array, require_choice, require_finite, require_int,
                              require_labels, require_orthonormal, require_real)
from simulator.jit import kernel
from simulator.networks.symmetric_relu import SymmetricReLU, soft_threshold

__all__ = ["METHODS", "Certificates", "certify", "linear_relaxation", "quadratic_dual",
           "separable_dual"]

METHODS = ("linear", "separable", "quadratic", "branching")


@dataclass(frozen=True)
class Certificates:
    """Lower bounds on the margins of n samples in one ball.

    Attributes
    ----------
    margins : ndarray, shape (n,)
        The best lower bound of each sample; it is certified where this is above the target.
    margins_of : dict of str to ndarray, shape (n,)
        Bound by each method; NaN where a method was not needed.
    method : ndarray of str, shape (n,)
        The method that gave the best bound.
    seconds : ndarray, shape (n,)
        Time spent on each sample.
    upper : ndarray, shape (n,)
        Smallest margin met: at the given start or in the search. The true worst margin is
        between ``margins`` and ``upper``.
    delta : ndarray, shape (n, d)
        The perturbation of x that reaches ``upper``.
    """

    margins: np.ndarray
    margins_of: dict[str, np.ndarray]
    method: np.ndarray
    seconds: np.ndarray
    upper: np.ndarray
    delta: np.ndarray

    def accuracy(self, name: str | None = None) -> float:
        """Share of samples certified right by method ``name``, or by the best of all."""
        margins = self.margins if name is None else self.margins_of[name]
        return float(np.mean(margins > 0.0))


def certify(network: SymmetricReLU, X: np.ndarray, y: np.ndarray, ball: L2Ball | LinfBall,
            start: np.ndarray | None = None, methods: Sequence[str] = ("linear", "quadratic",
                                                                       "branching"),
            dictionary: np.ndarray | None = None, nodes: int = 100,
            seconds: float = float("inf"), target: float = 0.0,
            steps: int = 300, root_steps: int = 2000) -> Certificates:
    """Certify as many samples as possible.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing; bounds are computed in float64 on its weights as they are.
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    ball : L2Ball or LinfBall
    start : ndarray, shape (n, d), or None
        Perturbations of an attack (``worst_case(...).delta``): they save time, and samples
        they break are not tried.
    methods : sequence of str
        Out of ``METHODS``, run in order.
    dictionary : ndarray, shape (d, d), or None
        For "separable"; None is the identity.
    nodes : int
        Boxes of branch and bound for each sample.
    seconds : float
        Further limit on them, by the clock; results then depend on the machine.
    target : float
        A method is done with a sample once its bound exceeds this: 0 decides robustness.
        Infinite: run every method to its end on every sample.
    steps : int
        Steps of ascent of "quadratic".
    root_steps : int
        Steps of ascent of "branching" before the first split. Ascent in the curvatures is
        slow; on the few samples that are left, long ascent saves more boxes than it costs.
    """
    for name in methods:
        require_choice("methods", name, METHODS)
    X, y, T = _signed_inputs(network, X, y)
    require_int("nodes", nodes, low=1)
    if seconds != np.inf:
        require_real("seconds", seconds, low=0.0)
    require_int("steps", steps, low=1)
    require_int("root_steps", root_steps, low=1)
    W = network.weights.astype(np.float64)
    plain = SymmetricReLU(W, network.bias)
    delta = _starts(start, X, ball)
    upper = plain.margins(X + delta, y)
    clean = plain.margins(X, y)
    delta[clean < upper] = 0.0
    upper = np.minimum(upper, clean)
    margins = np.full(len(X), -np.inf)
    method = np.full(len(X), "none", dtype="<U9")
    spent, margins_of = np.zeros(len(X)), {}
    for name in methods:
        tried = np.flatnonzero(margins <= target) if target == np.inf else np.flatnonzero(
            (margins <= target) & (upper > target))
        found = np.full(len(X), np.nan)
        began = time.perf_counter()
        if name == "linear":
            found[tried] = linear_relaxation(plain, X[tried], y[tried], ball)
        elif name == "separable":
            found[tried] = separable_dual(plain, X[tried], y[tried], ball, dictionary)
        else:
            for n in tried:
                began_sample = time.perf_counter()
                if ball.radius == 0.0:
                    found[n] = clean[n]
                    continue
                problem = Relaxation.of_sample(W, T[n], network.bias, ball)
                if name == "quadratic":
                    value, point = problem.descend(y[n] * delta[n])
                    found[n] = problem.maximise(problem.start(point), steps, target)[0]
                else:
                    result = search(problem, y[n] * delta[n], nodes, seconds, target,
                                    root_steps=root_steps)
                    found[n], value, point = result.lower, result.upper, result.delta
                if value < upper[n]:
                    upper[n], delta[n] = value, y[n] * point
                spent[n] += time.perf_counter() - began_sample
        if name in ("linear", "separable"):
            spent[tried] += (time.perf_counter() - began) / max(len(tried), 1)
        better = np.nan_to_num(found, nan=-np.inf) > margins
        margins[better], method[better] = found[better], name
        margins_of[name] = found
    return Certificates(margins, margins_of, method, spent, upper, delta)


def quadratic_dual(network: SymmetricReLU, X: np.ndarray, y: np.ndarray,
                   ball: L2Ball | LinfBall, start: np.ndarray | None = None, steps: int = 300,
                   target: float = np.inf) -> np.ndarray:
    """Bound every margin by the Lagrangian with curvatures.

    Parameters
    ----------
    network, X, y, ball, start
        As in :func:`certify`.
    steps : int
        Steps of ascent at most, for each sample; 1 is the closed form alone.
    target : float
        As in :func:`certify`.

    Returns
    -------
    ndarray, shape (n,)
    """
    found = certify(network, X, y, ball, start, ("quadratic",), target=target, steps=steps)
    return found.margins


def linear_relaxation(network: SymmetricReLU, X: np.ndarray, y: np.ndarray,
                      ball: L2Ball | LinfBall, steps: int = 100,
                      rate: float = 0.1) -> np.ndarray:
    """Bound every margin by lines under S_b with optimised slopes, all samples together.

    Parameters
    ----------
    network, X, y, ball
        As in :func:`certify`.
    steps : int
        Steps of ascent in the slopes, which start as the chords of the intervals.
    rate : float
        Step length of Adam, falling to zero like a cosine.

    Returns
    -------
    ndarray, shape (n,)
    """
    X, y, T = _signed_inputs(network, X, y)
    require_int("steps", steps, low=1)
    require_real("rate", rate, low=0.0, open_low=True)
    W, b = network.weights.astype(np.float64), network.bias
    reach = ball.radius * ball.dual_norm(W)
    alive = (np.abs(T) + reach > b).any(axis=0)
    W, T, reach = W[alive], np.ascontiguousarray(T[:, alive]), reach[alive]
    width = np.where(reach > 0.0, reach, 1.0)
    slopes = (soft_threshold(T + reach, b) - soft_threshold(T - reach, b)) / (2.0 * width)
    moments = np.zeros((2, slopes.size))
    best = np.full(len(X), -np.inf)
    for step in range(steps):
        mixed = slopes @ W
        intercepts, touching = tight_lines(T, slopes, reach, b)
        fall = ball.radius * ball.dual_norm(mixed)
        size = (np.abs(intercepts) + np.abs(T)).sum(axis=1) + fall
        np.maximum(best, intercepts.sum(axis=1) - fall - ROUNDING * size, out=best)
        gradient = (ball.steepest(-mixed) @ W.T - touching) / width
        ascend(slopes.reshape(-1), gradient.reshape(-1), moments, step,
               0.5 * rate * (1.0 + np.cos(np.pi * step / steps)))
        np.clip(slopes, 0.0, 1.0, out=slopes)
    return best


def separable_dual(network: SymmetricReLU, X: np.ndarray, y: np.ndarray,
                   ball: L2Ball | LinfBall, dictionary: np.ndarray | None = None) -> np.ndarray:
    """Bound every margin feature by feature, mixtures by their norm.

    Parameters
    ----------
    network, X, y, ball
        As in :func:`certify`.
    dictionary : ndarray, shape (d, d), or None
        Orthonormal, features in its columns; None is the identity. An l_inf ball needs the
        identity: it is a product of intervals in no other basis.

    Returns
    -------
    ndarray, shape (n,)
    """
    X, y, T = _signed_inputs(network, X, y)
    W = network.weights.astype(np.float64)
    C, d, is_l2 = W, W.shape[1], isinstance(ball, L2Ball)
    if dictionary is not None:
        if not is_l2:
            raise ValueError("dictionary: expected None, got a matrix: an l_inf ball is a "
                             "product of intervals in the coordinates of x only")
        C = W @ require_orthonormal("dictionary", dictionary, d)
    feature = np.abs(C).argmax(axis=1)
    order = np.argsort(feature, kind="stable")
    peaks = C[order, feature[order]]
    mixtures = C[order].copy()
    mixtures[np.arange(len(order)), feature[order]] = 0.0
    reach = ball.radius * ball.dual_norm(W[order])
    bounds = np.empty(len(X))
    _separable_bounds(np.ascontiguousarray(T[:, order]), peaks,
                      ball.radius * ball.dual_norm(mixtures), reach,
                      np.searchsorted(feature[order], np.arange(d + 1)), network.bias,
                      ball.radius, is_l2, bounds)
    size = np.abs(T).sum(axis=1) + reach.sum() + ball.radius * np.abs(peaks).sum()
    return bounds - ROUNDING * size


def _signed_inputs(network: SymmetricReLU, X: np.ndarray,
                   y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the inputs; return X (n, d), y (n,) and ``y_n <w_i, x_n>`` (n, m) in float64."""
    if network.smoothing > 0.0:
        raise ValueError(f"network: expected no smoothing, got {network.smoothing}: "
                         "the bounds are for the plain soft threshold")
    W = require_finite("weights", network.weights.astype(np.float64))
    X = require_finite("X", require_array("X", X, (None, W.shape[1]),
                                          why="the network reads that many coordinates",
                                          dtype=np.dtype(np.float64)))
    y = require_labels("y", y, len(X), X.dtype)
    return X, y, y[:, None] * (X @ W.T)


def _starts(start: np.ndarray | None, X: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
    if start is None:
        return np.zeros_like(X)
    start = require_array("start", start, X.shape, why="one perturbation per sample",
                          dtype=X.dtype)
    return ball.project(require_finite("start", start)).copy()


@kernel
def _feature_value(t, peaks, mixtures, live, b, first, last, s):
    """H_j(s), over the neurons first..last of one feature."""
    total = 0.0
    for i in range(first, last):
        if live[i]:
            u = t[i] + peaks[i] * s - mixtures[i]
            if u > b:
                total += u - b
            elif u < -b:
                total += u + b
    return total


@kernel
def _separable_bounds(T, peaks, mixtures, reach, groups, b, radius, is_l2, bounds):
    n, m = T.shape
    d = len(groups) - 1
    points, values = np.empty(2 * m + 2 * d), np.empty(2 * m + 2 * d)
    starts, live = np.empty(d + 1, np.int64), np.empty(m, np.bool_)
    for row in range(n):
        t = T[row]
        count = 0
        steepness = 0.0
        for j in range(d):  # break points of H_j in [-radius, radius], ascending
            starts[j] = count
            points[count], points[count + 1] = -radius, radius
            count += 2
            slope = 0.0
            for i in range(groups[j], groups[j + 1]):
                live[i] = abs(t[i]) + reach[i] > b
                if live[i] and peaks[i] != 0.0:
                    slope += abs(peaks[i])
                    for kink in (-b, b):
                        s = (kink - t[i] + mixtures[i]) / peaks[i]
                        if abs(s) < radius:
                            points[count] = s
                            count += 1
            steepness += slope * slope
            points[starts[j]:count] = np.sort(points[starts[j]:count])
            for k in range(starts[j], count):
                values[k] = _feature_value(t, peaks, mixtures, live, b, groups[j],
                                           groups[j + 1], points[k])
        starts[d] = count
        low = 0.0
        high = np.sqrt(steepness) / radius if is_l2 and radius > 0.0 else 0.0
        lam = low
        best = -np.inf
        for _ in range(50):  # concave in lam, with derivative ||s||^2 - radius^2
            total = -lam * radius * radius if is_l2 else 0.0
            square = 0.0
            for j in range(d):
                least, at = values[starts[j]] + lam * points[starts[j]] ** 2, points[starts[j]]
                for k in range(starts[j], starts[j + 1] - 1):
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
            best = max(best, total)
            if not is_l2 or high == 0.0:
                break
            if square > radius * radius:
                low = lam
            else:
                high = lam
            if high - low <= 1e-6 * high:
                break
            lam = 0.5 * (low + high)
        bounds[row] = best
