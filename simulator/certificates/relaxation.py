"""Lower bounds on the margin in a ball, from one Lagrangian.

The margin of ``f(x) = sum_i S_b(<w_i, x>)`` at ``x + y delta`` is
``sum_i S_b(t_i + s_i)`` with ``t_i = y <w_i, x>`` and ``s_i = <w_i, delta>``. Give the
equation for s_i a multiplier a_i, its redundant square ``s_i^2 = <w_i, delta>^2`` a
multiplier mu_i, and the ball (``||delta||^2 <= r^2``, or ``delta_k^2 <= r^2`` for each k)
multipliers lam >= 0. Then, with ``P = diag(lam) - sum_i mu_i w_i w_i^T`` positive definite
and ``c = sum_i a_i w_i``, weak duality says

    y f  >=  sum_i min_{l_i <= s <= h_i} [S_b(t_i + s) - a_i s + mu_i s^2]
             + min_delta [delta^T P delta + <c, delta>] - r^2 * (lam, or sum_k lam_k),

for ANY multipliers; the right side is concave in them. The first minimum is one-dimensional,
over three pieces; the second is ``-c^T P^{-1} c / 4``.

``mu = 0`` is the linear relaxation (CROWN) with its best slopes a_i: its inner minimum is the
intercept of the tightest line of slope a_i under S_b, so no case distinction is needed, and
the ball term is ``-r ||c||_*``. With an orthonormal dictionary and neurons that each hold one
feature, ``mu_i = lam / (n_j ||w_i||^2)`` over the n_j neurons of feature j is the separable
dual ``min_s [H_j(s) + lam s^2]``. Free mu_i keep its strength, the price of spreading an l2
budget over many features, without a dictionary: mixtures are just part of the w_i.

S_b is convex on [-b, inf): only neurons whose interval has the kink -b inside need mu_i > 0.
Where an attack ended in a local minimum delta of the margin with gradient g, the conditions of
optimality give multipliers in closed form: ``lam = ||g|| / (2 r)``, ``a_i = gate_i + 2 mu_i
s_i``, and mu_i the least curvature that makes s_i the minimiser of its piece. If such a P is
positive definite, the bound equals the attacked margin. Ascent (Adam) does the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.dual_ascent import ascend, cosine, inverse, is_definite
from simulator.certificates.inputs import UNDERFLOW, Products, grain
from simulator.heartbeat import beat
from simulator.jit import kernel

__all__ = ["LAM_FLOOR_LINF_GRADIENT", "LAM_FLOOR_LINF_WEIGHT", "RATE", "SHRINK", "TINY", "TINY_LAM",
           "VANISHED", "Ascent", "Dual", "Multipliers", "Relaxation", "inner_minima",
           "needed_curvature", "tight_lines"]

# P is factored in the space of the p curved neurons up to this many times d, then in that of x:
# p^3 / 3 multiplications against p d^2 / 2 + d^3 / 6.
GRAM_SHARE = 1.5

# With one lam, P / lam moves with the curvatures alone. From this size p d on, where its factor is
# what a step costs, they move at every third step only, along the gradients of all three: counted
# at d = 128 to 256, as many steps then reach further (small problems do not gain).
LATE, LARGE = 3, 40_000

RATE = 0.05  # step length of Adam in units of each multiplier's natural scale
DESCENT_STEPS = 30  # jumps between corners of the linearised margin; few ever take ten
DESCENT_GAIN = 1e-12  # below this a jump gains nothing but rounding

# Where the attack's gradient is small, lam = ||g|| / (2 r) would start at zero, and with it every
# curvature; these shares of the weights' (for l_inf also the gradient's) size keep it alive. Larger
# floors start too far from the optimum where the gradient is small but honest.
LAM_FLOOR_L2 = 0.1
LAM_FLOOR_LINF_GRADIENT, LAM_FLOOR_LINF_WEIGHT = 0.05, 1e-3
TINY_LAM = 1e-12  # where all weights are zero
TINY = 1e-300  # keeps a quotient finite
DEFINITE = 0.95  # curvatures start at this share of where P turns indefinite: room to climb
NEAR_KINK = 1e-3  # share of its interval that s_i counts as away from the kink at least

# All eigenvalues of a matrix of this size take a millisecond; above it the largest is iterated,
# from below: curvatures that are too large for it shrink in the first step.
MOST_EIGENVALUES, POWERS = 100, 20

SHRINK = 0.9  # of all curvatures, until P is definite: smaller overshoots, larger factors oftener
VANISHED = 1e-9  # a curvature below this, relative to its natural scale, is zero


@dataclass(frozen=True)
class Multipliers:
    """A point of the dual; any such point gives a sound bound.

    Attributes
    ----------
    slopes : ndarray, shape (q,)
        a_i for the q neurons of the relaxation. Shape (2, q) where weights are split into rest
        and core: see :mod:`simulator.certificates.cored`.
    curvatures : ndarray, shape (q,)
        mu_i relative to ``exp(mean log_lam) / sum_k |<w_i, w_k>|``; at least 0.
    log_lam : ndarray, shape (1,) for l2 or (d,) for l_inf
    """

    slopes: np.ndarray
    curvatures: np.ndarray
    log_lam: np.ndarray

    def __repr__(self) -> str:
        return (f"Multipliers(q={len(self.curvatures)}, "
                f"{int((self.curvatures > 0.0).sum())} curved, "
                f"lam of shape {self.log_lam.shape})")


class Dual(NamedTuple):
    """A point of the dual as a bound was evaluated on it; see :mod:`simulator.certificates.proofs`.

    Attributes
    ----------
    slopes, curvatures : ndarray, shape (q,)
        a_i and mu_i. Slopes (2, q): those of the rests and of the cores.
    lam : ndarray, shape (1,) for l2 or (d,) for l_inf
    point : ndarray, shape (d,)
        delta_0.
    """

    slopes: np.ndarray
    curvatures: np.ndarray
    lam: np.ndarray
    point: np.ndarray


class Ascent(NamedTuple):
    """Where a climb in the dual ended.

    Attributes
    ----------
    bound : float
        Sound in real arithmetic.
    multipliers : Multipliers
    point : ndarray, shape (d,)
        Where the relaxation puts the adversary: the minimiser of the ball term.
    dual : Dual
        What ``bound`` rests on.
    """

    bound: float
    multipliers: Multipliers
    point: np.ndarray
    dual: Dual


@dataclass(frozen=True)
class Relaxation:
    """One sample in a ball: the neurons that matter and where their s_i can be.

    Neurons with ``|t_i| + r ||w_i||_* <= b`` are dead and were dropped; those that are linear
    in the whole ball were added up into ``constant`` and ``linear``.

    Attributes
    ----------
    W : ndarray, shape (q, d)
    t : ndarray, shape (q,)
        Signed pre-activations ``y <w_i, x>``.
    low, high : ndarray, shape (q,)
        Interval of each ``<w_i, delta>``; branching shrinks it.
    bias : float
    ball : L2Ball or LinfBall
    constant : float
    linear : ndarray, shape (d,)
    unit : ndarray, shape (q,)
        ``1 / sum_k |<w_i, w_k>|``: with ``mu_i = lam unit_i``, P is positive semidefinite
        (diagonal dominance of the Gram matrix), so it is the natural scale of mu_i.
    neurons, linear_neurons : ndarray of int
        Which neurons of the network the q are, and which were added up.
    grain : float
        Rounding relative to magnitudes; see :func:`~simulator.certificates.inputs.grain`.
    slack : float
        Rounding of what all boxes of the sample have in common, over ALL neurons.
    cuts : tuple of (int, float, float)
        Half-spaces that cut a box out: i of the q neurons, side, v: ``side <w_i, delta> <= v``.
    gram : ndarray, shape (q, q), or None
        ``W W^T``; None in an l_inf ball, which has no use for it.
    """

    W: np.ndarray
    t: np.ndarray
    low: np.ndarray
    high: np.ndarray
    bias: float
    ball: L2Ball | LinfBall
    constant: float
    linear: np.ndarray
    unit: np.ndarray
    neurons: np.ndarray
    linear_neurons: np.ndarray
    grain: float
    slack: float
    cuts: tuple[tuple[int, float, float], ...] = ()
    gram: np.ndarray | None = None

    def __repr__(self) -> str:
        q, d = self.W.shape
        return (f"Relaxation(q={q}, d={d}, {int(self.has_kink.sum())} with a kink, "
                f"bias={self.bias:.4g}, {self.ball!r})")

    @classmethod
    def of_sample(cls, W: np.ndarray, t: np.ndarray, bias: float, ball: L2Ball | LinfBall,
                  doubt: float = 0.0, products: Products | None = None) -> "Relaxation":
        """Build it from all neurons W (m, d) and signed pre-activations t (m,).

        ``doubt`` is what the rounding of t can move a margin by; without it t is taken as exact.
        ``products`` are those of W, where they are kept for other samples and balls.
        """
        reach = ball.radius * ball.dual_norm(W)
        opened, closed = t - reach >= bias, t + reach <= -bias
        linear = opened | closed
        some = ~linear & (np.abs(t) + reach > bias)
        constant = float((t[opened] - bias).sum() + (t[closed] + bias).sum())
        V = W[some]
        gram = (products.of(np.flatnonzero(some)) if products is not None
                else Products(V).of(np.arange(len(V))))
        share = grain(*W.shape)
        slack = doubt + share * float(np.abs(t).sum() + len(t) * bias + 2.0 * reach.sum())
        sums = np.maximum(np.abs(gram).sum(axis=1), np.finfo(float).tiny)
        return cls(V, t[some], -reach[some], reach[some], bias, ball, constant,
                   W[linear].sum(axis=0), 1.0 / sums,
                   np.flatnonzero(some), np.flatnonzero(linear), share, slack + W.size * UNDERFLOW,
                   gram=gram if isinstance(ball, L2Ball) else None)

    @property
    def has_kink(self) -> np.ndarray:
        """Neurons, shape (q,) of bool, that are not convex on their interval."""
        return (self.low < self.kink) & (self.kink < self.high)

    @property
    def is_large(self) -> bool:
        """Whether a factorisation is what a step of ascent costs."""
        return int(self.has_kink.sum()) * self.W.shape[1] >= LARGE

    @property
    def kink(self) -> np.ndarray:
        """Where ``t_i + s_i = -b``, shape (q,); an interval split there ends there exactly.

        (Comparing ``t_i + low_i`` with -b would round: the box would be split for ever.)
        """
        return -self.bias - self.t

    def margin(self, delta: np.ndarray) -> float:
        """Return the margin at ``x + y delta``."""
        u = self.t + self.W @ delta
        return float(self.constant + self.linear @ delta
                     + (np.sign(u) * np.maximum(np.abs(u) - self.bias, 0.0)).sum())

    def descend(self, delta: np.ndarray,
                steps: int = DESCENT_STEPS) -> tuple[float, np.ndarray]:
        """Jump to the minimiser of the linearised margin until it stops falling."""
        margin = self.margin(delta)
        for _ in range(steps):
            gates = np.abs(self.t + self.W @ delta) > self.bias
            jump = self.ball.steepest(-(self.linear + self.W[gates].sum(axis=0))[None])[0]
            value = self.margin(jump)
            if value >= margin - DESCENT_GAIN:
                break
            margin, delta = value, jump
        return margin, delta

    def start(self, delta: np.ndarray) -> Multipliers:
        """Return the closed-form multipliers at an attack ``delta``, shape (d,)."""
        if len(self.t) == 0:
            return Multipliers(self.t, self.t, np.zeros(1))
        beat()  # after the Gram matrix of all neurons, before an eigenvalue
        s = self.W @ delta
        gates = (np.abs(self.t + s) > self.bias).astype(float)
        gradient = np.abs(self.linear + gates @ self.W)
        if isinstance(self.ball, L2Ball):
            lam = np.array([np.linalg.norm(gradient)])
            floor = LAM_FLOOR_L2 * np.linalg.norm(self.W, axis=1).mean()
        else:
            lam = gradient
            floor = max(LAM_FLOOR_LINF_GRADIENT * gradient.mean(),
                        LAM_FLOOR_LINF_WEIGHT * np.abs(self.W).mean())
        lam = np.maximum(lam, max(floor, TINY_LAM)) / (2.0 * self.ball.radius)
        need = np.empty(len(s))
        needed_curvature(self.t, s, self.low, self.high, self.bias, need)
        scale = np.exp(np.log(lam).mean())
        top = self._largest(need, lam)
        curvatures = need / (scale * self.unit) * min(1.0, DEFINITE / max(top, TINY))
        slopes = gates + 2.0 * curvatures * scale * self.unit * s
        return Multipliers(slopes, curvatures, np.log(lam))

    def maximise(self, start: Multipliers, steps: int, target: float = np.inf,
                 rate: float = RATE) -> Ascent:
        """Ascend from ``start`` and keep the best bound met.

        Parameters
        ----------
        start : Multipliers
        steps : int
            At least 1; the first evaluates the start itself.
        target : float
            Stop once the bound exceeds it.
        rate : float
            Step length of Adam, falling to zero like a cosine.

        Returns
        -------
        Ascent
        """
        if len(self.t) == 0:
            delta = self.ball.steepest(-self.linear[None])[0]
            bound, dual = self.bound(start, delta)
            return Ascent(bound, start, delta, dual)
        q, d, r = *self.W.shape, self.ball.radius
        curved = np.flatnonzero(self.has_kink)
        Wc, unit, p = self.W[curved], self.unit[curved], len(curved)
        half = np.maximum(0.5 * (self.high - self.low), 1e-12)
        small = self.gram is not None and p <= GRAM_SHARE * d
        gram = full = self.gram[np.ix_(curved, curved)] if small and self.gram is not None else None
        late = LATE if len(start.log_lam) == 1 and self.is_large else 1
        if late > 1:  # a factor is what a step costs, and float32 halves it
            Wc, gram = Wc.astype(np.float32), None if gram is None else gram.astype(np.float32)

        # the point of the dual and its gradient, and views of their parts
        x, nu = np.concatenate([start.slopes, start.log_lam]), start.curvatures[curved]
        gradient, moments, by_nu, moments_of_nu = (np.empty_like(x), np.zeros((2, len(x))),
                                                   np.zeros(p), np.zeros((2, p)))
        (a, log_lam), (by_a, by_log_lam) = np.split(x, [q]), np.split(gradient, [q])
        s, mu, solve = np.empty(q), np.zeros(q), None
        best, best_x, best_nu, best_delta = -np.inf, x.copy(), nu.copy(), np.zeros(d)
        for step in range(steps):
            beat()
            # the bound at this point
            lam, scale = np.exp(log_lam), np.exp(log_lam.mean())
            if solve is None:
                solve = self._definite(Wc, gram, unit, nu, log_lam - log_lam.mean())
            mu[curved] = scale * unit * nu
            c = self.linear + a @ self.W
            delta = (-0.5 / scale) * solve(c)
            inner = _inner_minima(self.t, a, mu, self.low, self.high, self.bias, s)
            if p:
                ball_term = 0.5 * c @ delta - r ** 2 * lam.sum()
            else:  # the best lam for these slopes is known
                ball_term = -r * self.ball.dual_norm(c[None])[0]
            bound = self.constant + inner + ball_term
            if bound > best:
                best, best_x, best_nu, best_delta = bound, x.copy(), nu.copy(), delta
            if best > target:
                break
            # a step uphill
            reached = self.W @ delta
            square = delta @ delta if len(lam) == 1 else delta * delta
            excess = s[curved] ** 2 - reached[curved] ** 2
            by_a[:] = (reached - s) / half
            by_nu += scale * unit * excess
            by_log_lam[:] = lam * (square - r ** 2) + mu[curved] @ excess / len(lam)
            pace = cosine(rate, step, steps)
            ascend(x, gradient, moments, step, pace)
            if (step + 1) % late == 0:
                ascend(nu, by_nu, moments_of_nu, step // late, pace)
                np.maximum(nu, 0.0, out=nu)
                by_nu[:], solve = 0.0, None
        a, log_lam = np.split(best_x, [q])
        if late > 1 and p:  # to the end in float64: a bound gives up what its point is off by
            solve = self._definite(self.W[curved], full, unit, best_nu, log_lam - log_lam.mean())
            best_delta = (-0.5 / np.exp(log_lam.mean())) * solve(self.linear + a @ self.W)
        curvatures = np.zeros(q)
        curvatures[curved] = best_nu
        multipliers = Multipliers(a.copy(), curvatures, log_lam.copy())
        bound, dual = self.bound(multipliers, best_delta)
        return Ascent(bound, multipliers, best_delta, dual)

    @staticmethod
    def _definite(W: np.ndarray, gram: np.ndarray | None, unit: np.ndarray, nu: np.ndarray,
                  relative: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Shrink nu in place until P is positive definite; return the solver for P / scale.

        ``relative`` is log_lam less its mean, so that with a single lam P / scale depends on nu
        alone.
        """
        while (solve := inverse(W, gram, unit * nu, np.exp(relative))) is None:
            nu *= SHRINK
            nu[nu < VANISHED] = 0.0
        return solve

    def bound(self, multipliers: Multipliers, delta: np.ndarray) -> tuple[float, Dual]:
        """Evaluate the bound so that it holds in real arithmetic, and say what it rests on.

        The ball term is bounded through a given ``delta`` (d,), exact minimiser or not: for
        P >= 0 it is at least ``-delta^T P delta - r ||2 P delta + c||_*``, plus the lam term.
        The same slopes without curvatures are tried too; the better of the two is returned.
        """
        beat()
        flat = Dual(multipliers.slopes, np.zeros_like(self.t), np.zeros_like(multipliers.log_lam),
                    np.zeros(self.W.shape[1]))
        duals = [flat]
        lam, mu = np.exp(multipliers.log_lam), self._curvatures(multipliers)
        if len(self.t) and is_definite(self.W, mu, lam, self.gram):
            duals.append(Dual(multipliers.slopes, mu, lam, delta))
        values = [self._evaluated(dual) for dual in duals]
        best = int(np.argmax(values))
        return values[best], duals[best]

    def _evaluated(self, dual: Dual) -> float:
        """The bound at a point of the dual whose P is semidefinite, less its rounding."""
        a, mu, lam, delta = dual
        W, r, norm = self.W, self.ball.radius, self.ball.dual_norm
        far = np.maximum(np.abs(self.low), np.abs(self.high))
        inner = _inner_minima(self.t, a, mu, self.low, self.high, self.bias, np.empty(len(a)))
        P_delta = lam * delta - (mu * (W @ delta)) @ W
        rest = r * float(norm((2.0 * P_delta + self.linear + a @ W)[None])[0])
        value = self.constant + inner - delta @ P_delta - r * r * lam.sum() - rest

        # magnitudes: the inner terms, c = a W, delta^T P delta, 2 r P delta, and the lam term
        reach = r * norm(W)
        along = mu * np.linalg.norm(W, axis=1) * np.linalg.norm(delta)  # mu_i |<w_i, delta>|
        size = (np.abs(a) @ (far + reach) + mu @ far**2 + (lam * delta) @ delta
                + along @ (np.linalg.norm(W, axis=1) * np.linalg.norm(delta) + 2.0 * reach)
                + 2.0 * r * norm((lam * delta)[None])[0] + r * r * lam.sum())
        return float(value - self.slack - self.grain * size)

    def _curvatures(self, multipliers: Multipliers) -> np.ndarray:
        """mu_i, zero where the interval is convex."""
        scale = np.exp(multipliers.log_lam.mean())
        return np.where(self.has_kink, multipliers.curvatures * scale * self.unit, 0.0)

    def gaps(self, multipliers: Multipliers, delta: np.ndarray) -> np.ndarray:
        """Return, per neuron, the margin at ``delta`` minus its relaxed value, shape (q,)."""
        mu = self._curvatures(multipliers)
        point = np.clip(self.W @ delta, self.low, self.high)
        gaps = np.empty(len(point))
        _inner_gaps(self.t, multipliers.slopes, mu, self.low, self.high, self.bias, point, gaps)
        return gaps

    def restricted(self, low: np.ndarray, high: np.ndarray,
                   cut: tuple[int, float, float]) -> "Relaxation":
        """Return the relaxation in one half, with intervals (q,) and the cut that made them."""
        return replace(self, low=low, high=high, cuts=(*self.cuts, cut))

    def _largest(self, mu: np.ndarray, lam: np.ndarray) -> float:
        """Largest eigenvalue of ``diag(lam)^-1/2 W^T diag(mu) W diag(lam)^-1/2``."""
        some = mu > 0.0
        V = np.sqrt(mu[some])[:, None] * self.W[some] / np.sqrt(lam)
        if min(V.shape) > MOST_EIGENVALUES:
            return _largest_by_powers(V)
        if len(V) == 0:
            return 0.0
        return float(np.linalg.eigvalsh(V.T @ V if len(V) > V.shape[1] else V @ V.T)[-1])


def tight_lines(T: np.ndarray, slopes: np.ndarray, reach: np.ndarray,
                bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the intercepts of the tightest lines under S_b, and where they touch it.

    Parameters
    ----------
    T, slopes : ndarray, shape (n, m)
        Lines ``slope s + intercept <= S_b(t + s)`` for ``|s| <= reach``.
    reach : ndarray, shape (m,)
    bias : float

    Returns
    -------
    intercepts, touching : ndarray, shape (n, m)
    """
    intercepts, touching = np.empty_like(T), np.empty_like(T)
    _lines(T, slopes, reach, bias, touching, intercepts)
    return intercepts, touching


def inner_minima(T: np.ndarray, slopes: np.ndarray, lam: np.ndarray, v: np.ndarray,
                 radii: np.ndarray, norms: np.ndarray,
                 bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of the inner minima of n samples with curvatures ``lam v_i``, and where.

    Parameters
    ----------
    T : ndarray, shape (n, m)
    slopes : ndarray, shape (n, m) or wider
        Its first m columns count.
    lam : ndarray, shape (n,)
    v : ndarray, shape (m,)
    radii : ndarray, shape (n,)
    norms : ndarray, shape (m,)
        Each s_i is in ``[-r ||w_i||, r ||w_i||]``.
    bias : float

    Returns
    -------
    sums : ndarray, shape (n,)
    s : ndarray, shape (n, m)
    """
    sums, s = np.empty(len(T)), np.empty(T.shape)
    _minima_of_many(T, slopes, lam, v, radii, norms, bias, s, sums)
    return sums, s


def _largest_by_powers(V: np.ndarray) -> float:
    """Largest eigenvalue of ``V V^T``, or a little less: iterated from the longest row of V."""
    x = V[np.argmax(np.einsum("kj,kj->k", V, V))]
    value = 0.0
    for _ in range(POWERS):
        x = x / max(float(np.linalg.norm(x)), TINY)
        along = V @ x
        value, x = float(along @ along), along @ V
    return value


@kernel
def _piece(t: float, a: float, mu: float, low: float, high: float, b: float,
           piece: int) -> tuple[float, float]:
    """Minimum of ``S_b(t + s) - a s + mu s^2`` on one piece of [low, high], and where."""
    left = low if piece == 0 else max(low, (-b if piece == 1 else b) - t)
    right = high if piece == 2 else min(high, (-b if piece == 0 else b) - t)
    if left > right:
        return np.inf, 0.0
    slope = (0.0 if piece == 1 else 1.0) - a
    offset = 0.0 if piece == 1 else (t + b if piece == 0 else t - b)
    if mu > 0.0:
        s = min(max(-0.5 * slope / mu, left), right)
    else:
        s = left if slope > 0.0 else right
    return offset + slope * s + mu * s * s, s


@kernel
def _inner(t: float, a: float, mu: float, low: float, high: float, b: float) -> tuple[float, float]:
    value, s = _piece(t, a, mu, low, high, b, 0)
    for piece in range(1, 3):
        other, at = _piece(t, a, mu, low, high, b, piece)
        if other < value:
            value, s = other, at
    return value, s


@kernel
def _inner_minima(t: np.ndarray, a: np.ndarray, mu: np.ndarray, low: np.ndarray, high: np.ndarray,
                  b: float, s: np.ndarray) -> float:
    total = 0.0
    for i in range(len(t)):
        value, s[i] = _inner(t[i], a[i], mu[i], low[i], high[i], b)
        total += value
    return total


@kernel
def _minima_of_many(T: np.ndarray, slopes: np.ndarray, lam: np.ndarray, v: np.ndarray,
                    radii: np.ndarray, norms: np.ndarray, b: float, s: np.ndarray,
                    sums: np.ndarray) -> None:
    for row in range(T.shape[0]):
        sums[row] = 0.0
        for i in range(T.shape[1]):
            reach = radii[row] * norms[i]
            value, s[row, i] = _inner(T[row, i], slopes[row, i], lam[row] * v[i], -reach, reach, b)
            sums[row] += value


@kernel
def _inner_gaps(t: np.ndarray, a: np.ndarray, mu: np.ndarray, low: np.ndarray, high: np.ndarray,
                b: float, point: np.ndarray, gaps: np.ndarray) -> None:
    for i in range(len(t)):
        least, _ = _inner(t[i], a[i], mu[i], low[i], high[i], b)
        reached, _ = _inner(t[i], a[i], mu[i], point[i], point[i], b)
        gaps[i] = reached - least


@kernel
def _lines(T: np.ndarray, A: np.ndarray, reach: np.ndarray, b: float, S: np.ndarray,
           values: np.ndarray) -> None:
    for row in range(T.shape[0]):
        for i in range(T.shape[1]):
            values[row, i], S[row, i] = _inner(T[row, i], A[row, i], 0.0, -reach[i], reach[i], b)


@kernel
def needed_curvature(t: np.ndarray, s: np.ndarray, low: np.ndarray, high: np.ndarray, b: float,
                     need: np.ndarray) -> None:
    """Least mu_i that keeps s_i the minimiser over the piece on the other side of -b.

    At distance g from the kink the other piece gains x - g against mu x^2 over a move x.
    """
    for i in range(len(t)):
        g = t[i] + s[i] + b
        room = s[i] - low[i] if g >= 0.0 else high[i] - s[i]
        g = max(abs(g), NEAR_KINK * (high[i] - low[i]))
        if room <= g:
            need[i] = 0.0
        elif room > 2.0 * g:
            need[i] = 0.25 / g
        else:
            need[i] = (room - g) / (room * room)
