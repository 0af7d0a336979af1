"""What is asked of a kernel matrix: how far it moved, how rich it is, how well it fits the task.

    distance        S(K, K') = 1 - <K, K'>_F / (||K||_F ||K'||_F)
    velocity        S(K_t, K_{t'}) / (t' - t)
    effective rank  exp(entropy of the normalised spectrum), or (sum l)^2 / sum l^2
    alignment       <K, y y^T>_F / (||K||_F ||y y^T||_F), also with K and y centred

(Loo, Hasani, Amini & Rus, arXiv 2210.12030; the alignments are those of Cristianini et al. and
Cortes et al. for kernels in general.) A kernel that is zero has no direction: its distance,
rank and alignment are NaN. Matrices are divided by their largest entry first.

Two kernels to compare with: the *linear* one ``X X^T``, all gates open, and the *pure* one
``(B B^T) o (X X^T)``, B the supports of the codes: a network whose neurons each fire on exactly
one feature.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from simulator.checks import require_array, require_choice, require_int, require_labels

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["alignment", "centred_alignment", "distance", "distances", "effective_rank",
           "eigenvectors_on_features", "linear_kernel", "pure_kernel", "seen_by_eigenvectors",
           "spectrum", "velocities"]


def distance(K: np.ndarray, other: np.ndarray) -> float:
    """Return ``S(K, K')``, between 0 and 1 for positive semi-definite kernels.

    Parameters
    ----------
    K, other : ndarray, shape (n, n')
    """
    K = require_array("K", K, (None, None), dtype=np.dtype(np.float64))
    other = require_array("other", other, K.shape, why="the kernels of the same samples",
                          dtype=K.dtype)
    return 1.0 - float(np.vdot(_unit(K), _unit(other)))


def distances(kernels: Sequence[np.ndarray]) -> np.ndarray:
    """Return the matrix of distances between kernels of the same samples, shape (k, k)."""
    rows = np.array([_unit(K).ravel() for K in kernels])
    S = 1.0 - rows @ rows.T
    np.fill_diagonal(S, np.where(np.isfinite(rows[:, 0]), 0.0, np.nan))
    return S


def velocities(kernels: Sequence[np.ndarray], times: Sequence[float]) -> np.ndarray:
    """Return ``S(K_t, K_{t'}) / (t' - t)`` between neighbours, shape (k - 1,).

    Parameters
    ----------
    kernels : sequence of ndarray, shape (n, n)
    times : sequence of float
        Ascending.
    """
    steps = np.diff(np.asarray(times, np.float64))
    if len(kernels) != len(times):
        raise ValueError(f"times: expected {len(kernels)}, one a kernel, got {len(times)}")
    if not (steps > 0.0).all():
        raise ValueError(f"times: expected ascending order, got {list(times)}")
    return np.array([distance(K, after) for K, after in zip(kernels, kernels[1:])]) / steps


def spectrum(K: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of a symmetric kernel, descending, divided by their sum."""
    K = _square(K)
    scale = float(np.abs(K).max(initial=0.0))
    if scale == 0.0:
        return np.full(len(K), np.nan)
    values = np.clip(np.linalg.eigvalsh(K / scale)[::-1], 0.0, None)  # below zero by rounding
    return values / values.sum()


def effective_rank(K: np.ndarray, kind: str = "entropy") -> float:
    """Return how many directions a kernel has, between 1 and n.

    Parameters
    ----------
    K : ndarray, shape (n, n)
        Symmetric and positive semi-definite.
    kind : "entropy" or "participation"
        ``exp(-sum p log p)`` or ``1 / sum p^2`` of the normalised eigenvalues p.
    """
    require_choice("kind", kind, ("entropy", "participation"))
    if kind == "participation":  # sum l = trace, sum l^2 = ||K||_F^2: no eigenvalue is needed
        return float(np.trace(_unit(_square(K))) ** 2)
    share = spectrum(K)
    share = share[share != 0.0]
    return float(np.exp(-np.sum(share * np.log(share))))


def alignment(K: np.ndarray, y: np.ndarray) -> float:
    """Return ``y^T K y / (||K||_F ||y||^2)``: 1 for the ideal kernel ``y y^T``.

    Parameters
    ----------
    K : ndarray, shape (n, n)
    y : ndarray, shape (n,)
        Labels -1 and +1.
    """
    K = _square(K)
    y = require_labels("y", y, len(K), K.dtype)
    return float(y @ _unit(K) @ y) / len(K)


def centred_alignment(K: np.ndarray, y: np.ndarray) -> float:
    """Return the alignment of kernel and labels with their means over samples removed.

    NaN where all labels are equal.
    """
    K = _square(K)
    y = require_labels("y", y, len(K), K.dtype)
    y = y - y.mean()
    K = K - K.mean(axis=0)
    K = K - K.mean(axis=1, keepdims=True)
    power = float(y @ y)
    return float(y @ _unit(K) @ y) / power if power > 0.0 else float("nan")


def linear_kernel(X: np.ndarray) -> np.ndarray:
    """Return ``X X^T``, the kernel of a linear model, shape (n, n)."""
    X = require_array("X", X, (None, None), dtype=np.dtype(np.float64))
    return X @ X.T


def pure_kernel(X: np.ndarray, codes: "csr_array") -> np.ndarray:
    """Return ``(B B^T) o (X X^T)``: entry times the number of features two samples share.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    codes : scipy.sparse.csr_array, shape (n, d)
        The codes z; B is 1 where z is not zero.
    """
    supports = np.asarray((codes != 0).todense(), np.float64)
    return (supports @ supports.T) * linear_kernel(X)


def eigenvectors_on_features(K: np.ndarray, X: np.ndarray, dictionary: np.ndarray | None,
                             count: int) -> np.ndarray:
    """Return the leading eigenvectors as directions among the features, shape (count, d).

    An eigenvector v of K weighs the samples; ``M^T sum_n v_n x_n`` is what it correlates with in
    the inputs, in dictionary coordinates, normalised, its largest entry positive.

    Parameters
    ----------
    K : ndarray, shape (n, n)
    X : ndarray, shape (n, d)
    dictionary : ndarray, shape (d, d), or None
        M; None is the identity.
    count : int
        At most n.
    """
    K = _square(K)
    last = len(K) - 1
    vectors = eigh(K, subset_by_index=(last - min(count, len(K)) + 1, last))[1][:, ::-1]
    V = vectors.T @ X
    if dictionary is not None:
        V = V @ dictionary
    peaks = V[np.arange(len(V)), np.abs(V).argmax(axis=1)]
    return np.sign(peaks)[:, None] * V / np.linalg.norm(V, axis=1, keepdims=True)


def seen_by_eigenvectors(K: np.ndarray, targets: np.ndarray, count: int) -> np.ndarray:
    """Return how much of some targets lies in the span of the leading eigenvectors.

        seen_r = mean_t ||V_r V_r^T t||^2 / ||t||^2,    V_r the first r eigenvectors

    A kernel learns soonest and generalises best what its leading eigenvectors see (Tsilivis &
    Kempe, arXiv 2210.05577, ask this of robust features). Directions drawn at random: r/n.

    Parameters
    ----------
    K : ndarray, shape (n, n)
    targets : ndarray, shape (n, targets)
        The values of each at the samples; those that vanish at all are left out.
    count : int
        Up to how many eigenvectors; at most n count.

    Returns
    -------
    ndarray, shape (min(count, n),)
        Ascending, between 0 and 1; NaN where all targets vanish.
    """
    K = _square(K)
    targets = require_array("targets", targets, (len(K), None), why="one row a sample",
                            dtype=K.dtype)
    last, count = len(K) - 1, min(require_int("count", count, low=1), len(K))
    vectors = eigh(K, subset_by_index=(last - count + 1, last))[1][:, ::-1]
    power = np.sum(targets**2, axis=0)
    if not (power > 0.0).any():
        return np.full(count, np.nan)
    shares = (vectors.T @ targets[:, power > 0.0]) ** 2 / power[power > 0.0]
    return np.asarray(shares.mean(axis=1).cumsum())


def _unit(K: np.ndarray) -> np.ndarray:
    """Return ``K / ||K||_F``, by the largest entry first; NaN where K is zero."""
    largest = float(np.abs(K).max(initial=0.0))
    if largest == 0.0:
        return np.full_like(K, np.nan)
    scaled = K / largest
    return scaled / np.linalg.norm(scaled)


def _square(K: np.ndarray) -> np.ndarray:
    K = require_array("K", K, (None, None), dtype=np.dtype(np.float64))
    if K.shape[0] != K.shape[1] or len(K) == 0:
        raise ValueError(f"K: expected a square matrix, got shape {K.shape}: samples against "
                         "themselves")
    return K
