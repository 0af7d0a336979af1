"""How a kernel's spectrum would change with the weight of each sample, and without some of them.

With sample a counted w_a times the kernel is ``W^(1/2) K W^(1/2)``. At w = 1, with eigenvalues l_i
and eigenvectors v_i of K (first-order perturbation theory; Efron 1982 on the infinitesimal
jackknife),

    d(l_i / T)/dw_a = l_i v_ai^2 / T - l_i K_aa / T^2,                          T = trace K

The span of the first eigenvectors has no such derivative that is of use: where two eigenvalues are
near each other it is huge. What it holds is asked anew without each group of samples.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import eigh

from simulator.checks import require_array

__all__ = ["seen_without_groups", "spectrum_by_sample"]


def spectrum_by_sample(K: np.ndarray) -> np.ndarray:
    """Return the derivatives of :func:`~simulator.ntk.measures.spectrum` by the samples' weights.

    Parameters
    ----------
    K : ndarray, shape (n, n)
        Symmetric and positive semi-definite, not zero.

    Returns
    -------
    ndarray, shape (n, n)
        A row a sample, a column an eigenvalue, descending.
    """
    K = _square(K)
    K = K / np.abs(K).max()
    values, vectors = eigh(K)
    share = np.clip(values[::-1], 0.0, None)
    trace = share.sum()
    return np.asarray(share / trace * (vectors[:, ::-1] ** 2 - np.diagonal(K)[:, None] / trace))


def seen_without_groups(K: np.ndarray, targets: Sequence[np.ndarray], count: int,
                        groups: int) -> np.ndarray:
    """Return what :func:`~simulator.ntk.measures.seen_by_eigenvectors` gives without each group.

    Parameters
    ----------
    K : ndarray, shape (n, n)
    targets : sequence of ndarray, shape (n, targets)
        Each set on its own.
    count : int
        Eigenvectors, fewer than n by a group.
    groups : int
        Every so-many-th sample is of one group.

    Returns
    -------
    ndarray, shape (groups, sets of targets, count)
        Not a number where a set vanishes.
    """
    K, found = _square(K), []
    for group in range(groups):
        kept = np.arange(len(K)) % groups != group
        last = int(kept.sum()) - 1
        vectors = eigh(K[kept][:, kept], subset_by_index=(last - count + 1, last))[1][:, ::-1]
        found.append([_shares(vectors, each[kept]) for each in targets])
    return np.array(found)


def _shares(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    targets = targets[:, targets.any(axis=0)]
    if not targets.shape[1]:
        return np.full(vectors.shape[1], np.nan)
    shares = (vectors.T @ targets) ** 2 / np.sum(targets**2, axis=0)
    return np.asarray(shares.mean(axis=1).cumsum())


def _square(K: np.ndarray) -> np.ndarray:
    K = require_array("K", K, (None, None), dtype=np.dtype(np.float64))
    if K.shape[0] != K.shape[1] or not K.any():
        raise ValueError(f"K: expected a square matrix that is not zero, got shape {K.shape}")
    return K
