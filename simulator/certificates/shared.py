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
from simulator.certificates.dual_ascent import CommonFactor, ascend, common_factor, cosine
from simulator.certificates.inputs import UNDERFLOW, SignedInputs, grain
from simulator.certificates.relaxation import LAM_FLOOR_L2, TINY_LAM, inner_minima, needed_curvature
from simulator.heartbeat import beat
from simulator.networks.few_rows import products, sums

__all__ = ["STEPS", "Crowd", "SharedBounds", "Slices", "Start", "begin", "climb", "evaluated",
           "needs", "shared_bounds"]

STEPS = 40  # of ascent: what is not certified then has little to gain from curvatures of others
RATE = 0.05  # step length of Adam
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
    norms, lengths : ndarray, shape (m,)
        ``||w_i||_*`` and ``||w_i||_2``.
    """

    common: CommonFactor
    half: float
    radii: np.ndarray
    norms: np.ndarray
    lengths: np.ndarray

    @classmethod
    def whole(cls, inputs: SignedInputs, common: CommonFactor) -> "Slices":
        """Return the balls of n samples."""
        r = inputs.ball.radius
        return cls(common, r, np.full(len(inputs), r), inputs.ball.dual_norm(inputs.W),
                   np.linalg.norm(inputs.W, axis=1))

    def of(self, rows: np.ndarray) -> "Slices":
        """Return those of some samples."""
        return self._replace(radii=self.radii[rows])


class Start(NamedTuple):
    """Where n ascents begin.

    Attributes
    ----------
    slopes : ndarray, shape (n, m)
    lam : ndarray, shape (n,)
    sums : ndarray, shape (n, d), or None
        Of slopes times neurons, if they are known.
    """

    slopes: np.ndarray
    lam: np.ndarray
    sums: np.ndarray | None = None

    def of(self, some: np.ndarray) -> "Start":
        """Return some of them, without their sums."""
        return Start(self.slopes[some], self.lam[some])


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
        Of ascent; at least 1, which evaluates the start.
    crowd : Crowd or None
        Samples in a ball of this radius, with these neurons, that v is the mean over, unperturbed;
        None: over those that are bounded. What a few ask for together is of little use to each.
    """
    reached = start @ inputs.W.T
    common = common_factor(inputs.W, needs(inputs, reached)) if crowd is None else crowd.factor()
    whole = Slices.whole(inputs, common)
    first = begin(inputs, whole.radii, reached)
    if start.any():
        first = Start(first.slopes + 2.0 * first.lam[:, None] * common.curvatures * reached,
                      first.lam)
    found, left = climb(inputs, first, target, steps, whole)
    found.bounds[left] = evaluated(inputs[left], found, left, whole.of(left))
    return found


def begin(inputs: SignedInputs, radii: np.ndarray, reached: np.ndarray | float = 0.0) -> Start:
    """Return the gates that are open, as slopes, and the lam that fits them.

    Parameters
    ----------
    inputs : SignedInputs
    radii : ndarray, shape (n,) or (1,)
    reached : ndarray, shape (n, m), or 0
        What pre-activations are moved by.
    """
    W = inputs.W
    gates = np.where(np.abs(inputs.T + reached) > inputs.bias, 1.0, 0.0)
    sums = gates @ W
    floor = max(LAM_FLOOR_L2 * float(np.sqrt(np.einsum("kj,kj->", W, W) / max(len(W), 1))),
                TINY_LAM)
    return Start(gates, np.maximum(np.linalg.norm(sums, axis=1), floor) / (2.0 * radii), sums)


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
    """Ascend until bounds exceed the target.

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
    W, T, (common, _, radii, norms, _) = inputs.products.rough(), inputs.T, slices
    n, (m, d), is_rough = len(inputs), W.shape, W.dtype != inputs.W.dtype
    v, e, extra = common.curvatures, common.direction, common.extra

    # the points of the dual, and the best met, of the samples that are left
    rows, x = np.arange(n), np.concatenate([start.slopes, np.log(start.lam)[:, None]], axis=1)
    moments, best = np.zeros((2, *x.shape)), np.full(n, -np.inf)
    found = SharedBounds(np.full(n, -np.inf), np.zeros((n, m)), start.lam.copy(), v,
                         np.zeros((n, d)))
    unit, widths = np.where(norms > 0.0, norms, 1.0), _widths(inputs, slices)
    for step in range(steps):
        beat()
        a, lam, width = x[:, :m], np.exp(x[:, m]), widths[rows]
        c = (start.sums if step == 0 and start.sums is not None
             else sums(np.ascontiguousarray(a, W.dtype), W))
        delta = common.solved(c.astype(W.dtype, copy=False)) * (-0.5 / lam[:, None])
        values, s = inner_minima(T[rows], x, lam, v, radii[rows], norms, inputs.bias)
        values += 0.5 * np.einsum("kj,kj->k", c, delta) - width * lam
        better = values > best[rows]
        to = rows[better]
        best[to], found.slopes[to], found.lam[to] = values[better], a[better], lam[better]
        found.points[to] = delta[better]
        done = better & (values > target)
        if done.any():
            found.bounds[rows[done]] = evaluated(inputs[rows[done]], found, rows[done],
                                                 slices.of(rows[done]), target,
                                                 None if is_rough else c[done])
            left = ~(done & (found.bounds[rows] > target))
            rows, x, moments = rows[left], x[left], np.ascontiguousarray(moments[:, left])
            lam, delta, s, width = lam[left], delta[left], s[left], width[left]
        if len(rows) == 0 or step + 1 == steps:
            break
        # a step uphill
        along = products(delta.astype(W.dtype, copy=False), W)
        gradient = np.empty_like(x)
        gradient[:, :m] = (along - s) / (radii[rows, None] * unit)
        gradient[:, m] = lam * (np.einsum("kj,kj->k", delta, delta) - width
                                + (s * s - along * along) @ v + extra * (delta @ e)**2)
        ascend(x.reshape(-1), gradient.reshape(-1), moments.reshape(2, -1), step,
               cosine(RATE, step, steps))
    return found, rows


def _widths(inputs: SignedInputs, slices: Slices) -> np.ndarray:
    """The largest ``||delta||_2^2 + extra <e, delta>^2`` of what is bounded, shape (n,)."""
    ones = slices.radii**2 * (1.0 if isinstance(inputs.ball, L2Ball) else inputs.W.shape[1])
    widths: np.ndarray = ones + slices.common.extra * slices.half**2
    return widths


def evaluated(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray, slices: Slices,
              target: float = np.inf, c: np.ndarray | None = None) -> np.ndarray:
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
    c : ndarray, shape (k, d), or None
        The sums of slopes times neurons, if they are known.
    """
    beat()
    bounds = _sound_values(inputs, found, rows, slices, c)
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


def _sound_values(inputs: SignedInputs, found: SharedBounds, rows: np.ndarray, slices: Slices,
                  c: np.ndarray | None = None) -> np.ndarray:
    W, T, b, (common, _, r, norms, lengths) = inputs.W, inputs.T, inputs.bias, slices
    (m, d), dual_norm, widths = W.shape, inputs.ball.dual_norm, _widths(inputs, slices)
    a, lam, delta = found.slopes[rows], found.lam[rows], found.points[rows]
    mu, slopes = lam[:, None] * found.curvatures, np.concatenate([a, lam[:, None]], axis=1)
    inner, _ = inner_minima(T, slopes, lam, found.curvatures, r, norms, b)
    along = delta @ W.T
    e, extra = common.direction, common.extra
    P_delta = lam[:, None] * delta - (mu * along) @ W + (extra * lam * (delta @ e))[:, None] * e
    rest = r * dual_norm(2.0 * P_delta + (a @ W if c is None else c))
    values = inner - np.einsum("kj,kj->k", delta, P_delta) - widths * lam - rest

    # magnitudes as in Relaxation, and the rounding of what is common to all parts
    long = np.linalg.norm(delta, axis=1)
    parts = mu * lengths * long[:, None]
    sizes = (2.0 * r * (np.abs(a) @ norms) + r**2 * (mu @ norms**2) + lam * long**2
             + (parts * (lengths * long[:, None] + 2.0 * r[:, None] * norms)).sum(axis=1)
             + 2.0 * r * dual_norm(lam[:, None] * delta) + widths * lam
             + 4.0 * extra * lam * long * (long + r)
             + np.abs(T).sum(axis=1) + m * b + 2.0 * r * norms.sum())
    sound: np.ndarray = values - inputs.doubt - 2.0 * grain(m, d) * sizes - W.size * UNDERFLOW
    return sound
