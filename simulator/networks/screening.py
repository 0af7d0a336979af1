"""Exact screening: which neurons of the symmetric ReLU network have no open gate on a batch.

1. *Split.* ``x_n = s_n + rest_n``, s_n the few coordinates above the root mean square of x_n. It
   looks at X alone, so it serves perturbed inputs as it stands; a dense x has s_n = 0.
2. *Survey.* ``|<w_i, x_n>| <= |<w_i, s_n>| + ||w_i|| ||rest_n||``, and the first term costs |s_n|
   multiplications (a cheaper Hoelder bound goes first). A neuron whose bound is at most b for
   every sample has zero gates on the whole batch: it is *proved* dead. With s_n = 0 this is
   Cauchy-Schwarz.

Rounding. A product of length d, summed in any order, is off by at most ``gamma_d ||w|| ||x||``,
gamma_d = d u / (1 - d u), u half of eps (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1). So ||rest_n|| is enlarged by ``(d eps + 64 eps32) ||x_n||``: d eps for the
pre-activations themselves, 64 eps32 for the survey, which sums at most 32 products in float32
whatever the dtype. Norms are enlarged and b is lowered by 2e-6 relatively (and 1e-30, against
underflow; a b below 1e-25 or above 1e25 screens nothing). So a screened gate is zero in floating
point too. NaN never satisfies "<=": such a neuron is live.

The kernels are serial. What is left beside BLAS is short, and a second thread pool next to the one
of BLAS costs more than it gains: threads that wait for work keep the cores busy.
"""

import math
from typing import NamedTuple

import numpy as np

from simulator.jit import kernel

__all__ = ["Buffers", "Survey", "lowered", "survey"]

# Measured in float32 and float64, d = 128 to 512, m = 20 d. They only move work around.
SUPPORT = 32  # most coordinates in s_n; the others count as rest
SPARSE_INPUT = 0.05  # above this mean share of large coordinates the bound uses s_n = 0


class Buffers:
    """Arrays that are reused from call to call; their contents do not survive one."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array of this shape: the start of the longest one asked for so far."""
        size = math.prod(shape)
        old = self._arrays.get(name)
        if old is None or old.size < size or old.dtype != dtype:
            old = self._arrays[name] = np.empty(size, dtype)
        return old[:size].reshape(shape)


class Survey(NamedTuple):
    """What a survey of a batch found.

    Attributes
    ----------
    live : ndarray of int, shape (live,)
        The neurons that were not proved dead, ascending.
    norms : ndarray, shape (m,)
        ``||w_i||``.
    columns, values : ndarray, shape (n, s)
        Coordinates of s_n and their values, the first ``counts[n]`` of row n; buffers.
    counts : ndarray of int, shape (n,)
    whole : bool
        Every rest_n is exactly zero: the inputs are their supports.
    """

    live: np.ndarray
    norms: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    counts: np.ndarray
    whole: bool


def survey(W: np.ndarray, b: float, X: np.ndarray, buffers: Buffers) -> Survey:
    """Prove as many neurons dead on a batch as the bounds can.

    Parameters
    ----------
    W : ndarray, shape (m, d)
    b : float
        Shared bias, at least 0.
    X : ndarray, shape (n, d)
        Checked by the caller, of the dtype of W.
    buffers : Buffers
    """
    n, d = X.shape
    columns = buffers.take("columns", (n, min(SUPPORT, d)), np.dtype(np.int32))
    values = buffers.take("values", (n, min(SUPPORT, d)), X.dtype)
    counts = np.empty(n, np.int64)
    rest, lengths = np.empty(n), np.empty(n)
    whole = _split_rows(X, columns, values, counts, rest, lengths) == 0
    if n and counts.mean() > SPARSE_INPUT * d + 4.0:
        counts[:] = 0
        rest, whole = lengths, False
    slack = d * float(np.finfo(X.dtype).eps) + 64.0 * float(np.finfo(np.float32).eps)
    with np.errstate(over="ignore"):  # infinity is a bound too
        enlarged = ((rest + slack * lengths) * (1.0 + 2e-6)).astype(np.float32)
    if not counts.any():  # the longest sample stands for all
        seen, enlarged = counts[:1], enlarged.max(initial=0.0, keepdims=True)
    else:
        seen = counts
    norms, hits = np.empty(len(W)), np.empty(len(W), np.float32)
    _survey(W, columns, values, seen, enlarged, np.float32(lowered(b)), norms, hits)
    return Survey(np.flatnonzero(hits), norms, columns, values, counts, whole)


def lowered(b: float) -> float:
    """Return what a bound must not exceed for a gate to be closed in floating point too.

    Outside of float32's comfort nothing is: no bound is below -1.
    """
    return b * (1.0 - 2e-6) - 1e-30 if 1e-25 < b < 1e25 else -1.0


@kernel
def _square_sum(x: np.ndarray, start: int, stop: int) -> float:
    """Four sums, so that one addition need not wait for the last."""
    a0 = a1 = a2 = a3 = 0.0
    whole = stop - (stop - start) % 4
    for j in range(start, whole, 4):
        a0 += float(x[j]) * float(x[j])
        a1 += float(x[j + 1]) * float(x[j + 1])
        a2 += float(x[j + 2]) * float(x[j + 2])
        a3 += float(x[j + 3]) * float(x[j + 3])
    for j in range(whole, stop):
        a0 += float(x[j]) * float(x[j])
    return (a0 + a1) + (a2 + a3)


@kernel
def _square_sum_and_largest(w: np.ndarray) -> tuple[float, float]:
    """Largest |w_j| ignores NaN, which the sum of squares keeps."""
    a0 = a1 = a2 = a3 = 0.0
    m0 = m1 = m2 = m3 = w.dtype.type(0.0)
    d = len(w)
    whole = d - d % 4
    for j in range(0, whole, 4):
        w0, w1, w2, w3 = abs(w[j]), abs(w[j + 1]), abs(w[j + 2]), abs(w[j + 3])
        m0 = w0 if w0 > m0 else m0
        m1 = w1 if w1 > m1 else m1
        m2 = w2 if w2 > m2 else m2
        m3 = w3 if w3 > m3 else m3
        a0 += float(w0) * float(w0)
        a1 += float(w1) * float(w1)
        a2 += float(w2) * float(w2)
        a3 += float(w3) * float(w3)
    for j in range(whole, d):
        m0 = max(m0, abs(w[j]))
        a0 += float(w[j]) * float(w[j])
    return (a0 + a1) + (a2 + a3), max(max(m0, m1), max(m2, m3))


@kernel
def _split_rows(X: np.ndarray, columns: np.ndarray, values: np.ndarray, counts: np.ndarray,
                rest: np.ndarray, norms: np.ndarray) -> int:
    """Return how many nonzero coordinates are outside the supports."""
    n, d = X.shape
    cap = columns.shape[1]
    left = 0
    for row in range(n):
        x = X[row]
        square = _square_sum(x, 0, d)
        cut = math.sqrt(square / d)
        large = 0
        others = 0.0
        start = 0
        for j in range(d):
            if abs(x[j]) > cut and large < cap:
                columns[row, large] = j
                values[row, large] = x[j]
                large += 1
                others += _square_sum(x, start, j)  # not square - large: that would cancel
                start = j + 1
            elif x[j] != 0.0:
                left += 1
        counts[row] = large
        rest[row] = math.sqrt(others + _square_sum(x, start, d))
        norms[row] = math.sqrt(square)
    return left


@kernel
def _survey(W: np.ndarray, columns: np.ndarray, values: np.ndarray, counts: np.ndarray,
            rest: np.ndarray, b: float, norms: np.ndarray, hits: np.ndarray) -> None:
    """norms_i = ||w_i||; hits_i = 0 if |<w_i, s_n>| + ||w_i|| rest_n <= b for all n.

    First by Hoelder, ``|<w_i, s_n>| <= max_j |w_ij| ||s_n||_1``, then by the products
    themselves, for `width` neurons side by side, so that the loops are vector instructions.
    """
    m, d = W.shape
    n = len(counts)
    width = 128
    zero, one = np.float32(0.0), np.float32(1.0)
    T = np.zeros((d, width), np.float32)
    u = np.empty(width, np.float32)
    hit = np.empty(width, np.float32)
    length = np.zeros(width, np.float32)
    picked = np.zeros(width, np.int64)
    longest, widest = 0.0, 0.0
    for row in range(n):
        total = 0.0
        for q in range(counts[row]):
            total += abs(values[row, q])
        # NaN must win here
        longest = longest if total <= longest else total
        widest = widest if rest[row] <= widest else rest[row]
        if math.isnan(total + rest[row]):
            longest = widest = math.inf
            break
    filled = 0
    for i in range(m):
        square, largest = _square_sum_and_largest(W[i])
        norms[i] = math.sqrt(square)
        hits[i] = zero
        if not (longest * largest + widest * norms[i]) * (1.0 + 2e-6) <= b:
            picked[filled] = i
            length[filled] = norms[i] * (1.0 + 2e-6)
            filled += 1
        if filled < width and i < m - 1:
            continue
        for left in range(0, d, 16):  # strips that stay in the first-level cache
            right = min(left + 16, d)
            for p in range(filled):
                w = W[picked[p]]
                for j in range(left, right):
                    T[j, p] = w[j]
        hit[:] = zero
        for row in range(n):
            u[:] = zero
            for q in range(counts[row]):
                t = T[columns[row, q]]
                s = np.float32(values[row, q])
                for p in range(width):
                    u[p] += s * t[p]
            r = rest[row]
            for p in range(width):
                hit[p] += zero if abs(u[p]) + r * length[p] <= b else one
        for p in range(filled):
            hits[picked[p]] = hit[p]
        filled = 0
