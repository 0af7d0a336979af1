"""Forward pass and gradients of the plain symmetric ReLU network over live neurons and open gates.

    f(x) = sum_i S_b(u_i),   gate_i(x) = 1{|u_i| > b},   u = W x,   S_b the soft threshold

1. The survey of :mod:`simulator.networks.screening` leaves out neurons that are proved dead.
2. ``U = X W_live^T`` by BLAS, or from the supports of the inputs alone where they are sparse.
3. One scan of U gives f and, written over row n of U itself, the list of the open gates of n.
4. Gradients are sums over open gates; BLAS where more than `DENSE_GATES` of them are open.

The mathematics is that of :mod:`simulator.networks.symmetric_relu`; only rounding differs.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.jit import kernel
from simulator.networks.screening import Buffers, survey

__all__ = ["Clock", "ForwardPass", "SparsePasses", "unclocked"]

Clock = Callable[[str], AbstractContextManager[Any]]

# Measured in float32 and float64, d = 128 to 512, m = 20 d. They only move work around.
ALL_LIVE = 0.9  # above this live fraction copying the live rows costs more than it saves
DENSE_GATES = 0.07  # above this share of open gates among live neurons BLAS beats the gathers


_NOTHING = nullcontext()


def unclocked(piece: str) -> AbstractContextManager[Any]:
    """The clock of a network that nobody times."""
    return _NOTHING


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass: the outputs, and what the gradients need of it.

    Attributes
    ----------
    f : ndarray, shape (n,)
        Outputs.
    U : ndarray, shape (n, live)
        Memory of the pre-activations; ``lists`` has taken it over.
    lists : ndarray of int, shape (n, live)
        ``lists[n, :counts[n]]`` are the open gates of sample n, ascending.
    counts : ndarray of int, shape (n,)
    live : ndarray, shape (live, d)
        The rows of W that were not proved dead.
    rows : ndarray of int, shape (live,), or None
        Which rows those are; None: all.
    norms : ndarray, shape (m,)
        ``||w_i||``.
    """

    f: np.ndarray
    U: np.ndarray
    lists: np.ndarray
    counts: np.ndarray
    live: np.ndarray
    rows: np.ndarray | None
    norms: np.ndarray

    @property
    def live_fraction(self) -> float:
        """Share of neurons not proved dead."""
        return len(self.live) / max(1, len(self.norms))

    @property
    def open_fraction(self) -> float:
        """Share of open gates among all pairs of a sample and a live neuron."""
        return float(self.counts.sum()) / max(1, self.U.size)


class SparsePasses:
    """Forward pass, gradients and descent of a network without smoothing.

    Holds nothing but buffers, which are reused from call to call: a :class:`ForwardPass` is valid
    until the next one, and a gradient uses it up. Inputs are checked by the caller.

    Parameters
    ----------
    screening : bool
        False calls every neuron live, whatever the survey proved.
    dense_gates : float
        Above this open fraction gradients are BLAS products.
    clock : callable
        ``clock(piece)`` is a context around each piece of the work: "survey", "live rows", "GEMM",
        "scan", "gradients", "descend".
    """

    def __init__(self, screening: bool = True, dense_gates: float = DENSE_GATES,
                 clock: Clock = unclocked) -> None:
        self.screening = screening
        self.dense_gates = dense_gates
        self.clock = clock
        self._buffers = Buffers()

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> ForwardPass:
        """Return outputs and open gates of X, shape (n, d), for weights W (m, d) and bias b."""
        with self.clock("survey"):
            seen = survey(W, b, X, self._buffers)
        rows: np.ndarray | None = seen.live
        if not self.screening or len(seen.live) > ALL_LIVE * len(W):
            rows, live = None, W
        else:
            live = self._buffers.take("live", (len(seen.live), W.shape[1]), W.dtype)
            with self.clock("live rows"):
                np.take(W, seen.live, axis=0, out=live, mode="clip")
        U = self._buffers.take("U", (len(X), len(live)), W.dtype)
        with self.clock("GEMM"):
            if seen.whole:
                _sparse_products(live, seen.columns, seen.values, seen.counts, U)
            else:
                np.matmul(X, live.T, out=U)
        lists = U.view(np.int32 if W.dtype == np.float32 else np.int64)
        f, counts = np.empty(len(X), W.dtype), np.empty(len(X), np.int64)
        with self.clock("scan"):
            _open_gates(U, lists, _at_most(b, W.dtype), b, f, counts)
        return ForwardPass(f, U, lists, counts, live, rows, seen.norms)

    def input_gradient(self, forward: ForwardPass, scale: np.ndarray) -> np.ndarray:
        """Return ``scale_n sum_i g_ni w_i``, shape (n, d)."""
        G = np.empty((len(forward.f), forward.live.shape[1]), forward.live.dtype)
        if forward.open_fraction > self.dense_gates:
            with self.clock("gradients"):
                _expand(forward.U, forward.lists, forward.counts, scale)
            with self.clock("GEMM"):
                np.matmul(forward.U, forward.live, out=G)
        else:
            with self.clock("gradients"):
                _input_gradient(forward.lists, forward.counts, forward.live, scale, G)
        return G

    def weight_gradient(self, forward: ForwardPass, X: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return ``sum_n scale_n g_ni x_n`` of the live rows, shape (live, d), in a buffer.

        For all other rows it is exactly zero.
        """
        G = self._buffers.take("gradient", forward.live.shape, forward.live.dtype)
        if forward.open_fraction > self.dense_gates:
            with self.clock("gradients"):
                _expand(forward.U, forward.lists, forward.counts, scale)
            with self.clock("GEMM"):
                np.matmul(forward.U.T, X, out=G)
        else:
            starts = np.zeros(len(G) + 2, np.int64)
            samples = np.empty(int(forward.counts.sum()), np.int32)
            with self.clock("gradients"):
                _by_neuron(forward.lists, forward.counts, starts, samples)
                _weight_gradient(starts, samples, scale, X, G)
        return G

    def descend(self, W: np.ndarray, forward: ForwardPass, G: np.ndarray, learning_rate: float,
                weight_decay: float) -> None:
        """``w_i <- w_i - eta (G_i + lam (1 + ||w_i||) w_i)``, in place; G_i = 0 off the live."""
        position = np.arange(len(W))
        if forward.rows is not None:
            position[:] = -1
            position[forward.rows] = np.arange(len(forward.rows))
        decay = (weight_decay * (1.0 + forward.norms)).astype(W.dtype)
        with self.clock("descend"):
            _descend_rows(W, G, position, decay, W.dtype.type(learning_rate))


def _at_most(value: float, dtype: np.dtype) -> Any:
    """Return the largest number of ``dtype`` up to ``value``: |u| <= both, or neither."""
    rounded = dtype.type(value)
    return rounded if float(rounded) <= value else np.nextafter(rounded, dtype.type(-np.inf))


@kernel
def _transpose(W: np.ndarray, first: int, neurons: int, T: np.ndarray) -> None:
    """T[:, i] = W[first + i] in strips that stay in the first-level cache."""
    d = W.shape[1]
    for left in range(0, d, 16):
        right = min(left + 16, d)
        for i in range(neurons):
            w = W[first + i]
            for j in range(left, right):
                T[j, i] = w[j]


@kernel
def _sparse_products(W: np.ndarray, columns: np.ndarray, values: np.ndarray, counts: np.ndarray,
                     U: np.ndarray) -> None:
    """U = S W^T for samples that are their support."""
    m, d = W.shape
    width = 64
    T = np.zeros((d, width), W.dtype)
    u = np.empty(width, W.dtype)
    for first in range(0, m, width):
        neurons = min(width, m - first)
        _transpose(W, first, neurons, T)
        for row in range(len(counts)):
            u[:] = 0.0
            for q in range(counts[row]):
                t = T[columns[row, q]]
                s = values[row, q]
                for i in range(width):
                    u[i] += s * t[i]
            U[row, first:first + neurons] = u[:neurons]


@kernel
def _open_gates(U: np.ndarray, lists: np.ndarray, threshold: float, b: float, f: np.ndarray,
                counts: np.ndarray) -> None:
    """f_n, and the open gates of n over row n of U (``lists`` is the same memory)."""
    n, m = U.shape
    for row in range(n):
        total = 0.0
        count = 0
        for i in range(m):
            u = U[row, i]
            if not abs(u) <= threshold:
                total += u - b if u > 0.0 else u + b
                lists[row, count] = i  # count <= i: never ahead of the reading
                count += 1
        f[row] = total
        counts[row] = count


@kernel
def _expand(U: np.ndarray, lists: np.ndarray, counts: np.ndarray, scale: np.ndarray) -> None:
    """Lists back to gates times scale_n. From the end: entry q lies at or after place q."""
    n, m = U.shape
    zero = U.dtype.type(0.0)
    for row in range(n):
        end = m
        for q in range(counts[row] - 1, -1, -1):
            i = lists[row, q]
            for j in range(i + 1, end):
                U[row, j] = zero
            U[row, i] = scale[row]
            end = i
        for j in range(end):
            U[row, j] = zero


@kernel
def _input_gradient(lists: np.ndarray, counts: np.ndarray, W: np.ndarray, y: np.ndarray,
                    G: np.ndarray) -> None:
    n, d = G.shape
    for row in range(n):
        g = G[row]
        for j in range(d):
            g[j] = 0.0
        for q in range(counts[row]):
            w = W[lists[row, q]]
            for j in range(d):
                g[j] += w[j]
        for j in range(d):
            g[j] *= y[row]


@kernel
def _by_neuron(lists: np.ndarray, counts: np.ndarray, starts: np.ndarray,
               samples: np.ndarray) -> None:
    """Counting sort: neuron i is open for samples[starts[i]:starts[i + 1]]."""
    for row in range(len(counts)):
        for q in range(counts[row]):
            starts[lists[row, q] + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for row in range(len(counts)):
        for q in range(counts[row]):
            i = lists[row, q]
            samples[starts[i + 1]] = row
            starts[i + 1] += 1


@kernel
def _weight_gradient(starts: np.ndarray, samples: np.ndarray, residual: np.ndarray, X: np.ndarray,
                     G: np.ndarray) -> None:
    m, d = G.shape
    for i in range(m):
        g = G[i]
        for j in range(d):
            g[j] = 0.0
        for q in range(starts[i], starts[i + 1]):
            x = X[samples[q]]
            r = residual[samples[q]]
            for j in range(d):
                g[j] += r * x[j]


@kernel
def _descend_rows(W: np.ndarray, G: np.ndarray, position: np.ndarray, decay: np.ndarray,
                  eta: float) -> None:
    m, d = W.shape
    for i in range(m):
        w = W[i]
        shrink = decay[i]
        if position[i] < 0:
            for j in range(d):
                w[j] -= eta * (shrink * w[j])
        else:
            g = G[position[i]]
            for j in range(d):
                w[j] -= eta * (g[j] + shrink * w[j])
