"""Products of a few rows by a large matrix, which is read once as it lies in memory.

BLAS rearranges the large factor first, which pays for many rows: for two to four
it doubles the time.
"""

import numpy as np

from simulator.jit import in_threads, kernel, shares, summing_kernel

__all__ = ["FEW", "products", "sums"]

# Measured at (9600, 3200) in float32. They only move work around.
FEW = 8
LARGE = 1 << 21  # numbers of W
LEAST = 1 << 20  # below which a second thread is not woken


def sums(A: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return ``A W``, shape (k, d), for A (k, m) and W (m, d)."""
    if not _is_few(A, W):
        result: np.ndarray = A @ W
        return result
    m, d = W.shape
    C = np.zeros((len(A), d), W.dtype)
    in_threads(_add_rows, [(A, W, first, last, C)
                           for first, last in shares(d, max(1, LEAST // m))])
    return C


def products(X: np.ndarray, W: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return ``X W^T``, shape (k, m), for X (k, d) and W (m, d); in ``out``, if it is given."""
    if not _is_few(X, W):
        return np.matmul(X, W.T, out=out)
    U = np.empty((len(X), len(W)), W.dtype) if out is None else out
    in_threads(_multiply_rows, [(X, W[first:last], U[:, first:last])
                                for first, last in shares(len(W), max(1, LEAST // W.shape[1]))])
    return U


def _is_few(rows: np.ndarray, W: np.ndarray) -> bool:
    return 0 < len(rows) <= FEW and W.size >= LARGE and rows.dtype == W.dtype


@kernel
def _add_rows(A: np.ndarray, W: np.ndarray, first: int, last: int, C: np.ndarray) -> None:
    """C += A W in the columns from first to last, four rows of W at a time."""
    m = len(W)
    whole = m - m % 4
    for i in range(0, whole, 4):
        w0, w1, w2, w3 = W[i], W[i + 1], W[i + 2], W[i + 3]
        for row in range(len(A)):
            c = C[row]
            a0, a1, a2, a3 = A[row, i], A[row, i + 1], A[row, i + 2], A[row, i + 3]
            for j in range(first, last):
                c[j] += (a0 * w0[j] + a1 * w1[j]) + (a2 * w2[j] + a3 * w3[j])
    for i in range(whole, m):
        for row in range(len(A)):
            for j in range(first, last):
                C[row, j] += A[row, i] * W[i, j]


@summing_kernel
def _multiply_rows(X: np.ndarray, W: np.ndarray, U: np.ndarray) -> None:
    """U = X W^T; there is a column at least."""
    m, d = W.shape
    for i in range(m):
        w = W[i]
        for row in range(len(X)):
            x = X[row]
            u = x[0] * w[0]
            for j in range(1, d):
                u += x[j] * w[j]
            U[row, i] = u
