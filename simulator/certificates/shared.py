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

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simulator.balls import L2Ball
from simulator.certificates.dual_ascent import CommonFactor, ascend, common_factor, cosine
from simulator.certificates.inputs import UNDERFLOW, SignedInputs, grain
from simulator.certificates.relaxation import LAM_FLOOR_L2, TINY_LAM, inner_minima, needed_curvature
from simulator.heartbeat import beat

__all__ = ["STEPS", "SharedBounds", "Slice", "shared_bounds", "sliced_bounds"]

STEPS = 40  # of ascent: what is not certified then has little to gain from curvatures of others
RATE = 0.05  # step length of Adam
SLICED = 0.015  # so much of lam r^2 is the price of a slice, about
MOST_SLICES = 64
SPARE = 1e-9  # on lengths: what rounding leaves open between two slices


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


class Slice(NamedTuple):
    """The part ``|<e, delta>| <= half`` of a ball, with a factor that e may have its part in."""

    common: CommonFactor
    half: float


def shared_bounds(inputs: SignedInputs, start: np.ndarray, target: float = 0.0,
                  steps: int = STEPS, crowd: SignedInputs | None = None,
                  across: Slice | None = None) -> SharedBounds:
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
    across : Slice or None
        Perturbations that are more than ``across.half`` long along its direction need not be
        bounded, and the curvatures are those of its factor; None: the whole ball.
    """
    W, reach = inputs.W, inputs.ball.radius * inputs.ball.dual_norm(inputs.W)
    n, (m, d) = len(inputs), W.shape
    reached = start @ W.T
    gates, lam = _begun(inputs, reached)
    if across is None:
        needs = _needs(inputs, reached, reach, lam) if crowd is None else _needs_at_rest(crowd)
        across = Slice(common_factor(W, needs), inputs.ball.radius)
    common = across.common
    v, e, extra = common.curvatures, common.direction, common.extra

    # the points of the dual, and the best met, of the samples that are left
    rows, x = np.arange(n), np.concatenate([gates + 2.0 * lam[:, None] * v * reached,
                                            np.log(lam)[:, None]], axis=1)
    moments, best = np.zeros((2, *x.shape)), np.full(n, -np.inf)
    found = SharedBounds(np.full(n, -np.inf), np.zeros((n, m)), lam.copy(), v, np.zeros((n, d)))
    half, width = np.where(reach > 0.0, reach, 1.0), _width(inputs, across)
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
            found.bounds[rows[done]] = _evaluated(inputs[rows[done]], found, rows[done], reach,
                                                  across)
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
                                + (s * s - reached * reached) @ v + extra * (delta @ e)**2)
        ascend(x.reshape(-1), gradient.reshape(-1), moments.reshape(2, -1), step,
               cosine(RATE, step, steps))
    if len(rows):
        found.bounds[rows] = _evaluated(inputs[rows], found, rows, reach, across)
    return found


def sliced_bounds(inputs: SignedInputs, target: float, crowd: SignedInputs) -> np.ndarray:
    """Bound every margin in an l2 ball slice by slice, across the direction that allows least
    curvature.

    What is left of the dense mixtures gives all neurons a part along one direction e, and
    ``W^T diag(v) W`` one eigenvalue far above the others, which holds all curvatures down. With
    ``delta = a e + delta'`` and a slice ``|<e, delta> - a| <= h``,

        ||delta'||_2^2 <= r^2 - a^2 + 2 |a| h,    <e, delta'>^2 <= h^2,

    so in a slice the pre-activations move by ``a <w_i, e>``, Q may have ``extra e e^T`` more, and
    the price is ``lam (1 + extra) h^2`` where a is small. One factor serves all samples and slices.

    Parameters
    ----------
    inputs : SignedInputs
        In an l2 ball of positive radius.
    target : float
        A sample with a slice that is not above it is left: its bound is minus infinity. Infinite:
        none is left.
    crowd : SignedInputs
        As in :func:`shared_bounds`.

    Returns
    -------
    ndarray, shape (n,)
    """
    W, r = inputs.W, inputs.ball.radius
    common = common_factor(W, _needs_at_rest(crowd), most=SLICED * MOST_SLICES**2 - 1.0)
    number = math.ceil(math.sqrt((1.0 + common.extra) / SLICED)) if common.extra > 0.0 else 1
    along, half = W @ common.direction, (1.0 + SPARE) * r / number
    bounds, rows = np.full(len(inputs), np.inf), np.arange(len(inputs))
    for a in half * np.arange(1 - number, number, 2):
        some = inputs[rows]
        radius = math.sqrt(r * r - a * a + 2.0 * abs(a) * half) * (1.0 + SPARE)
        there = replace(some, T=some.T + a * along, lengths=some.lengths + 2.0 * abs(a),
                        ball=some.ball.with_radius(radius))
        found = shared_bounds(there, np.zeros_like(some.X), target, across=Slice(
            common, (1.0 + SPARE) * half)).bounds
        bounds[rows] = np.minimum(bounds[rows], found)
        if target < np.inf:
            bounds[rows[found <= target]] = -np.inf  # its other slices are not looked at
            rows = rows[found > target]
    return bounds


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


def _needs_at_rest(crowd: SignedInputs) -> np.ndarray:
    at_rest = np.zeros_like(crowd.T)
    return _needs(crowd, at_rest, crowd.ball.radius * crowd.ball.dual_norm(crowd.W),
                  _begun(crowd, at_rest)[1])


def _width(inputs: SignedInputs, across: Slice) -> float:
    """The largest ``||delta||_2^2 + extra <e, delta>^2`` of what is bounded."""
    one = inputs.ball.radius**2 * (1.0 if isinstance(inputs.ball, L2Ball) else inputs.W.shape[1])
    return one + across.common.extra * across.half**2


def _evaluated(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray,
               reach: np.ndarray, across: Slice) -> np.ndarray:
    """The bounds of some rows so that they hold in real arithmetic; see ``Relaxation.bound``.

    Slopes without curvatures are tried too: 1 where a neuron is linear, 0 where it is closed, and
    between them elsewhere.
    Where they are better they are kept, with a lam of 0.
    """
    beat()
    curved = _sound_values(inputs, found, rows, reach, across)
    kept = found.slopes[rows], found.lam[rows], found.points[rows]
    flat_slopes = np.clip(kept[0], 0.0, 1.0)
    flat_slopes[np.abs(inputs.T) - reach >= inputs.bias] = 1.0
    flat_slopes[np.abs(inputs.T) + reach <= inputs.bias] = 0.0
    found.slopes[rows] = flat_slopes
    found.lam[rows], found.points[rows] = 0.0, 0.0
    flat = _sound_values(inputs, found, rows, reach, across)
    back = curved >= flat
    for array, before in zip((found.slopes, found.lam, found.points), kept):
        array[rows[back]] = before[back]
    return np.maximum(curved, flat)


def _sound_values(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray,
                  reach: np.ndarray, across: Slice) -> np.ndarray:
    W, T, r, norm = inputs.W, inputs.T, inputs.ball.radius, inputs.ball.dual_norm
    (m, d), b = W.shape, inputs.bias
    a, lam, delta = found.slopes[rows], found.lam[rows], found.points[rows]
    mu, slopes = lam[:, None] * found.curvatures, np.concatenate([a, lam[:, None]], axis=1)
    inner, _ = inner_minima(T, slopes, lam, found.curvatures, reach, b)
    along = delta @ W.T
    e, extra, width = across.common.direction, across.common.extra, _width(inputs, across)
    P_delta = lam[:, None] * delta - (mu * along) @ W + (extra * lam * (delta @ e))[:, None] * e
    rest = r * norm(2.0 * P_delta + a @ W)
    values = inner - np.einsum("kj,kj->k", delta, P_delta) - width * lam - rest

    # magnitudes as in Relaxation, and the rounding of what is common to all parts
    lengths, long = np.linalg.norm(W, axis=1), np.linalg.norm(delta, axis=1)
    parts = mu * lengths * long[:, None]
    sizes = (np.abs(a) @ (2.0 * reach) + mu @ reach**2 + lam * long**2
             + (parts * (lengths * long[:, None] + 2.0 * reach)).sum(axis=1)
             + 2.0 * r * norm(lam[:, None] * delta) + width * lam
             + 4.0 * extra * lam * long * (long + r)
             + np.abs(T).sum(axis=1) + m * b + 2.0 * reach.sum())
    sound: np.ndarray = values - inputs.doubt - 2.0 * grain(m, d) * sizes - W.size * UNDERFLOW
    return sound
