"""Bounds on what one patch can lose: from above by descent, from below by one Lagrangian.

Against a rival class the margin of the patch network is a sum over patches of
``phi(delta) = sum_k sign_k sigma(t_k + <w_k, delta>)``: the m neurons of the true class with
sign +1, then the m of the rival with -1, ``t_k = <w_k, X[p]>``, and
``sigma(z) = 0 | z^q / (q rho^(q-1)) | z - (1 - 1/q) rho`` below 0, up to rho, beyond.

**From above.** Every patch has a ball of its own, so the worst perturbation of a sample is the
worst one of each patch. Projected gradient descent of phi runs in the span of the neurons,
``delta = sum_k b_k w_k``, where a step needs one product with the Gram matrix ``G = W W^T``, and
from the best of several starts for each patch: a far stronger attack than one start for all.

**From below.** With multipliers a_k for ``s_k = <w_k, delta>``, mu_k >= 0 for
``s_k^2 = <w_k, delta>^2`` (rival neurons only; the others are convex) and lam >= 0 for
``||delta||^2 <= r^2``, weak duality says

    phi  >=  sum_k min_{l_k <= s <= h_k} [sign_k sigma(t_k + s) - a_k s + mu_k s^2]
             + min_delta [delta^T P delta + <c, delta>] - lam r^2,

``P = lam I - sum_k mu_k w_k w_k^T`` positive definite, ``c = sum_k a_k w_k``: the dual of
:mod:`simulator.certificates.relaxation` for the smoothed ReLU. With mu = 0 it is the best convex
relaxation: tangents under sigma, chords under -sigma, and the ball term is ``-r ||c||``. The
curvatures mu make the many neurons of small weight nearly exact without any branching.

In an l_inf ball, without curvatures, the ball term is ``-r ||c||_1``: the best convex relaxation
there.

The ascent (Adam) needs G only. Its best point is evaluated once more on the weights themselves,
with the ball term bounded through any ``delta``, exact minimiser or not:
``-delta^T P delta - r ||2 P delta + c||``. So soundness rests on no optimiser, and what rounding
can do is taken off relative to the magnitudes of all terms (:mod:`simulator.certificates.inputs`).
(This bound is a reading: the paper, arXiv 2410.08503, has attacks and no certificates.)

In the kernels ``box`` is the (7, r) table of one box, see
:class:`~simulator.certificates.patches.problem.Boxes`, cut to the r neurons that can be alive in
it; the first m of them are of the true class.
"""

import numpy as np

from simulator.certificates.dual_ascent import is_definite
from simulator.certificates.patches.problem import (ACTIVATION, COEFFICIENT, CURVATURE, GAP, HIGH,
                                                    LOW, SLOPE, Boxes, PatchProblem)
from simulator.heartbeat import beat
from simulator.jit import kernel

__all__ = ["RATE", "TINY", "attack_patches", "descend", "tighten", "tighten_box"]

# Descent. Its step length, in radii, grows while phi falls and shrinks when it does not.
DESCENT_STEPS = 60
GROW, SHRINK = 3.0, 0.3  # a failed step costs one evaluation: back below where it grew from
SHORTEST = 1e-4  # step at which descent has converged, in radii
STILL_RELATIVE, STILL_ABSOLUTE = 1e-9, 1e-12  # a fall of phi below this is none

# Ascent.
GUARD = 1e-10  # P / lam is kept at least this definite
RATE = 0.05  # step length of Adam, falling to zero like a cosine
FLATTEN = 0.9  # factor of all curvatures until P is definite: smaller overshoots, larger is slow
NEWTON_STEPS, NEWTON_TOLERANCE = 30, 1e-15  # converged in five; any point reached is sound
NARROW = 1e-9  # an interval shorter than this, relative to 1 + |t|, loses nothing
TINY = 1e-300  # keeps a quotient finite


def attack_patches(problem: PatchProblem) -> tuple[np.ndarray, np.ndarray]:
    """Attack every patch from zero, from its strongest rival neurons and against its own.

    Parameters
    ----------
    problem : PatchProblem

    Returns
    -------
    values : ndarray, shape (P,)
        The least phi met.
    coefficients : ndarray, shape (P, 2 m)
        b, with ``||sum_k b_k w_k|| <= radius`` up to rounding.
    """
    T, m, reach = problem.T, problem.m, problem.reach
    patches = np.arange(len(T))
    strongest = m + np.argsort(-(T + reach)[:, m:], axis=1, kind="stable")[:, :2]
    against = np.argsort(-T[:, :m], axis=1, kind="stable")[:, :1]
    values, best = np.full(len(T), np.inf), np.zeros_like(T)
    for neurons in (None, *strongest.T, *against.T):
        b = np.zeros_like(T)
        if neurons is not None:
            b[patches, neurons] = np.where(neurons < m, -1.0, 1.0) * problem.radius ** 2 / (
                np.maximum(reach[neurons], np.finfo(float).tiny))
        reached = descend(problem, patches, b)
        better = reached < values
        values[better], best[better] = reached[better], b[better]
    return values, best


def descend(problem: PatchProblem, patches: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Descend from given perturbations, projected on the ball first.

    Parameters
    ----------
    problem : PatchProblem
    patches : ndarray of int, shape (c,)
    b : ndarray, shape (c, 2 m)
        Coefficients, replaced in place by those of the least value met.

    Returns
    -------
    ndarray, shape (c,)
        phi there.
    """
    values = np.empty(len(patches))
    for c, patch in enumerate(patches):
        beat()
        values[c] = _descend(problem.gram, problem.m, problem.T[patch], problem.q, problem.rho,
                             problem.radius, b[c], DESCENT_STEPS)
    return values


def tighten(problem: PatchProblem, boxes: Boxes, upper: np.ndarray, steps: int,
            curved: bool, rates: np.ndarray | None = None, enough: float = np.inf) -> None:
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
    rates : ndarray, shape (c,), or None
        How long the first step is in each box: short where the multipliers are nearly right. None
        is for multipliers that nobody looked for.
    enough : float
        Stop for good once the sum of all bounds exceeds this.
    """
    for c in range(len(boxes)):
        if boxes.bounds.sum() > enough:
            break
        if boxes.bounds[c] < upper[c]:
            beat()
            effort = np.array([steps, RATE if rates is None else rates[c]])
            _tighten(problem, boxes, c, float(upper[c]), effort, curved)


def _tighten(problem: PatchProblem, boxes: Boxes, c: int, target: float, effort: np.ndarray,
             curved: bool) -> None:
    """Climb the dual in box c, over the neurons that can be alive in it."""
    q, rho, radius = problem.q, problem.rho, problem.radius
    can_rise = boxes.activations[c] + boxes.high[c] > 0.0
    alive = np.flatnonzero(can_rise)  # the others stay at zero in the whole box
    if len(alive) == 0:
        boxes.bounds[c] = max(boxes.bounds[c], 0.0)
        return
    m, G = int(np.searchsorted(alive, problem.m)), problem.gram[np.ix_(alive, alive)]
    box = boxes.tables[:, c].take(alive, axis=1)
    log_lam = _ascend(G, m, q, rho, radius, box, boxes.log_lam[c], effort, target, curved)
    W, curvatures = problem.W[alive], box[CURVATURE, m:]
    if curvatures.any() and not is_definite(W[m:], curvatures, np.array([np.exp(log_lam)])):
        box[CURVATURE] = 0.0  # the same slopes bound without curvatures too
    bound = _evaluated(W, m, q, rho, radius, box, log_lam, problem.grain)
    _measure_gaps(G, m, q, rho, box)
    boxes.bounds[c] = max(boxes.bounds[c], bound)
    boxes.log_lam[c] = log_lam
    boxes.tables[SLOPE:, c] = 0.0
    boxes.tables[SLOPE:, c, alive] = box[SLOPE:]


def tighten_box(problem: PatchProblem, boxes: Boxes, upper: np.ndarray, steps: int,
                enough: float = np.inf) -> None:
    """Climb the dual of the convex relaxation in an l_inf ball, in place; as :func:`tighten`.

    Parameters
    ----------
    problem : PatchProblem
    boxes : Boxes
    upper : ndarray, shape (c,)
    steps : int
    enough : float
    """
    for c in range(len(boxes)):
        if boxes.bounds.sum() > enough:
            break
        alive = np.flatnonzero(boxes.activations[c] + boxes.high[c] > 0.0)
        if boxes.bounds[c] >= upper[c]:
            continue
        beat()
        m = int(np.searchsorted(alive, problem.m))
        box, W = boxes.tables[:, c].take(alive, axis=1), problem.W[alive]
        if len(alive):
            _ascend_box(W, m, problem.q, problem.rho, problem.radius, box, float(upper[c]), steps)
        bound = _evaluated_box(W, m, problem.q, problem.rho, problem.radius, box, problem.grain)
        boxes.bounds[c] = max(boxes.bounds[c], bound)
        boxes.tables[SLOPE, c] = 0.0
        boxes.tables[SLOPE, c, alive] = box[SLOPE]


# --- the activation, and products with G; twins of the first two: networks.smoothed_relu_cnn ---


@kernel
def _power(x: float, p: float) -> float:
    """``x^p`` for x >= 0: for small q nearly all powers are a product or a root."""
    if p == 1.0:
        return x
    if p == 2.0:
        return x * x
    return np.sqrt(x) if p == 0.5 else x ** p


@kernel
def _sigma(z: float, q: float, rho: float) -> float:
    if z <= 0.0:
        return 0.0
    if z >= rho:
        return z - (1.0 - 1.0 / q) * rho
    return rho / q * (z / rho) ** q


@kernel
def _slope(z: float, q: float, rho: float) -> float:
    if z <= 0.0:
        return 0.0
    return 1.0 if z >= rho else _power(z / rho, q - 1.0)


@kernel
def _gram_product(G: np.ndarray, a: np.ndarray, out: np.ndarray) -> None:
    out[:] = 0.0
    for j in range(len(a)):
        if a[j] != 0.0:
            for i in range(len(a)):
                out[i] += G[j, i] * a[j]


@kernel
def _dot(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


# --- descent ----------------------------------------------------------------------------------


@kernel
def _patch_value(m: int, t: np.ndarray, moved: np.ndarray, q: float, rho: float) -> float:
    total = 0.0
    for k in range(len(t)):
        z = _sigma(t[k] + moved[k], q, rho)
        total += z if k < m else -z
    return total


@kernel
def _project(b: np.ndarray, moved: np.ndarray, radius: float) -> None:
    """Shrink ``delta = W^T b`` into the ball, in place, and ``moved = W delta`` with it."""
    square = 0.0
    for k in range(len(b)):
        square += b[k] * moved[k]
    shrink = min(1.0, radius / np.sqrt(max(square, TINY)))
    for k in range(len(b)):
        b[k] *= shrink
        moved[k] *= shrink


@kernel
def _descend(G: np.ndarray, m: int, t: np.ndarray, q: float, rho: float, radius: float,
             b: np.ndarray, steps: int) -> float:
    """Projected gradient descent of ``phi`` from ``delta = W^T b``, in place; returns phi."""
    r = len(t)
    moved, gradient, pull = np.empty(r), np.empty(r), np.empty(r)
    trial_b, trial_moved = np.empty(r), np.empty(r)
    _gram_product(G, b, moved)
    _project(b, moved, radius)
    value = _patch_value(m, t, moved, q, rho)
    pace = 1.0
    for _ in range(steps):
        length = 0.0
        for k in range(r):  # minus the gradient, by its coefficients
            gradient[k] = _slope(t[k] + moved[k], q, rho) * (-1.0 if k < m else 1.0)
        _gram_product(G, gradient, pull)
        for k in range(r):
            length += gradient[k] * pull[k]
        if length <= 0.0:
            break
        length = np.sqrt(length)
        for k in range(r):  # W delta moves with it, so no further product
            trial_b[k] = b[k] + pace * radius / length * gradient[k]
            trial_moved[k] = moved[k] + pace * radius / length * pull[k]
        _project(trial_b, trial_moved, radius)
        trial = _patch_value(m, t, trial_moved, q, rho)
        if trial < value:
            if value - trial <= STILL_ABSOLUTE + STILL_RELATIVE * abs(value) and pace <= 1.0:
                pace = 0.0
            value = trial
            for k in range(r):
                b[k], moved[k] = trial_b[k], trial_moved[k]
            pace *= GROW
        else:
            pace *= SHRINK
        if pace < SHORTEST:
            break
    return value


# --- the inner minimum, one neuron at a time --------------------------------------------------


@kernel
def _true_minimum(t: float, a: float, low: float, high: float, q: float,
                  rho: float) -> tuple[float, float]:
    """Lower bound of ``sigma(t + s) - a s`` on [low, high], and where it is: convex."""
    if a <= 0.0:
        s = low
    elif a >= 1.0:
        s = high
    else:
        s = min(max(rho * _power(a, 1.0 / (q - 1.0)) - t, low), high)
    slope = _slope(t + s, q, rho) - a  # a tangent is below, wherever rounding put s
    return _sigma(t + s, q, rho) - a * s - max(slope * (s - low), slope * (s - high), 0.0), s


@kernel
def _rival_term(t: float, a: float, mu: float, s: float, q: float, rho: float) -> float:
    return -_sigma(t + s, q, rho) - a * s + mu * s * s


@kernel
def _rival_minimum(t: float, a: float, mu: float, low: float, high: float, q: float,
                   rho: float) -> tuple[float, float]:
    """Lower bound of ``-sigma(t + s) - a s + mu s^2`` on [low, high], and where it is reached.

    Three pieces; on the outer two it is a convex parabola. On the middle one it is convex up
    to its inflection and concave beyond, so its minimum is a stationary point of the convex
    part, or an end.
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
            value = _rival_term(t, a, mu, s, q, rho)
            if value < best:
                best, at = value, s
    left, right = max(low, -t), min(high, rho - t)
    if left >= right:
        return best, at
    for s in (left, right):
        value = _rival_term(t, a, mu, s, q, rho)
        if value < best:
            best, at = value, s
    value, s = _stationary(t, a, mu, left, right, q, rho)
    if value < best:
        best, at = value, s
    return best, at


@kernel
def _stationary(t: float, a: float, mu: float, left: float, right: float, q: float,
                rho: float) -> tuple[float, float]:
    """Lower bound of the convex part of the middle piece: Newton's method from the left.

    The tangent at the point reached bounds the convex part, converged or not. Infinite where
    there is no such point inside.
    """
    if q > 2.0:
        inflection = rho * _power(min(2.0 * mu * rho / (q - 1.0), 1.0), 1.0 / (q - 2.0)) - t
    else:
        inflection = right if 2.0 * mu * rho >= 1.0 else left
    end = min(right, inflection)
    s = left
    descent = -_slope(t + s, q, rho) - a + 2.0 * mu * s
    if descent >= 0.0 or end <= left:
        return np.inf, left
    for _ in range(NEWTON_STEPS):
        bend = 2.0 * mu - (q - 1.0) / rho * _power(max(t + s, 0.0) / rho, q - 2.0)
        if bend <= 0.0 or s - descent / bend >= end:
            s = end
        else:
            s -= descent / bend
        descent = -_slope(t + s, q, rho) - a + 2.0 * mu * s
        if s == end or descent >= -NEWTON_TOLERANCE:
            break
    value = _rival_term(t, a, mu, s, q, rho)
    value -= max(descent * (s - left), descent * (s - end), 0.0)
    return value, s


@kernel
def _inner_minima(m: int, q: float, rho: float, box: np.ndarray, a: np.ndarray, mu: np.ndarray,
                  s: np.ndarray) -> float:
    """Sum of the inner minima at multipliers a and mu; s becomes where they are reached."""
    total = 0.0
    t, low, high = box[ACTIVATION], box[LOW], box[HIGH]
    for k in range(len(t)):
        if k < m:
            value, s[k] = _true_minimum(t[k], a[k], low[k], high[k], q, rho)
        else:
            value, s[k] = _rival_minimum(t[k], a[k], mu[k], low[k], high[k], q, rho)
        total += value
    return total


# --- the ball term ----------------------------------------------------------------------------


@kernel
def _cholesky(G: np.ndarray, m: int, mu: np.ndarray, lam: float, L: np.ndarray) -> bool:
    """Factor ``(1 - GUARD) I - D G D``, ``D = (mu / lam)^1/2``; False if it is indefinite."""
    p = len(mu) - m
    for i in range(p):
        for j in range(i + 1):
            total = -np.sqrt(mu[m + i] / lam * (mu[m + j] / lam)) * G[m + i, m + j]
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
def _cholesky_solve(L: np.ndarray, v: np.ndarray) -> None:
    """Solve ``L L^T x = v`` in place."""
    p = len(v)
    for i in range(p):
        total = v[i]
        for k in range(i):
            total -= L[i, k] * v[k]
        v[i] = total / L[i, i]
    for i in range(p - 1, -1, -1):
        total = v[i]
        for k in range(i + 1, p):
            total -= L[k, i] * v[k]
        v[i] = total / L[i, i]


@kernel
def _minimiser(G: np.ndarray, m: int, a: np.ndarray, mu: np.ndarray, lam: float, L: np.ndarray,
               b: np.ndarray, moved: np.ndarray) -> None:
    """Coefficients b of ``delta = W^T b = -P^{-1} c / 2`` and ``moved = W delta``."""
    _gram_product(G, a, moved)
    for k in range(m, len(mu)):
        b[k] = np.sqrt(mu[k] / lam) * moved[k]
    _cholesky_solve(L, b[m:])
    for k in range(m):
        b[k] = -0.5 / lam * a[k]
    for k in range(m, len(mu)):
        b[k] = -0.5 / lam * (a[k] + np.sqrt(mu[k] / lam) * b[k])
    _gram_product(G, b, moved)


# --- ascent -----------------------------------------------------------------------------------


@kernel
def _natural_scales(G: np.ndarray, m: int, q: float, rho: float, box: np.ndarray, scale: np.ndarray,
                    unit: np.ndarray) -> None:
    """Units of the multipliers: largest slopes, and curvatures at which P stays semidefinite.

    With ``mu = lam unit`` diagonal dominance of G makes P positive semidefinite.
    """
    for k in range(len(scale)):
        scale[k] = max(_slope(box[ACTIVATION, k] + box[HIGH, k], q, rho), 1e-12)
        if k >= m:
            unit[k] = 1.0 / max(np.sum(np.abs(G[k, m:])), TINY)


@kernel
def _adam(x: np.ndarray, gradient: np.ndarray, moments: np.ndarray, step: int, rate: float) -> None:
    """One ascent step of Adam, in place; twin: dual_ascent._adam.

    Without its guard ``+ 1e-8``: gradients of patches may be smaller than that. Coordinates that
    never had a gradient stay.
    """
    first, second = moments[0], moments[1]
    for k in range(len(x)):
        first[k] = 0.9 * first[k] + 0.1 * gradient[k]
        second[k] = 0.99 * second[k] + 0.01 * gradient[k] * gradient[k]
        if second[k] > 0.0:
            x[k] += rate * (first[k] / (1.0 - 0.9 ** (step + 1))
                            / np.sqrt(second[k] / (1.0 - 0.99 ** (step + 1))))


@kernel
def _ascend(G: np.ndarray, m: int, q: float, rho: float, radius: float, box: np.ndarray,
            log_lam: float, effort: np.ndarray, target: float, curved: bool) -> float:
    """Climb the dual from the multipliers of the box and leave the best point met in it.

    Adam on ``x = (a / scale, mu / (lam unit), log lam)``; effort is how many steps and how long the
    first one is. Returns log_lam; COEFFICIENT becomes the minimiser of the ball term.
    """
    r, steps, rate = box.shape[1], int(effort[0]), effort[1]
    scale, unit = np.empty(r), np.zeros(r)
    _natural_scales(G, m, q, rho, box, scale, unit)
    x, gradient, moments = np.zeros(2 * r + 1), np.zeros(2 * r + 1), np.zeros((2, 2 * r + 1))
    for k in range(r):
        x[k] = box[SLOPE, k] / scale[k]
        if k >= m:
            x[r + k] = box[CURVATURE, k] / (np.exp(log_lam) * unit[k])
    x[2 * r] = log_lam
    moving = 2 * r + 1 if curved else r
    a, mu, s, b, moved = np.empty(r), np.empty(r), np.empty(r), np.empty(r), np.empty(r)
    L = np.zeros((r - m, r - m))
    best, best_log = -np.inf, log_lam
    box[COEFFICIENT] = 0.0
    for step in range(steps):
        # the bound at this point
        flat = True
        for k in range(r):
            a[k] = x[k] * scale[k]
            flat = flat and x[r + k] == 0.0
        if flat:  # the best lam for these slopes is known
            _gram_product(G, a, moved)
            length = np.sqrt(max(_dot(a, moved), 0.0))
            x[2 * r] = np.log(max(0.5 * length / radius, TINY))
        lam = np.exp(x[2 * r])
        for k in range(r):
            mu[k] = lam * unit[k] * x[r + k]
        while not flat and not _cholesky(G, m, mu, lam, L):
            for k in range(r):
                x[r + k] *= FLATTEN
                mu[k] *= FLATTEN
        if flat:
            for k in range(r):
                b[k] = -0.5 / lam * a[k]
            _gram_product(G, b, moved)
        else:
            _minimiser(G, m, a, mu, lam, L, b, moved)
        value = (_inner_minima(m, q, rho, box, a, mu, s)
                 + 0.5 * _dot(a, moved) - lam * radius * radius)
        if value > best:
            best, best_log = value, x[2 * r]
            for k in range(r):
                box[SLOPE, k], box[CURVATURE, k], box[COEFFICIENT, k] = a[k], mu[k], b[k]
        if best >= target:
            break
        # a step uphill
        for k in range(r):
            gradient[k] = moved[k] - s[k]
        gradient[2 * r] = lam * (_dot(b, moved) - radius * radius)
        for k in range(m, r):
            excess = s[k] * s[k] - moved[k] * moved[k]
            gradient[r + k] = lam * unit[k] * excess
            gradient[2 * r] += mu[k] * excess
        _adam(x[:moving], gradient[:moving], moments, step,
              0.5 * rate * (1.0 + np.cos(np.pi * step / steps)))
        for k in range(r, 2 * r):
            if x[k] < 0.0:  # NaN stays
                x[k] = 0.0
    return best_log


@kernel
def _ascend_box(W: np.ndarray, m: int, q: float, rho: float, radius: float, box: np.ndarray,
                target: float, steps: int) -> None:
    """Climb the dual of an l_inf ball from the slopes of the box; leave the best met in it."""
    r, d = W.shape
    scale, a, mu, s = np.empty(r), np.empty(r), np.zeros(r), np.empty(r)
    x, gradient, moments, c = np.empty(r), np.empty(r), np.zeros((2, r)), np.empty(d)
    for k in range(r):
        scale[k] = max(_slope(box[ACTIVATION, k] + box[HIGH, k], q, rho), 1e-12)
        x[k] = box[SLOPE, k] / scale[k]
    best = -np.inf
    for step in range(steps):
        c[:] = 0.0
        for k in range(r):
            a[k] = x[k] * scale[k]
            for i in range(d):
                c[i] += a[k] * W[k, i]
        value = _inner_minima(m, q, rho, box, a, mu, s)
        for i in range(d):
            value -= radius * abs(c[i])
        if value > best:
            best = value
            for k in range(r):
                box[SLOPE, k] = a[k]
        if best >= target:
            break
        for k in range(r):
            along = 0.0
            for i in range(d):
                along += W[k, i] * np.sign(c[i])
            gradient[k] = -(s[k] + radius * along)
        _adam(x, gradient, moments, step, 0.5 * RATE * (1.0 + np.cos(np.pi * step / steps)))


# --- the bound itself, and where it is lost ---------------------------------------------------


@kernel
def _evaluated(W: np.ndarray, m: int, q: float, rho: float, radius: float, box: np.ndarray,
               log_lam: float, grain: float) -> float:
    """The bound at the multipliers of a box, on the weights, less what rounding can do to it."""
    r, d = W.shape
    a, mu, s = box[SLOPE], box[CURVATURE], np.empty(r)
    lam = 0.0 if np.all(mu[m:] == 0.0) else np.exp(log_lam)
    ball, size = _ball_terms(W, m, box, lam, radius)
    value = _inner_minima(m, q, rho, box, a, mu, s) - ball
    for k in range(r):
        far = max(abs(box[LOW, k]), abs(box[HIGH, k]))
        size += abs(box[ACTIVATION, k]) + far * (1.0 + abs(a[k])) + mu[k] * far * far
    return value - grain * size


@kernel
def _evaluated_box(W: np.ndarray, m: int, q: float, rho: float, radius: float, box: np.ndarray,
                   grain: float) -> float:
    """The bound of an l_inf ball at the slopes of a box, less what rounding can do to it."""
    r, d = W.shape
    a, mu, s, c = box[SLOPE], np.zeros(r), np.empty(r), np.zeros(d)
    size = 0.0
    for k in range(r):
        far = max(abs(box[LOW, k]), abs(box[HIGH, k]))
        size += abs(box[ACTIVATION, k]) + far * (1.0 + abs(a[k]))
        for i in range(d):
            c[i] += a[k] * W[k, i]
            size += radius * abs(a[k] * W[k, i])
    value = _inner_minima(m, q, rho, box, a, mu, s)
    for i in range(d):
        value -= radius * abs(c[i])
    return value - grain * size


@kernel
def _ball_terms(W: np.ndarray, m: int, box: np.ndarray, lam: float,
                radius: float) -> tuple[float, float]:
    """``delta^T P delta + lam radius^2 + radius ||2 P delta + c||``, and its terms' magnitudes.

    Without curvatures (lam = 0) it is ``radius ||c||``.
    """
    r, d = W.shape
    a, mu, b = box[SLOPE], box[CURVATURE], box[COEFFICIENT]
    c, delta, P_delta = np.zeros(d), np.zeros(d), np.zeros(d)
    size, length, rest, ball = 0.0, 0.0, 0.0, lam * radius * radius
    for k in range(r):
        norm = np.sqrt(np.sum(W[k] * W[k]))
        size += radius * abs(a[k]) * norm
        for i in range(d):
            c[i] += a[k] * W[k, i]
            if lam > 0.0:
                delta[i] += b[k] * W[k, i]
    for i in range(d):
        P_delta[i] = lam * delta[i]
        length += delta[i] * delta[i]
    length = np.sqrt(length)
    for k in range(m, r):
        if mu[k] > 0.0:
            along, square = 0.0, 0.0
            for i in range(d):
                along += W[k, i] * delta[i]
                square += W[k, i] * W[k, i]
            size += mu[k] * square * length * (length + 2.0 * radius)
            for i in range(d):
                P_delta[i] -= mu[k] * along * W[k, i]
    for i in range(d):
        rest += (2.0 * P_delta[i] + c[i]) ** 2
        ball += delta[i] * P_delta[i]
    size += lam * (length * (length + 2.0 * radius) + radius * radius)
    return ball + radius * np.sqrt(rest), size


@kernel
def _measure_gaps(G: np.ndarray, m: int, q: float, rho: float, box: np.ndarray) -> None:
    """Write into GAP what each rival neuron loses where the relaxation puts the adversary."""
    r = box.shape[1]
    moved = np.empty(r)
    _gram_product(G, box[COEFFICIENT], moved)
    for k in range(r):
        t, low, high = box[ACTIVATION, k], box[LOW, k], box[HIGH, k]
        a, mu = box[SLOPE, k], box[CURVATURE, k]
        box[GAP, k] = 0.0
        if k >= m and high - low > NARROW * (1.0 + abs(t)):
            s = min(max(moved[k], low), high)
            least, _ = _rival_minimum(t, a, mu, low, high, q, rho)
            box[GAP, k] = max(_rival_term(t, a, mu, s, q, rho) - least, 0.0)
