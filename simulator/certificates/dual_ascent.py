"""Ascent in a dual: steps of Adam, and the positive definite matrix of the ball term.

The ball term of :mod:`simulator.certificates.relaxation` is ``-c^T P^{-1} c / 4`` with
``P = diag(lam) - W^T diag(mu) W``. With one lam, ``V = diag(mu)^{1/2} W`` and G = W W^T fixed,

    P^{-1} = (I + V^T (lam I - V V^T)^{-1} V) / lam,    V V^T = mu^{1/2} G mu^{1/2},

so a step factors a matrix of the size of the curved neurons and multiplies no matrices.

LAPACK is called without SciPy's checks: on matrices this small they cost more than the work. A step
may be taken in float32, at half the cost: what it finds is evaluated in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg.blas import dsyrk, ssyrk
from scipy.linalg.lapack import dpotrf, dpotrs, spotrf, spotri, spotrs

from simulator.jit import kernel
from simulator.networks.few_rows import sums

__all__ = ["CommonFactor", "ascend", "common_factor", "cosine", "inverse", "is_definite"]

EPS = float(np.finfo(float).eps)

# P - RIDGE max(lam) I must have a Cholesky factor in the ascent: a larger ridge gives up bound
# (relative to the lam term), a smaller one ends where rounding decides what is definite.
# In float32 a matrix off by a few of its roundings must still pass in float64.
RIDGE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 1e-5}

# Curvatures common to many samples are this share of where Q turns indefinite by power iteration,
# which is from below: they shrink until it is definite.
COMMON_SHARE, POWERS, SHRINK = 0.95, 30, 0.9
ENOUGH = 1.3  # times the curvatures given: more is of no use


def ascend(x: np.ndarray, gradient: np.ndarray, moments: np.ndarray, step: int,
           rate: float) -> None:
    """Take one step of Adam uphill, in place.

    ``x`` and ``gradient`` have shape (v,); ``moments`` (2, v) holds the running mean and mean
    square of the gradient, zero before step 0.
    """
    _adam(x, gradient, moments[0], moments[1], step, rate)


def cosine(rate: float, step: int, steps: int) -> float:
    """Return the step length of a step: ``rate`` at first, falling to zero like a cosine."""
    return float(0.5 * rate * (1.0 + np.cos(np.pi * step / steps)))


def inverse(W: np.ndarray, gram: np.ndarray | None, mu: np.ndarray,
            lam: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
    """Solver for ``P = diag(lam) - W^T diag(mu) W``, or None if P is not positive definite.

    Parameters
    ----------
    W : ndarray, shape (p, d)
        Its dtype, float64 or float32, is that of the factor; the solver takes and returns float64.
    gram : ndarray, shape (p, p), or None
        ``W W^T``, with a single lam; None factors P itself.
    mu : ndarray, shape (p,)
    lam : ndarray, shape (1,) or (d,)
    """
    ridge = RIDGE[W.dtype]
    if gram is None:
        factor = _factor(W, mu, lam, ridge * lam.max())
        return None if factor is None else lambda c: _solved(factor, c)
    root, top = np.sqrt(mu).astype(W.dtype), lam[0] * (1.0 - ridge)
    inner = _cholesky(_below(gram, root, top)) if len(mu) else None
    if len(mu) and inner is None:
        return None

    def solve(c: np.ndarray) -> np.ndarray:
        if inner is None:
            return c / top
        small = root * _solved(inner, root * (W @ c.astype(W.dtype, copy=False)))
        return (c + small.astype(W.dtype, copy=False) @ W) / top
    return solve


def is_definite(W: np.ndarray, mu: np.ndarray, lam: np.ndarray,
                gram: np.ndarray | None = None) -> bool:
    """Whether P is positive semidefinite in real arithmetic; shapes as in :func:`inverse`.

    A Cholesky factorisation that runs to its end proves that the least eigenvalue is above
    ``-(d + 1) u trace`` (Rump, Verification of positive definiteness, 2006); P itself is off by
    ``(q + 5) u sum_i mu_i ||w_i||^2``. A ridge of both, doubled, is taken off P first. With one
    lam, P is semidefinite where ``lam I - V V^T`` is, which a Gram matrix off by
    ``d u ||w_i|| ||w_j||`` shows alike where it is the smaller one.
    """
    q, d = W.shape
    squares = np.einsum("kj,kj->k", W, W)
    weight = float(mu @ squares)
    curved = np.flatnonzero(mu)
    p = len(curved)
    if gram is not None and p < d:
        root = np.sqrt(mu[curved])
        ridge = EPS * ((p + 4) * (p * float(lam[0]) + weight) + (d + 4) * weight)
        top = float(lam[0]) - ridge
        return top >= 0.0 and (p == 0 or _cholesky(
            _below(gram[np.ix_(curved, curved)], root, top)) is not None)
    trace = d * float(lam[0]) if len(lam) == 1 else float(lam.sum())
    return _factor(W, mu, lam, EPS * ((d + 4) * trace + (q + 4) * weight)) is not None


@dataclass(frozen=True)
class CommonFactor:
    """``Q = I - W^T diag(curvatures) W + extra e e^T``, positive semidefinite in real arithmetic.

    Attributes
    ----------
    curvatures : ndarray, shape (m,)
    factor : ndarray, shape (d, d)
        Cholesky factor, lower.
    direction : ndarray, shape (d,)
        e, about a unit vector.
    extra : float
        At least 0.
    """

    curvatures: np.ndarray
    factor: np.ndarray
    direction: np.ndarray
    extra: float

    def solved(self, C: np.ndarray) -> np.ndarray:
        """Return ``Q^{-1} c`` for the rows c of C (n, d), about so where they are float32."""
        if C.dtype == np.float64:
            return _solved(self.factor, C.T).T
        return sums(C, self._inverse).astype(np.float64)

    @cached_property
    def _inverse(self) -> np.ndarray:
        """``Q^{-1}`` in float32: of one right side it is read at the speed of memory, a factor is
        not.
        """
        lower = spotri(self.factor.astype(np.float32), lower=1, overwrite_c=1)[0]
        return np.ascontiguousarray(np.tril(lower) + np.tril(lower, -1).T)


def common_factor(W: np.ndarray, curvatures: np.ndarray, most: float = 0.0) -> CommonFactor:
    """Scale curvatures (m,) of at least 0 as far as Q allows, and factor it.

    With a ``most`` above 0, e is the direction in which Q allows least, and ``extra``, at most
    ``most``, lets the curvatures be what all other directions allow, or what is enough. Any
    ``lam Q`` with lam > 0 is semidefinite as well, also with ``lam v_i`` rounded: the ridge is that
    of :func:`is_definite` for curvatures that are off by a few roundings more.
    """
    m, d = W.shape
    some = curvatures > 0.0
    V = np.sqrt(curvatures[some])[:, None] * W[some]
    S = dsyrk(1.0, V.T, lower=1) if len(V) else np.zeros((d, d), order="F")
    S = S + np.tril(S, -1).T
    weight, (first, e) = float(np.trace(S)), _largest(S)
    share = COMMON_SHARE / first if first > 0.0 else 0.0
    if most > 0.0 and 0.0 < share < ENOUGH:
        others = _largest(S - first * np.outer(e, e))[0]
        share = min(ENOUGH, COMMON_SHARE / max(others, 1e-300), (COMMON_SHARE + most) / first)
    else:
        most = 0.0  # no help is needed
    while True:
        extra = min(most, max(0.0, share * first - COMMON_SHARE))
        Q = np.asfortranarray(-share * S)
        if extra > 0.0:
            Q += extra * np.outer(e, e)
        Q.T.flat[::d + 1] += 1.0 - EPS * ((d + 4) * d + (m + 8) * share * weight
                                          + (d + 12) * extra)
        factor = _cholesky(Q)
        if factor is not None:
            return CommonFactor(share * curvatures, factor, e, extra)
        share *= SHRINK


def _largest(S: np.ndarray) -> tuple[float, np.ndarray]:
    """Largest eigenvalue of a semidefinite matrix, or a little less, and its eigenvector."""
    x = np.ones(len(S)) + S.sum(axis=1) / max(float(np.abs(S).max(initial=0.0)), 1e-300)
    value = 0.0
    for _ in range(POWERS):
        x = x / max(float(np.linalg.norm(x)), 1e-300)
        image = S @ x
        value, x = max(value, float(x @ image)), image
    return (max(value, float(np.diag(S).max(initial=0.0))),
            x / max(float(np.linalg.norm(x)), 1e-300))


def _below(gram: np.ndarray, root: np.ndarray, top: float) -> np.ndarray:
    """``top I - V V^T`` with the rows ``root_i w_i`` of V, from ``W W^T``."""
    small = -(root[:, None] * gram) * root
    small.flat[::len(small) + 1] += top
    return small.T  # in Fortran's order; it is symmetric


def _factor(W: np.ndarray, mu: np.ndarray, lam: np.ndarray, ridge: float) -> np.ndarray | None:
    """Cholesky factor of ``diag(lam) - W^T diag(mu) W - ridge``, or None."""
    V = np.sqrt(mu).astype(W.dtype)[:, None] * W
    syrk = dsyrk if W.dtype == np.float64 else ssyrk
    P = (syrk(-1.0, V.T, lower=1) if len(V)
         else np.zeros((W.shape[1], W.shape[1]), W.dtype, order="F"))
    P.T.flat[::len(P) + 1] += lam - ridge  # its transpose is in C's order, and no copy
    return _cholesky(P)


def _cholesky(P: np.ndarray) -> np.ndarray | None:
    """The lower Cholesky factor of a matrix of which the lower half counts, or None."""
    potrf = dpotrf if P.dtype == np.float64 else spotrf
    factor, failed = potrf(P, lower=1, clean=0, overwrite_a=1)
    return None if failed else factor


def _solved(factor: np.ndarray, c: np.ndarray) -> np.ndarray:
    potrs = dpotrs if factor.dtype == np.float64 else spotrs
    solution: np.ndarray = potrs(factor, c, lower=1)[0]
    return solution.astype(np.float64, copy=False)


@kernel
def _adam(x: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, step: int,
          rate: float) -> None:
    """One ascent step of Adam, in place.

    The mean forgets at .9 and the mean square at .99 a step, faster than Adam's usual .999: a
    climb of 100 steps would otherwise not outlive its first gradients.
    """
    for i in range(len(x)):
        first[i] = 0.9 * first[i] + 0.1 * gradient[i]
        second[i] = 0.99 * second[i] + 0.01 * gradient[i] * gradient[i]
        mean = first[i] / (1.0 - 0.9 ** (step + 1))
        square = second[i] / (1.0 - 0.99 ** (step + 1))
        x[i] += rate * mean / (np.sqrt(square) + 1e-8)
