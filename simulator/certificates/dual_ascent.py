"""Ascent in a dual: steps of Adam, and the positive definite matrix of the ball term.

The ball term of :mod:`simulator.certificates.relaxation` is ``-c^T P^{-1} c / 4`` with
``P = diag(lam) - W^T diag(mu) W``. With one lam, ``V = diag(mu)^{1/2} W`` and G = W W^T fixed,

    P^{-1} = (I + V^T (lam I - V V^T)^{-1} V) / lam,    V V^T = mu^{1/2} G mu^{1/2},

so a step factors a matrix of the size of the curved neurons and multiplies no matrices.

LAPACK is called without SciPy's checks: on matrices this small they cost more than the work.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs

from simulator.jit import kernel

__all__ = ["ascend", "cosine", "inverse", "is_definite"]

EPS = float(np.finfo(float).eps)

# P - RIDGE max(lam) I must have a Cholesky factor in the ascent: a larger ridge gives up bound
# (relative to the lam term), a smaller one ends where rounding decides what is definite.
RIDGE = 1e-9


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
    gram : ndarray, shape (p, p), or None
        ``W W^T``, with a single lam; None factors P itself.
    mu : ndarray, shape (p,)
    lam : ndarray, shape (1,) or (d,)
    """
    if gram is None:
        factor = _factor(W, mu, lam, RIDGE * lam.max())
        return None if factor is None else lambda c: _solved(factor, c)
    root, top = np.sqrt(mu), lam[0] * (1.0 - RIDGE)
    inner = _cholesky(_below(gram, root, top)) if len(mu) else None
    if len(mu) and inner is None:
        return None

    def solve(c: np.ndarray) -> np.ndarray:
        if inner is None:
            return c / top
        return (c + (root * _solved(inner, root * (W @ c))) @ W) / top
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


def _below(gram: np.ndarray, root: np.ndarray, top: float) -> np.ndarray:
    """``top I - V V^T`` with the rows ``root_i w_i`` of V, from ``W W^T``."""
    small = -(root[:, None] * gram) * root
    small.flat[::len(small) + 1] += top
    return small.T  # in Fortran's order; it is symmetric


def _factor(W: np.ndarray, mu: np.ndarray, lam: np.ndarray, ridge: float) -> np.ndarray | None:
    """Cholesky factor of ``diag(lam) - W^T diag(mu) W - ridge``, or None."""
    V = np.sqrt(mu)[:, None] * W
    P = dsyrk(-1.0, V.T, lower=1) if len(V) else np.zeros((W.shape[1], W.shape[1]), order="F")
    P.T.flat[::len(P) + 1] += lam - ridge  # its transpose is in C's order, and no copy
    return _cholesky(P)


def _cholesky(P: np.ndarray) -> np.ndarray | None:
    """The lower Cholesky factor of a matrix of which the lower half counts, or None."""
    factor, failed = dpotrf(P, lower=1, clean=0, overwrite_a=1)
    return None if failed else factor


def _solved(factor: np.ndarray, c: np.ndarray) -> np.ndarray:
    solution: np.ndarray = dpotrs(factor, c, lower=1)[0]
    return solution


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
