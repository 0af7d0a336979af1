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

**The climb** is in delta. At its best the bound is the least value over all delta of

    sum_i phi_i(<w_i, delta>) + lam delta^T Q delta - lam r^2,

phi_i the convex envelope of ``S_b(t_i + s) + lam v_i s^2`` on its interval, and a_i is the slope
of phi_i there. Inside of every piece the curvature of phi_i is the one that Q lacks: what is left
is ``lam ||delta||^2`` and bends nowhere else upwards. With all slopes held its minimum is ``delta
= -sum_i (a_i - 2 lam v_i s_i) w_i / (2 lam)``: a step goes there, and lam follows the length of
delta. Only at a kink at b, where slopes jump, would it go back and forth: slopes are means over
the steps. (For any slopes and lam the bound is a bound.) Sixteen to fifty steps do what 300 of
Adam in the slopes and lam did.
"""

import math
from typing import NamedTuple

import numpy as np

from simulator.balls import L2Ball
from simulator.certificates.dual_ascent import CommonFactor, common_factor
from simulator.certificates.inputs import UNDERFLOW, SignedInputs, grain
from simulator.certificates.relaxation import (LAM_FLOOR_L2, TINY, TINY_LAM, inner_minima,
                                               needed_curvature)
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.few_rows import products, sums

__all__ = ["STEPS", "Crowd", "SharedBounds", "Slices", "Start", "begin", "climb", "evaluated",
           "needs", "shared_bounds"]

STEPS = 16  # of the climb, which has converged then
KEPT = 0.2  # least weight of a new slope in the mean over the steps
MOST_CHANGE = 2.0  # of lam in a step
OWN, MOST_OWN = 2.0, 2.0  # what a sample's own need counts, at most this many times the mean need


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


class Crowd:
    """Samples whose mean need the curvatures are: each factor is formed once for all that ask.

    Parameters
    ----------
    inputs : SignedInputs
    wanted : ndarray, shape (m,), or None
        Their needs, if they are known, or what is to count for them.
    """

    def __init__(self, inputs: SignedInputs, wanted: np.ndarray | None = None) -> None:
        self.inputs = inputs
        self._wanted = wanted
        self._factors: dict[float, CommonFactor] = {}

    @property
    def wanted(self) -> np.ndarray:
        """What curvatures they need, (m,)."""
        if self._wanted is None:
            self._wanted = needs(self.inputs)
        return self._wanted

    def factor(self, most: float = 0.0) -> CommonFactor:
        """Return :func:`~simulator.certificates.dual_ascent.common_factor` of their needs."""
        if most not in self._factors:
            self._factors[most] = common_factor(self.inputs.W, self.wanted, most)
        return self._factors[most]

    def leaning(self, sample: SignedInputs) -> "Crowd":
        """Return the crowd with ``OWN`` times as much weight on one of its samples.

        Of what that needs counts what is at most ``MOST_OWN`` times what all need: a neuron at its
        kink could have any curvature, and there is one budget for all of them.
        """
        own = np.minimum(needs(sample), MOST_OWN * self.wanted)
        return Crowd(self.inputs, self.wanted + OWN * own)


class Slices(NamedTuple):
    """For each of n samples the part ``|<e, delta>| <= half`` of a ball: all of it where half is
    its radius.

    Attributes
    ----------
    common : CommonFactor
        Of which e is the direction.
    half : float
    radii : ndarray, shape (n,)
        Of the balls.
    norms : ndarray, shape (m,)
        ``||w_i||_*``.
    """

    common: CommonFactor
    half: float
    radii: np.ndarray
    norms: np.ndarray

    @classmethod
    def whole(cls, inputs: SignedInputs, common: CommonFactor) -> "Slices":
        """Return the balls of n samples."""
        r = inputs.ball.radius
        return cls(common, r, np.full(len(inputs), r), inputs.ball.dual_norm(inputs.W))

    def of(self, rows: np.ndarray) -> "Slices":
        """Return those of some samples."""
        return self._replace(radii=self.radii[rows])


class Start(NamedTuple):
    """Where n climbs begin.

    Attributes
    ----------
    points : ndarray, shape (n, d)
        Perturbations of ``y x``.
    lam : ndarray, shape (n,)
    """

    points: np.ndarray
    lam: np.ndarray


def shared_bounds(inputs: SignedInputs, start: np.ndarray, target: float = 0.0,
                  steps: int = STEPS, crowd: Crowd | None = None) -> SharedBounds:
    """Bound every margin in a ball of positive radius by curvatures common to all samples.

    Parameters
    ----------
    inputs : SignedInputs
    start : ndarray, shape (n, d)
        Perturbations of ``y x`` to start from: where attacks ended, or zero.
    target : float
        A sample is done once its bound exceeds this.
    steps : int
        Of the climb; at least 1, which evaluates the start.
    crowd : Crowd or None
        Samples in a ball of this radius, with these neurons, that v is the mean over, unperturbed;
        None: over those that are bounded. What a few ask for together is of little use to each.
    """
    reached = start @ inputs.W.T
    common = common_factor(inputs.W, needs(inputs, reached)) if crowd is None else crowd.factor()
    whole = Slices.whole(inputs, common)
    first = begin(inputs, whole.radii, reached)
    if start.any():
        first = first._replace(points=start)
    found, left = climb(inputs, first, target, steps, whole)
    found.bounds[left] = evaluated(inputs[left], found, left, whole.of(left))
    return found


def begin(inputs: SignedInputs, radii: np.ndarray, reached: np.ndarray | float = 0.0) -> Start:
    """Return the jump along the gradient to the sphere, and the lam that fits it.

    Parameters
    ----------
    inputs : SignedInputs
    radii : ndarray, shape (n,) or (1,)
    reached : ndarray, shape (n, m), or 0
        What pre-activations are moved by.
    """
    rough = inputs.products.rough()
    gates = np.where(np.abs(inputs.T + reached) > inputs.bias, 1.0, 0.0)
    pull = sums(gates.astype(rough.dtype, copy=False), rough).astype(np.float64, copy=False)
    floor = max(LAM_FLOOR_L2 * float(np.linalg.norm(inputs.norms)) / math.sqrt(max(len(rough), 1)),
                TINY_LAM)
    lam = np.maximum(np.linalg.norm(pull, axis=1), floor) / (2.0 * radii)
    return Start(pull * (-0.5 / lam[:, None]), lam)


def needs(inputs: SignedInputs, reached: np.ndarray | None = None) -> np.ndarray:
    """Return the mean over the samples of the curvatures they need, in units of their lam, (m,).

    Parameters
    ----------
    inputs : SignedInputs
    reached : ndarray, shape (n, m), or None
        What pre-activations are moved by; None: nothing.
    """
    moved = np.zeros_like(inputs.T) if reached is None else reached
    r = np.array([inputs.ball.radius])
    reach, lam = r * inputs.ball.dual_norm(inputs.W), begin(inputs, r, moved).lam
    total, need = np.zeros(len(reach)), np.empty(len(reach))
    for t, s, one in zip(inputs.T, moved, lam):
        needed_curvature(t, s, -reach, reach, inputs.bias, need)
        crosses = np.abs(inputs.bias + t) < reach  # the kink -b is inside the interval
        total += np.where(crosses, need, 0.0) / one
    return total / max(len(lam), 1)


def climb(inputs: SignedInputs, start: Start, target: float, steps: int,
          slices: Slices) -> tuple[SharedBounds, np.ndarray]:
    """Climb until bounds exceed the target.

    Parameters
    ----------
    inputs : SignedInputs
        Seen from the middle of the slices; the radius of its ball does not count.
    start : Start
    target : float
    steps : int
        At least 1, which evaluates the start.
    slices : Slices

    Returns
    -------
    found : SharedBounds
        Without bounds of the samples that are left.
    left : ndarray of int
        Which these are.
    """
    W, T, (common, _, radii, norms) = inputs.products.rough(), inputs.T, slices
    n, (m, d) = len(inputs), W.shape
    v, e, extra = common.curvatures, common.direction, common.extra

    # the points of the climb, and the best met, of the samples that are left
    rows, delta, lam, a = np.arange(n), start.points, start.lam.copy(), np.zeros((n, m))
    best, widths = np.full(n, -np.inf), _widths(inputs, slices)
    found = SharedBounds(np.full(n, -np.inf), np.zeros((n, m)), lam.copy(), v, np.zeros((n, d)))
    for step in range(steps):
        beat()
        width, along = widths[rows], products(delta.astype(W.dtype, copy=False), W)
        spread = _follow(T[rows], along, lam, v, radii[rows], norms, inputs.bias, _weight(step), a)
        # the minimum without what curves, and from there that of the relaxation, for these slopes
        flat = sums(np.ascontiguousarray(a - 2.0 * lam[:, None] * v * along, W.dtype), W)
        flat = flat.astype(np.float64, copy=False)
        curved = delta + extra * (delta @ e)[:, None] * e
        c = flat + 2.0 * lam[:, None] * curved
        back = common.solved(c.astype(W.dtype, copy=False))
        values, _ = inner_minima(T[rows], a, lam, v, radii[rows], norms, inputs.bias)
        values += (np.einsum("kj,kj->k", c, delta - back / (4.0 * lam[:, None])) - width * lam
                   - lam * (np.einsum("kj,kj->k", delta, curved) - (along * along) @ v))
        better = values > best[rows]
        to = rows[better]
        best[to], found.slopes[to], found.lam[to] = values[better], a[better], lam[better]
        found.points[to] = (delta - back * (0.5 / lam[:, None]))[better]
        done = better & (values > target)
        if done.any():
            found.bounds[rows[done]] = evaluated(inputs[rows[done]], found, rows[done],
                                                 slices.of(rows[done]), target)
            left = ~(done & (found.bounds[rows] > target))
            rows, a, lam, flat = rows[left], a[left], lam[left], flat[left]
            width, spread = width[left], spread[left]
        if len(rows) == 0:
            break
        delta = flat * (-0.5 / lam[:, None])
        delta -= np.outer(delta @ e, e * (extra / (1.0 + extra)))
        used = np.einsum("kj,kj->k", delta, delta) + extra * (delta @ e)**2 + spread
        lam = lam * np.clip(np.sqrt(used / width), 1.0 / MOST_CHANGE, MOST_CHANGE)
    return found, rows


def _weight(step: int) -> float:
    """Of the slopes of a step in the mean over the steps: all of it at first."""
    return min(1.0, max(KEPT, 2.0 / (step + 1.0)))


def _widths(inputs: SignedInputs, slices: Slices) -> np.ndarray:
    """The largest ``||delta||_2^2 + extra <e, delta>^2`` of what is bounded, shape (n,)."""
    ones = slices.radii**2 * (1.0 if isinstance(inputs.ball, L2Ball) else inputs.W.shape[1])
    widths: np.ndarray = ones + slices.common.extra * slices.half**2
    return widths


def evaluated(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray, slices: Slices,
              target: float = np.inf) -> np.ndarray:
    """Return the bounds of some samples, so that they hold in real arithmetic.

    As ``Relaxation.bound``. Where they are not above the target, slopes without curvatures are
    tried too: 1 where a neuron is linear, 0 where it is closed, and between them elsewhere. Where
    these are better they are kept, with a lam of 0.

    Parameters
    ----------
    inputs : SignedInputs
        k samples.
    found : SharedBounds
        Of all.
    rows : ndarray of int, shape (k,)
        Which of them these are.
    slices : Slices
        Of the k samples.
    target : float
    """
    beat()
    bounds = _sound_values(inputs, found, rows, slices)
    some = np.flatnonzero(bounds <= target)
    inputs, rows, slices, curved = inputs[some], rows[some], slices.of(some), bounds[some]
    kept = found.slopes[rows], found.lam[rows], found.points[rows]
    reach = slices.radii[:, None] * slices.norms
    flat_slopes = np.clip(kept[0], 0.0, 1.0)
    flat_slopes[np.abs(inputs.T) - reach >= inputs.bias] = 1.0
    flat_slopes[np.abs(inputs.T) + reach <= inputs.bias] = 0.0
    found.slopes[rows] = flat_slopes
    found.lam[rows], found.points[rows] = 0.0, 0.0
    flat = _sound_values(inputs, found, rows, slices)
    back = curved >= flat
    for array, before in zip((found.slopes, found.lam, found.points), kept):
        array[rows[back]] = before[back]
    bounds[some] = np.maximum(curved, flat)
    return bounds


def _sound_values(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray,
                  slices: Slices) -> np.ndarray:
    W, T, b, (common, _, r, norms) = inputs.W, inputs.T, inputs.bias, slices
    (m, d), dual_norm, widths = W.shape, inputs.ball.dual_norm, _widths(inputs, slices)
    a, lam, delta = found.slopes[rows], found.lam[rows], found.points[rows]
    mu, slopes = lam[:, None] * found.curvatures, np.concatenate([a, lam[:, None]], axis=1)
    inner, _ = inner_minima(T, slopes, lam, found.curvatures, r, norms, b)
    along = delta @ W.T
    e, extra = common.direction, common.extra
    P_delta = lam[:, None] * delta - (mu * along) @ W + (extra * lam * (delta @ e))[:, None] * e
    rest = r * dual_norm(2.0 * P_delta + a @ W)
    values = inner - np.einsum("kj,kj->k", delta, P_delta) - widths * lam - rest

    # magnitudes as in Relaxation, and the rounding of what is common to all parts
    long = np.linalg.norm(delta, axis=1)
    parts = mu * inputs.norms * long[:, None]
    sizes = (2.0 * r * (np.abs(a) @ norms) + r**2 * (mu @ norms**2) + lam * long**2
             + (parts * (inputs.norms * long[:, None] + 2.0 * r[:, None] * norms)).sum(axis=1)
             + 2.0 * r * dual_norm(lam[:, None] * delta) + widths * lam
             + 4.0 * extra * lam * long * (long + r)
             + np.abs(T).sum(axis=1) + m * b + 2.0 * r * norms.sum())
    sound: np.ndarray = values - inputs.doubt - 2.0 * grain(m, d) * sizes - W.size * UNDERFLOW
    return sound


@kernel
def _follow(T: np.ndarray, along: np.ndarray, lam: np.ndarray, v: np.ndarray, radii: np.ndarray,
            norms: np.ndarray, b: float, weight: float, a: np.ndarray) -> np.ndarray:
    """``a_i += weight (slope - a_i)``, the slope of phi_i at s_i; returns the sums of the spreads.

    phi_i is S_b(t + s) + mu s^2 where that is convex, and a line from p to q across the kink at -b:
    between two points 1 / (2 mu) apart that have one tangent, or from the end of the interval, or
    to the kink at b or the other end. On the line the relaxed s is p and q in turn, with the spread
    ``v (s - p) (q - s)`` about its mean.
    """
    spreads = np.zeros(T.shape[0])
    for row in range(T.shape[0]):
        for i in range(T.shape[1]):
            t, reach = T[row, i], radii[row] * norms[i]
            mu = max(lam[row] * v[i], TINY)
            s = min(max(along[row, i], -reach), reach)
            slope = 2.0 * mu * s + (1.0 if abs(t + s) > b else 0.0)
            kink = -b - t
            if -reach < kink < reach:
                end = min(b - t, reach)
                p, q, line = kink - 0.25 / mu, kink + 0.25 / mu, 0.5 + 2.0 * mu * kink
                if p < -reach:
                    p, q = -reach, math.sqrt((reach - t - b) / mu) - reach
                    line = 2.0 * mu * q
                if q > end:
                    p, q = end - math.sqrt((end + t + b) / mu), end
                    line = 2.0 * mu * p + 1.0
                    if p < -reach:
                        p = -reach
                        line = (mu * (end * end - reach * reach) + reach - t - b) / (end + reach)
                if p <= s <= q:
                    slope = line
                    spreads[row] += v[i] * (s - p) * (q - s)
            a[row, i] += weight * (slope - a[row, i])
    return spreads
