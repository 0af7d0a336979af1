"""The bound in an l_inf ball: weights split into a core, kept exact, and a rest, kept small.

In an l_inf ball the adversary moves every coordinate by r at no cost to the others. A neuron of
one feature holds one large weight and many small ones, and the small ones together reach as far:
``r ||w||_1`` counts them as if all pointed the same way. They can in one neuron, but not in many at
once: as vectors they are nearly orthogonal. Slopes alone do not see that, and curvatures mu_i on
``s_i^2 = <w_i, delta>^2`` must pay for the large weight, ``mu_i w_ij^2 <= lam_j``, whose coordinate
sits at its end anyway. So split ``w_i = g_i + e_i`` (core: entries within ``SHARE`` of the largest;
rest) and give ``z_i = <g_i, delta>`` a multiplier k_i, ``n_i = <e_i, delta>`` another a_i, and the
curvature to ``n_i^2`` alone:

    y f  >=  sum_i min [S_b(t_i + z + n) - k_i z - a_i n + mu_i n^2]
             + min_delta [delta^T P delta + <c, delta>] - r^2 sum_k lam_k,

``P = diag(lam) - sum_i mu_i e_i e_i^T``, ``c = sum_i k_i g_i + a_i e_i``, with the first minimum
over ``|z| <= r ||g_i||_1``, ``|n| <= r ||e_i||_1`` and ``low_i <= z + n <= high_i``. For a fixed n
it is piecewise linear in z and falls into a corner of the range or the kink ``z + n = b - t_i``:
five minima in n remain, each over the pieces of a quadratic. With ``k_i = a_i`` and mu = 0 this is
the linear bound, whose best slopes are where the ascent starts.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np

from simulator.certificates.best_slopes import best_slopes
from simulator.certificates.dual_ascent import ascend, cosine, inverse, is_definite
from simulator.certificates.relaxation import (LAM_FLOOR_LINF_GRADIENT, LAM_FLOOR_LINF_WEIGHT, RATE,
                                               SHRINK, TINY, TINY_LAM, VANISHED, Ascent, Dual,
                                               Multipliers, Relaxation)
from simulator.heartbeat import beat
from simulator.jit import kernel

__all__ = ["SHARE", "CoredRelaxation", "cores"]

SHARE = 0.3  # of a neuron's largest weight: smaller ones are of its rest
START = 0.3  # curvatures begin at this share of what they need: from zero they start slowly
LEAST_NEED = 1e-3  # share of its rest's reach that a kink counts as deep at least


def cores(W: np.ndarray) -> np.ndarray:
    """Which weights (q, d) are of their neuron's core, shape (q, d) of bool."""
    size = np.abs(W)
    return size >= SHARE * size.max(axis=1, keepdims=True, initial=0.0)


class CoredRelaxation(Relaxation):
    """A :class:`Relaxation` in an l_inf ball whose curvatures act on the rests alone.

    The slopes of its multipliers have shape (2, q): a_i and k_i, those of the rests come first.
    """

    @cached_property
    def rest(self) -> np.ndarray:
        """e_i, shape (q, d); zero where S_b is convex, for no curvature is needed there."""
        return np.where(cores(self.W) | ~self.has_kink[:, None], 0.0, self.W)

    @cached_property
    def core(self) -> np.ndarray:
        """g_i, shape (q, d)."""
        return np.where(self.rest == 0.0, self.W, 0.0)

    @cached_property
    def reaches(self) -> np.ndarray:
        """``r ||e_i||_1`` and ``r ||g_i||_1``, shape (2, q), from above."""
        far = self.ball.radius * np.stack([self.ball.dual_norm(self.rest),
                                           self.ball.dual_norm(self.core)])
        return far * (1.0 + self.grain)

    @property
    def ranges(self) -> np.ndarray:
        """``low`` and ``high``, shape (2, q)."""
        return np.stack([self.low, self.high])

    @cached_property
    def natural(self) -> np.ndarray:
        """Natural scale of mu_i, shape (q,): what keeps n from crossing its kink for gain."""
        far = self.ball.radius * self.ball.dual_norm(np.where(cores(self.W), 0.0, self.W))
        deep = self.kink + self.ball.radius * self.ball.dual_norm(self.W)
        deep = np.clip(deep, LEAST_NEED * far, far)
        return deep / np.maximum(far * far, TINY)

    def start(self, delta: np.ndarray) -> Multipliers:
        """Return the best slopes without curvatures, and a first guess of these."""
        slopes, _ = best_slopes(self)
        pull = np.abs(self.linear + slopes @ self.W)
        floor = max(LAM_FLOOR_LINF_GRADIENT * float(pull.mean()),
                    LAM_FLOOR_LINF_WEIGHT * float(np.abs(self.W).sum()) / max(self.W.size, 1),
                    TINY_LAM)
        lam = np.maximum(pull, floor) / (2.0 * self.ball.radius)
        return Multipliers(np.stack([slopes, slopes]), np.full(len(self.t), START), np.log(lam))

    def maximise(self, start: Multipliers, steps: int, target: float = np.inf,
                 rate: float = RATE) -> Ascent:
        """Ascend from ``start``; see :meth:`Relaxation.maximise`."""
        curved = np.flatnonzero(self.has_kink)
        both = np.broadcast_to(start.slopes, (2, len(self.t)))
        if len(curved) == 0:
            return super().maximise(replace(start, slopes=both[1]), steps, target, rate)
        q, p, r = len(self.t), len(curved), self.ball.radius
        parts, far, ranges = (self.rest, self.core), self.reaches, self.ranges
        E, natural = self.rest[curved], self.natural[curved]
        wide = np.where(far > 0.0, far, 1.0)

        # the point of the dual and its gradient, and views of their three parts
        x = np.concatenate([*both, start.curvatures[curved], start.log_lam])
        gradient, moments = np.empty_like(x), np.zeros((2, len(x)))
        flat, nu, log_lam = np.split(x, [2 * q, 2 * q + p])
        by_flat, by_nu, by_log_lam = np.split(gradient, [2 * q, 2 * q + p])
        slopes, by_slopes = flat.reshape(2, q), by_flat.reshape(2, q)
        at, mu = np.empty((2, q)), np.zeros(q)
        best, best_x, best_delta = -np.inf, x.copy(), np.zeros(self.W.shape[1])
        for step in range(steps):
            beat()
            lam = np.exp(log_lam)
            while (solve := inverse(E, None, natural * nu, lam)) is None:
                nu *= SHRINK
                nu[nu < VANISHED] = 0.0
            mu[curved] = natural * nu
            c = self.linear + slopes[0] @ parts[0] + slopes[1] @ parts[1]
            delta = -0.5 * solve(c)
            inner = _least(self.t, slopes, mu, far, ranges, self.bias, at)
            bound = self.constant + inner + 0.5 * c @ delta - r**2 * lam.sum()
            if bound > best:
                best, best_x, best_delta = bound, x.copy(), delta
            if best > target:
                break
            # a step uphill
            reached = np.stack([part @ delta for part in parts])
            by_slopes[:] = (reached - at) / wide
            by_nu[:] = natural * (at[0, curved]**2 - reached[0, curved]**2)
            by_log_lam[:] = lam * (delta * delta - r**2)
            ascend(x, gradient, moments, step, cosine(rate, step, steps))
            np.maximum(nu, 0.0, out=nu)
        flat, nu, log_lam = np.split(best_x, [2 * q, 2 * q + p])
        slopes, curvatures = flat.reshape(2, q), np.zeros(q)
        slopes[0] = np.where(self.has_kink, slopes[0], slopes[1])
        curvatures[curved] = nu
        found = Multipliers(slopes, curvatures, log_lam.copy())
        bound, dual = max(self.bound(found, best_delta), self._flat(both[1]),
                          key=lambda result: result[0])
        return Ascent(bound, found, best_delta, dual)

    def bound(self, multipliers: Multipliers, delta: np.ndarray) -> tuple[float, Dual]:
        """Evaluate the bound in real arithmetic; see :meth:`Relaxation.bound`."""
        beat()
        slopes = np.broadcast_to(multipliers.slopes, (2, len(self.t)))
        results = [self._flat(slopes[1])]
        lam, mu = np.exp(multipliers.log_lam), self._curvatures(multipliers)
        if self.has_kink.any() and is_definite(self.rest, mu, lam):
            dual = Dual(slopes, mu, lam, delta)
            results.append((self._split_value(dual), dual))
        return max(results, key=lambda result: result[0])

    def _flat(self, slopes: np.ndarray) -> tuple[float, Dual]:
        """The bound by slopes (q,) alone."""
        d = self.W.shape[1]
        dual = Dual(slopes, np.zeros_like(slopes), np.zeros(d), np.zeros(d))
        return self._evaluated(dual), dual

    def _split_value(self, dual: Dual) -> float:
        """The bound at a point of the dual whose P is semidefinite, less its rounding."""
        slopes, mu, lam, delta = dual
        rest, r, norm, far = self.rest, self.ball.radius, self.ball.dual_norm, self.reaches
        inner = _least(self.t, slopes, mu, far, self.ranges, self.bias, np.empty_like(far))
        P_delta = lam * delta - (mu * (rest @ delta)) @ rest
        c = self.linear + slopes[0] @ rest + slopes[1] @ self.core
        value = (self.constant + inner - delta @ P_delta - r * r * lam.sum()
                 - r * float(norm((2.0 * P_delta + c)[None])[0]))

        # magnitudes: the inner terms (whose ranges are off, too), c, delta^T P delta, 2 r P delta
        wide = np.maximum(np.abs(self.low), np.abs(self.high)) + far.sum(axis=0)
        length = np.linalg.norm(delta) * np.linalg.norm(rest, axis=1)
        size = ((np.abs(slopes).sum(axis=0) + 2.0 * mu * far[0]) @ (2.0 * wide)
                + (lam * delta) @ delta + (mu * length) @ (length + 2.0 * far[0])
                + 2.0 * r * norm((lam * delta)[None])[0] + r * r * lam.sum())
        return float(value - self.slack - self.grain * size)

    def _curvatures(self, multipliers: Multipliers) -> np.ndarray:
        return np.where(self.has_kink, multipliers.curvatures * self.natural, 0.0)

    def gaps(self, multipliers: Multipliers, delta: np.ndarray) -> np.ndarray:
        """Return, per neuron, the margin at ``delta`` minus its relaxed value, shape (q,)."""
        slopes = np.broadcast_to(multipliers.slopes, (2, len(self.t)))
        gaps = np.empty(len(self.t))
        _gaps(self.t, slopes, self._curvatures(multipliers), self.reaches, self.ranges, self.bias,
              np.stack([self.rest @ delta, self.core @ delta]), gaps)
        return gaps


@kernel
def _parabola(offset: float, slope: float, mu: float, left: float,
              right: float) -> tuple[float, float]:
    """Minimum of ``offset + slope n + mu n^2`` on [left, right], if it has a point, and where."""
    if left > right:
        return np.inf, 0.0
    if mu > 0.0:
        n = min(max(-0.5 * slope / mu, left), right)
    else:
        n = left if slope > 0.0 else right
    return offset + slope * n + mu * n * n, n


@kernel
def _split_minimum(t: float, a: float, k: float, mu: float, far_z: float, far_n: float,
                   low: float, high: float, b: float) -> tuple[float, float, float]:
    """Minimum of ``S_b(t + z + n) - k z - a n + mu n^2`` over the range of (z, n), and where."""
    value, z, n = np.inf, 0.0, 0.0
    for side in range(2):  # z at an end
        at = far_z if side else -far_z
        left, right, u = max(-far_n, low - at), min(far_n, high - at), t + at
        for piece in range(3):
            slope = (0.0 if piece == 1 else 1.0) - a
            offset = 0.0 if piece == 1 else u + b if piece == 0 else u - b
            other, m = _parabola(offset - k * at, slope, mu,
                                 left if piece == 0 else max(left, (-b if piece == 1 else b) - u),
                                 right if piece == 2 else min(right, (-b if piece == 0 else b) - u))
            if other < value:
                value, z, n = other, at, m
    for edge in range(3):  # z + n at an end, or where S_b turns from constant to rising
        s = low if edge == 0 else high if edge == 1 else b - t
        if low <= s <= high:
            u = t + s
            height = 0.0 if edge == 2 else u - b if u > b else u + b if u < -b else 0.0
            other, m = _parabola(height - k * s, k - a, mu, max(-far_n, s - far_z),
                                 min(far_n, s + far_z))
            if other < value:
                value, z, n = other, s - m, m
    return value, z, n


@kernel
def _least(t: np.ndarray, slopes: np.ndarray, mu: np.ndarray, far: np.ndarray, ranges: np.ndarray,
           b: float, at: np.ndarray) -> float:
    """Sum of the minima; ``slopes``, ``far`` and ``at`` (2, q) are those of rests and cores."""
    total = 0.0
    for i in range(len(t)):
        value, at[1, i], at[0, i] = _split_minimum(
            t[i], slopes[0, i], slopes[1, i], mu[i], far[1, i], far[0, i], ranges[0, i],
            ranges[1, i], b)
        total += value
    return total


@kernel
def _gaps(t: np.ndarray, slopes: np.ndarray, mu: np.ndarray, far: np.ndarray, ranges: np.ndarray,
          b: float, at: np.ndarray, gaps: np.ndarray) -> None:
    """What each term is above its minimum where ``at`` says."""
    for i in range(len(t)):
        a, k, n, z = slopes[0, i], slopes[1, i], at[0, i], at[1, i]
        least, _, _ = _split_minimum(t[i], a, k, mu[i], far[1, i], far[0, i], ranges[0, i],
                                     ranges[1, i], b)
        u = t[i] + z + n
        height = u - b if u > b else u + b if u < -b else 0.0
        gaps[i] = height - k * z - a * n + mu[i] * n * n - least
