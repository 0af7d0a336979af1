"""The quadratic bound with curvatures that all samples share: one matrix is factored for all.

The Lagrangian of :mod:`simulator.certificates.relaxation` with ``mu_i = lam v_i``, where v is the
same for every sample and lam is not:

    y f  >=  sum_i min_{|s| <= r ||w_i||_*} [S_b(t_i + s) - a_i s + lam v_i s^2]
             - c^T Q^{-1} c / (4 lam) - lam r^2,      Q = I - W^T diag(v) W,  c = sum_i a_i w_i

(in an l_inf ball lam is the same for all coordinates, and the last term d times as large). Q is
factored once, and a step for n samples is two products of (n, m) by (m, d): no Gram matrix of the
neurons, and no factor for each sample. v is a mean over the samples of what curvature each neuron
needs where an attack ended, as large as a definite Q allows. What it loses against curvatures of a
sample's own matters where the margin is short; of a network of pure neurons it certifies what there
is to certify, and a sample that is done is left out of the steps that follow.
"""

from typing import NamedTuple

import numpy as np

from simulator.balls import L2Ball
from simulator.certificates.dual_ascent import ascend, common_factor, cosine
from simulator.certificates.inputs import UNDERFLOW, SignedInputs, grain
from simulator.certificates.relaxation import LAM_FLOOR_L2, TINY_LAM, inner_minima, needed_curvature
from simulator.heartbeat import beat

__all__ = ["STEPS", "SharedBounds", "shared_bounds"]

STEPS = 40  # of ascent: what is not certified then has little to gain from curvatures of others
RATE = 0.05  # step length of Adam


class SharedBounds(NamedTuple):
    """The bounds of n samples in units of the inputs, and what they rest on.

    Attributes
    ----------
    bounds : ndarray, shape (n,)
    slopes : ndarray, shape (n, m)
    lam : ndarray, shape (n,)
    curvatures : ndarray, shape (m,)
        v_i; of a sample ``lam v_i``.
    points : ndarray, shape (n, d)
        Where the relaxation puts the adversary, of ``y x``.
    """

    bounds: np.ndarray
    slopes: np.ndarray
    lam: np.ndarray
    curvatures: np.ndarray
    points: np.ndarray


def shared_bounds(inputs: SignedInputs, start: np.ndarray, target: float = 0.0,
                  steps: int = STEPS, crowd: SignedInputs | None = None) -> SharedBounds:
    """Bound every margin in a ball of positive radius by curvatures common to all samples.

    Parameters
    ----------
    inputs : SignedInputs
    start : ndarray, shape (n, d)
        Perturbations of ``y x`` to start from: where attacks ended, or zero.
    target : float
        A sample is done once its bound exceeds this.
    steps : int
        Of ascent; at least 1, which evaluates the start.
    crowd : SignedInputs or None
        Samples in a ball of this radius, with these neurons, that v is the mean over, unperturbed;
        None: over those that are bounded. What a few ask for together is of little use to each.
    """
    W, reach = inputs.W, inputs.ball.radius * inputs.ball.dual_norm(inputs.W)
    n, (m, d) = len(inputs), W.shape
    reached = start @ W.T
    gates, lam = _begun(inputs, reached)
    if crowd is None:
        needs = _needs(inputs, reached, reach, lam)
    else:
        at_rest = np.zeros_like(crowd.T)
        needs = _needs(crowd, at_rest, reach, _begun(crowd, at_rest)[1])
    common = common_factor(W, needs)
    v = common.curvatures

    # the points of the dual, and the best met, of the samples that are left
    rows, x = np.arange(n), np.concatenate([gates + 2.0 * lam[:, None] * v * reached,
                                            np.log(lam)[:, None]], axis=1)
    moments, best = np.zeros((2, *x.shape)), np.full(n, -np.inf)
    found = SharedBounds(np.full(n, -np.inf), np.zeros((n, m)), lam.copy(), v, np.zeros((n, d)))
    half, width = np.where(reach > 0.0, reach, 1.0), _width(inputs)
    for step in range(steps):
        beat()
        a, lam = x[:, :m], np.exp(x[:, m])
        c = np.ascontiguousarray(a) @ W
        delta = common.solved(c) * (-0.5 / lam[:, None])
        values, s = inner_minima(inputs.T[rows], x, lam, v, reach, inputs.bias)
        values += 0.5 * np.einsum("kj,kj->k", c, delta) - width * lam
        better = values > best[rows]
        to = rows[better]
        best[to], found.slopes[to], found.lam[to] = values[better], a[better], lam[better]
        found.points[to] = delta[better]
        done = better & (values > target)
        if done.any():
            found.bounds[rows[done]] = _evaluated(inputs[rows[done]], found, rows[done], reach)
            left = ~(done & (found.bounds[rows] > target))
            rows, x, moments = rows[left], x[left], np.ascontiguousarray(moments[:, left])
            lam, delta, s = lam[left], delta[left], s[left]
        if len(rows) == 0:
            break
        # a step uphill
        reached = delta @ W.T
        gradient = np.empty_like(x)
        gradient[:, :m] = (reached - s) / half
        gradient[:, m] = lam * (np.einsum("kj,kj->k", delta, delta) - width
                                + (s * s - reached * reached) @ v)
        ascend(x.reshape(-1), gradient.reshape(-1), moments.reshape(2, -1), step,
               cosine(RATE, step, steps))
    if len(rows):
        found.bounds[rows] = _evaluated(inputs[rows], found, rows, reach)
    return found


def _begun(inputs: SignedInputs, reached: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gates that are open where the ascent begins, and lam there."""
    W = inputs.W
    gates = np.where(np.abs(inputs.T + reached) > inputs.bias, 1.0, 0.0)
    lam = np.linalg.norm(gates @ W, axis=1)
    floor = max(LAM_FLOOR_L2 * float(np.sqrt(np.einsum("kj,kj->", W, W) / max(len(W), 1))),
                TINY_LAM)
    return gates, np.maximum(lam, floor) / (2.0 * inputs.ball.radius)


def _needs(inputs: SignedInputs, reached: np.ndarray, reach: np.ndarray,
           lam: np.ndarray) -> np.ndarray:
    """Mean over the samples of the curvatures they need, in units of their lam, shape (m,)."""
    total, need = np.zeros(len(reach)), np.empty(len(reach))
    for t, s, one in zip(inputs.T, reached, lam):
        needed_curvature(t, s, -reach, reach, inputs.bias, need)
        crosses = np.abs(inputs.bias + t) < reach  # the kink -b is inside the interval
        total += np.where(crosses, need, 0.0) / one
    return total / max(len(lam), 1)


def _width(inputs: SignedInputs) -> float:
    """The largest ``||delta||_2^2`` in the ball."""
    one = inputs.ball.radius**2
    return one if isinstance(inputs.ball, L2Ball) else one * inputs.W.shape[1]


def _evaluated(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray,
               reach: np.ndarray) -> np.ndarray:
    """The bounds of some rows so that they hold in real arithmetic; see ``Relaxation.bound``.

    Slopes without curvatures are tried too: 1 where a neuron is linear, 0 where it is closed, and
    between them elsewhere.
    Where they are better they are kept, with a lam of 0.
    """
    beat()
    curved = _sound_values(inputs, found, rows, reach)
    kept = found.slopes[rows], found.lam[rows], found.points[rows]
    flat_slopes = np.clip(kept[0], 0.0, 1.0)
    flat_slopes[np.abs(inputs.T) - reach >= inputs.bias] = 1.0
    flat_slopes[np.abs(inputs.T) + reach <= inputs.bias] = 0.0
    found.slopes[rows] = flat_slopes
    found.lam[rows], found.points[rows] = 0.0, 0.0
    flat = _sound_values(inputs, found, rows, reach)
    back = curved >= flat
    for array, before in zip((found.slopes, found.lam, found.points), kept):
        array[rows[back]] = before[back]
    return np.maximum(curved, flat)


def _sound_values(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray,
                  reach: np.ndarray) -> np.ndarray:
    W, T, r, norm = inputs.W, inputs.T, inputs.ball.radius, inputs.ball.dual_norm
    (m, d), b = W.shape, inputs.bias
    a, lam, delta = found.slopes[rows], found.lam[rows], found.points[rows]
    mu, slopes = lam[:, None] * found.curvatures, np.concatenate([a, lam[:, None]], axis=1)
    inner, _ = inner_minima(T, slopes, lam, found.curvatures, reach, b)
    along = delta @ W.T
    P_delta = lam[:, None] * delta - (mu * along) @ W
    rest = r * norm(2.0 * P_delta + a @ W)
    values = inner - np.einsum("kj,kj->k", delta, P_delta) - _width(inputs) * lam - rest

    # magnitudes as in Relaxation, and the rounding of what is common to all parts
    lengths, long = np.linalg.norm(W, axis=1), np.linalg.norm(delta, axis=1)
    parts = mu * lengths * long[:, None]
    sizes = (np.abs(a) @ (2.0 * reach) + mu @ reach**2 + lam * long**2
             + (parts * (lengths * long[:, None] + 2.0 * reach)).sum(axis=1)
             + 2.0 * r * norm(lam[:, None] * delta) + _width(inputs) * lam
             + np.abs(T).sum(axis=1) + m * b + 2.0 * reach.sum())
    sound: np.ndarray = values - inputs.doubt - 2.0 * grain(m, d) * sizes - W.size * UNDERFLOW
    return sound
