"""Lower bounds on what one patch can lose, from one Lagrangian.

Against a rival class the margin of the patch network is a sum over patches of
``phi(delta) = sum_k sign_k sigma(t_k + <w_k, delta>)``: the m neurons of the true class with
sign +1, then the m of the rival with -1, ``t_k = <w_k, X[p]>``, and
``sigma(z) = 0 | z^q / (q rho^(q-1)) | z - (1 - 1/q) rho`` below 0, up to rho, beyond. With
multipliers a_k for ``s_k = <w_k, delta>``, mu_k >= 0 for ``s_k^2 = <w_k, delta>^2`` (rival
neurons only; the others are convex) and lam >= 0 for ``||delta||^2 <= r^2``, weak duality says

    phi  >=  sum_k min_{l_k <= s <= h_k} [sign_k sigma(t_k + s) - a_k s + mu_k s^2]
             + min_delta [delta^T P delta + <c, delta>] - lam r^2,

``P = lam I - sum_k mu_k w_k w_k^T`` positive definite, ``c = sum_k a_k w_k``: the dual of
:mod:`simulator.certificates.relaxation` for the smoothed ReLU. With mu = 0 it is the best convex
relaxation: tangents under sigma, chords under -sigma, and the ball term is ``-r ||c||``. The
curvatures mu make the many neurons of small weight nearly exact without any branching.

The ascent (Adam) needs the Gram matrix ``G = W W^T`` only. Its best point is evaluated once
more on the weights themselves, with the ball term bounded through any ``delta``, exact
minimiser or not: ``-delta^T P delta - r ||2 P delta + c||``. So soundness rests on no optimiser.
(This bound is a reading: the paper has attacks and no certificates.)
"""

import numpy as np

from simulator.certificates.patches.problem import ROUNDING, Boxes, PatchProblem
from simulator.jit import kernel

__all__ = ["tighten"]

GUARD = 1e-10  # P / lam is kept at least this definite
RATE = 0.05  # step length of Adam, falling to zero like a cosine


def tighten(problem: PatchProblem, boxes: Boxes, upper: np.ndarray, steps: int,
            curved: bool) -> None:
    """Climb the dual in every box, in place; a bound never gets worse.

    Parameters
    ----------
    problem : PatchProblem
    boxes : Boxes
    upper : ndarray, shape (c,)
        Stop once a bound exceeds this: what an attack on the patch reached, less a bit.
    steps : int
        At least 1; the first evaluates the multipliers as they are.
    curved : bool
        False leaves zero curvatures at zero: the convex relaxation.
    """
    _tighten(problem.W, problem.gram, problem.own, problem.T, problem.q, problem.rho,
             problem.radius, steps, curved, upper, *vars(boxes).values())


@kernel
def _sigma(z, q, rho):
    if z <= 0.0:
        return 0.0
    if z >= rho:
        return z - (1.0 - 1.0 / q) * rho
    return rho / q * (z / rho) ** q


@kernel
def _slope(z, q, rho):
    if z <= 0.0:
        return 0.0
    return 1.0 if z >= rho else (z / rho) ** (q - 1.0)


@kernel
def _own_minimum(t, a, low, high, q, rho):
    """Minimum of ``sigma(t + s) - a s`` on [low, high], and where: it is convex."""
    if a <= 0.0:
        s = low
    elif a >= 1.0:
        s = high
    else:
        s = min(max(rho * a ** (1.0 / (q - 1.0)) - t, low), high)
    return _sigma(t + s, q, rho) - a * s, s


@kernel
def _rival_minimum(t, a, mu, low, high, q, rho):
    """Lower bound of ``-sigma(t + s) - a s + mu s^2`` on [low, high], and where it is reached.

    Three pieces; on the outer two it is a convex parabola. On the middle one it is convex up
    to its inflection and concave beyond, so its minimum is a stationary point of the convex
    part, found by Newton's method from the left, or the right end. The tangent at the point
    found bounds the convex part, converged or not.
    """
    best, at = np.inf, low
    for piece in range(0, 3, 2):
        left = low if piece == 0 else max(low, rho - t)
        right = high if piece == 2 else min(high, -t)
        if left <= right:
            line = 0.0 if piece == 0 else 1.0
            if mu > 0.0:
                s = min(max(0.5 * (a + line) / mu, left), right)
            else:
                s = left if a + line < 0.0 else right
            value = -_sigma(t + s, q, rho) - a * s + mu * s * s
            if value < best:
                best, at = value, s
    left, right = max(low, -t), min(high, rho - t)
    if left >= right:
        return best, at
    for s in (left, right):
        value = -_sigma(t + s, q, rho) - a * s + mu * s * s
        if value < best:
            best, at = value, s
    if q > 2.0:
        inflection = rho * min(2.0 * mu * rho / (q - 1.0), 1.0) ** (1.0 / (q - 2.0)) - t
    else:
        inflection = right if 2.0 * mu * rho >= 1.0 else left
    end = min(right, inflection)
    s = left
    descent = -_slope(t + s, q, rho) - a + 2.0 * mu * s
    if descent >= 0.0 or end <= left:
        return best, at
    for _ in range(30):
        bend = 2.0 * mu - (q - 1.0) / rho * (max(t + s, 0.0) / rho) ** (q - 2.0)
        if bend <= 0.0 or s - descent / bend >= end:
            s = end
        else:
            s -= descent / bend
        descent = -_slope(t + s, q, rho) - a + 2.0 * mu * s
        if s == end or descent >= -1e-15:
            break
    value = -_sigma(t + s, q, rho) - a * s + mu * s * s
    value -= max(descent * (s - left), descent * (s - end), 0.0)
    if value < best:
        best, at = value, s
    return best, at


@kernel
def _gram_product(G, a, out):
    out[:] = 0.0
    for j in range(len(a)):
        if a[j] != 0.0:
            for i in range(len(a)):
                out[i] += G[j, i] * a[j]


@kernel
def _factored(G, own, mu, lam, L):
    """Cholesky factor of ``(1 - GUARD) I - D G D``, ``D = (mu / lam)^1/2``; False if indefinite."""
    p = len(mu) - own
    for i in range(p):
        for j in range(i + 1):
            total = -np.sqrt(mu[own + i] / lam * (mu[own + j] / lam)) * G[own + i, own + j]
            if i == j:
                total += 1.0 - GUARD
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i > j:
                L[i, j] = total / L[j, j]
            elif total <= 0.0:
                return False
            else:
                L[i, i] = np.sqrt(total)
    return True


@kernel
def _minimiser(G, own, a, mu, lam, L, b, moved):
    """Coefficients b of ``delta = W^T b = -P^{-1} c / 2`` and ``moved = W delta``."""
    p = len(mu) - own
    _gram_product(G, a, moved)
    for i in range(p):
        total = np.sqrt(mu[own + i] / lam) * moved[own + i]
        for k in range(i):
            total -= L[i, k] * b[own + k]
        b[own + i] = total / L[i, i]
    for i in range(p - 1, -1, -1):
        total = b[own + i]
        for k in range(i + 1, p):
            total -= L[k, i] * b[own + k]
        b[own + i] = total / L[i, i]
    for i in range(own):
        b[i] = -0.5 / lam * a[i]
    for i in range(own, len(mu)):
        b[i] = -0.5 / lam * (a[i] + np.sqrt(mu[i] / lam) * b[i])
    _gram_product(G, b, moved)


@kernel
def _inner_minima(own, t, low, high, q, rho, a, mu, s):
    total = 0.0
    for i in range(len(t)):
        if i < own:
            value, s[i] = _own_minimum(t[i], a[i], low[i], high[i], q, rho)
        else:
            value, s[i] = _rival_minimum(t[i], a[i], mu[i], low[i], high[i], q, rho)
        total += value
    return total


@kernel
def _ascend(G, own, t, low, high, q, rho, radius, a, mu, log_lam, steps, target, curved):
    """Climb the dual from (a, mu, log_lam) and leave the best point met in a and mu.

    Adam on ``a / scale``, ``mu / (lam unit)`` and ``log lam``; with ``mu = lam unit`` P is
    positive semidefinite (diagonal dominance), so unit is the natural scale. Returns log_lam
    and the coefficients of the minimiser of the ball term.
    """
    r = len(t)
    x, scale, unit = np.zeros(2 * r + 1), np.empty(r), np.zeros(r)
    for k in range(r):
        scale[k] = max(_slope(t[k] + high[k], q, rho), 1e-12)
        x[k] = a[k] / scale[k]
        if k >= own:
            unit[k] = 1.0 / max(np.sum(np.abs(G[k, own:])), 1e-300)
            x[r + k] = mu[k] / (np.exp(log_lam) * unit[k])
    x[2 * r] = log_lam
    first, second, gradient = np.zeros(2 * r + 1), np.zeros(2 * r + 1), np.zeros(2 * r + 1)
    s, b, moved, best_b = np.empty(r), np.empty(r), np.empty(r), np.zeros(r)
    here_a, here_mu, L = np.empty(r), np.empty(r), np.zeros((r - own, r - own))
    best, best_log = -np.inf, log_lam
    for step in range(steps):
        here_a[:] = x[:r] * scale
        if np.all(x[r:2 * r] == 0.0):  # the best lam for these slopes is known
            _gram_product(G, here_a, moved)
            length = np.sqrt(max(np.sum(here_a * moved), 0.0))
            x[2 * r] = np.log(max(0.5 * length / radius, 1e-300))
        lam = np.exp(x[2 * r])
        here_mu[:] = lam * unit * x[r:2 * r]
        while not _factored(G, own, here_mu, lam, L):
            x[r:2 * r] *= 0.9
            here_mu *= 0.9
        _minimiser(G, own, here_a, here_mu, lam, L, b, moved)
        square = np.sum(b * moved)
        value = (_inner_minima(own, t, low, high, q, rho, here_a, here_mu, s)
                 + 0.5 * np.sum(here_a * moved) - lam * radius * radius)
        if value > best:
            best, best_log = value, x[2 * r]
            a[:], mu[:], best_b[:] = here_a, here_mu, b
        if best >= target:
            break
        gradient[:r] = moved - s
        gradient[2 * r] = lam * (square - radius * radius)
        for k in range(own, r):
            excess = s[k] * s[k] - moved[k] * moved[k]
            gradient[r + k] = lam * unit[k] * excess
            gradient[2 * r] += here_mu[k] * excess
        rate = 0.5 * RATE * (1.0 + np.cos(np.pi * step / steps))
        for k in range(2 * r + 1):
            first[k] = 0.9 * first[k] + 0.1 * gradient[k]
            second[k] = 0.99 * second[k] + 0.01 * gradient[k] * gradient[k]
            if second[k] > 0.0 and (k < r or curved):
                x[k] += rate * (first[k] / (1.0 - 0.9 ** (step + 1))
                                / np.sqrt(second[k] / (1.0 - 0.99 ** (step + 1))))
        x[r:2 * r] = np.maximum(x[r:2 * r], 0.0)
    return best_log, best_b


@kernel
def _evaluated(W, own, t, low, high, q, rho, radius, a, mu, lam, b):
    """The bound at given multipliers, on the weights, with rounding on the safe side."""
    r, d = W.shape
    c, delta, P_delta = np.zeros(d), np.zeros(d), np.zeros(d)
    for k in range(r):
        for i in range(d):
            c[i] += a[k] * W[k, i]
            delta[i] += b[k] * W[k, i]
    for i in range(d):
        P_delta[i] = lam * delta[i]
    for k in range(own, r):
        if mu[k] > 0.0:
            along = 0.0
            for i in range(d):
                along += W[k, i] * delta[i]
            for i in range(d):
                P_delta[i] -= mu[k] * along * W[k, i]
    rest = 0.0
    ball = lam * radius * radius
    size = ball
    flat = True
    for k in range(own, r):
        flat = flat and mu[k] == 0.0
    for i in range(d):
        if flat:
            rest += c[i] * c[i]
        else:
            rest += (2.0 * P_delta[i] + c[i]) ** 2
            ball += delta[i] * P_delta[i]
            size += abs(delta[i] * P_delta[i])
    rest = radius * np.sqrt(rest)
    if flat:
        ball, size = 0.0, 0.0
    s = np.empty(r)
    value = _inner_minima(own, t, low, high, q, rho, a, mu, s) - ball - rest
    size += rest
    for k in range(r):
        size += (abs(t[k]) + max(abs(low[k]), abs(high[k])) * (1.0 + abs(a[k]))
                 + mu[k] * s[k] * s[k])
    return value - ROUNDING * size


@kernel
def _tighten(W, G, own, T, q, rho, radius, steps, curved, upper, patch, lows, highs, slopes,
             curvatures, logs, coefficients, gaps, bounds):
    for c in range(len(patch)):
        if bounds[c] >= upper[c]:
            continue
        t, low, high = T[patch[c]], lows[c], highs[c]
        index = np.flatnonzero(t + high > 0.0)  # the others stay at zero in the whole box
        if len(index) == 0:
            bounds[c] = max(bounds[c], 0.0)
            continue
        first = np.searchsorted(index, own)
        few = np.empty((len(index), len(index)))
        for i in range(len(index)):
            few[i] = G[index[i]][index]
        t, low, high = t[index], low[index], high[index]
        a, mu = slopes[c][index], curvatures[c][index]
        log_lam, b = _ascend(few, first, t, low, high, q, rho, radius, a, mu, logs[c], steps,
                             upper[c], curved)
        bound = _evaluated(W[index], first, t, low, high, q, rho, radius, a, mu,
                           np.exp(log_lam), b)
        if bound > bounds[c]:
            bounds[c] = bound
        logs[c] = log_lam
        slopes[c], curvatures[c], coefficients[c], gaps[c] = 0.0, 0.0, 0.0, 0.0
        moved = np.empty(len(index))
        _gram_product(few, b, moved)
        for i in range(len(index)):
            k = index[i]
            slopes[c, k], curvatures[c, k], coefficients[c, k] = a[i], mu[i], b[i]
            if k >= own and high[i] - low[i] > 1e-9 * (1.0 + abs(t[i])):
                s = min(max(moved[i], low[i]), high[i])
                term = -_sigma(t[i] + s, q, rho) - a[i] * s + mu[i] * s * s
                least, _ = _rival_minimum(t[i], a[i], mu[i], low[i], high[i], q, rho)
                gaps[c, k] = max(term - least, 0.0)
