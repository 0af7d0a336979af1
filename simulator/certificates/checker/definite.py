"""How far ``P = diag(lam) - W^T diag(mu) W`` is from positive semidefinite, at most.

Any shift >= 0 with ``P + shift I >= 0`` gives a bound that pays ``shift ||delta||^2``; here a small
one is found, 0 where P is positive definite by more than its rounding. The matrix is large, so it
is the one thing that is computed in float64. With u = 2^-53, p neurons and d coordinates:

* Numbers are first scaled by powers of two, the largest lam and the largest |w| to about 1. That is
  exact but for what vanishes below 2^-1074, which TINY is there to cover.
* ``A = W^T diag(mu) W`` in any order of summation has ``|fl(A) - A| <= gamma_{p+2} B`` entry by
  entry, ``B = |W|^T diag|mu| |W|`` and ``gamma_n = n u / (1 - n u)`` (Higham, Accuracy and
  Stability of Numerical Algorithms, 3.5); fl(B) has the same relative error. Taking A from lam
  rounds once more. So ``||fl(P) - P||_2 <= ||.||_F <= 2 (p + 4) u (||fl(B)||_F + ||lam||_2)`` as
  long as (p + d) u < 10^-6: the factor 2 pays for 1 / (1 - n u) and for the rounding of this
  bound itself.
* L is a float64 Cholesky factor of ``G = fl(fl(P) + s I)``. However it was found, L L^T is positive
  semidefinite, and ``P + s I - L L^T`` is at most ``||fl(G - fl(L L^T))||_F`` in norm, plus
  ``2 (d + 4) u (||L||_F^2 + ||G||_F)`` for the product, the two sums and the norm (entry by entry
  gamma_d |L| |L|^T, of Frobenius norm at most gamma_d ||L||_F^2), plus the bound above.

So ``P >= -(s + residual + error) I``: that sum is the shift, where it is not negative.
"""

import numpy as np

from simulator.certificates.checker.exact import Exact

__all__ = ["shift_to_definite"]

UNIT = 2.0 ** -53
MOST = 1e-6 / UNIT  # neurons and coordinates together: far beyond any memory
TINY = 2.0 ** -1000
TRIES = 12  # each four times as far from singular as the one before


def shift_to_definite(W: np.ndarray, mu: np.ndarray, lam: np.ndarray) -> Exact:
    """Return a shift >= 0 with ``P + shift I`` positive semidefinite.

    Parameters
    ----------
    W : ndarray, shape (p, d)
    mu : ndarray, shape (p,)
    lam : ndarray, shape (d,)
        At least 0.

    Raises
    ------
    ValueError
        The numbers overflow: there is no shift to speak of.
    """
    p, d = W.shape
    top_lam, top_w = _exponent(lam), _exponent(W)
    W = np.ldexp(W, -top_w)
    with np.errstate(over="ignore", invalid="ignore"):
        mu = np.ldexp(mu, 2 * top_w - top_lam)
        scaled = np.ldexp(lam, -top_lam)
        A, B = (W.T * mu) @ W, (np.abs(W).T * np.abs(mu)) @ np.abs(W)
    if not np.isfinite(B).all() or p + d > MOST:
        raise ValueError("curvatures: expected numbers of the size of lam / ||w||^2, got others")
    P = np.diag(scaled) - A
    error = (2.0 * (p + 4) * UNIT * (_frobenius(B) + _frobenius(scaled))
             + TINY * (p + 1) * d * (1.0 + np.abs(mu).max(initial=0.0)))
    best = _frobenius(P) * (1.0 + 1e-6) + error  # P >= -||P|| I needs no factor
    tolerance = 4.0 * (error + 2.0 * (d + 4) * UNIT * d * _frobenius(P)) + TINY
    least = min(float(np.linalg.eigvalsh(P)[0]), 0.0)
    for s in (-tolerance, *(-least + tolerance * 4.0 ** k for k in range(TRIES))):
        residual = _residual(P, s)
        if np.isfinite(residual):
            best = s + residual + error
            break
    best += 4.0 * UNIT * (abs(best) + tolerance + error - least)  # the sums above round
    return Exact.of(max(best, 0.0)) * _power(top_lam)


def _residual(P: np.ndarray, s: float) -> float:
    """A bound of ``||P + s I - L L^T||`` for some L, infinite where none is found."""
    d = len(P)
    G = P + s * np.eye(d)
    try:
        L = np.linalg.cholesky(G)
    except np.linalg.LinAlgError:
        return np.inf
    size = _frobenius(L) ** 2 + _frobenius(G)
    return _frobenius(G - L @ L.T) * (1.0 + 1e-6) + 2.0 * (d + 4) * UNIT * size + TINY * d * d


def _frobenius(A: np.ndarray) -> float:
    """The root of the sum of squares, none of which vanishes beside the largest."""
    largest = float(np.abs(A).max(initial=0.0))
    return largest * float(np.linalg.norm(A.ravel() / largest)) if largest > 0.0 else 0.0


def _exponent(values: np.ndarray) -> int:
    """The exponent of the largest of some numbers, 0 where all are 0."""
    return int(np.frexp(np.abs(values).max(initial=0.0))[1])


def _power(exponent: int) -> Exact:
    """Two to a power."""
    return Exact(1, -exponent) if exponent <= 0 else Exact(1 << exponent, 0)
