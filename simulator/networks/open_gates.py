"""Lists of open gates, and what a step sums over them.

A gate of neuron i is open for ``samples[starts[p]:starts[p + 1]]``, ``rows[p] = i``: neurons and
samples ascending, neurons without an open gate left out. Every sum below has a fixed order, so
that its bits depend neither on how the open gates were found nor on the number of threads.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from simulator.jit import in_threads, kernel, shares, summing_kernel

__all__ = ["OpenGates", "at_most", "descend_open", "input_gradient", "open_gates", "outputs"]

LEAST = 4096  # multiplications of a row, in pairs, below which a second thread is not woken


class OpenGates(NamedTuple):
    """The open gates of a batch.

    Attributes
    ----------
    rows : ndarray of int, shape (r,)
        Neurons with an open gate, ascending.
    starts : ndarray of int, shape (r + 1,)
    samples : ndarray of int, shape (open,)
    u : ndarray, shape (open,)
        Pre-activations.
    """

    rows: np.ndarray
    starts: np.ndarray
    samples: np.ndarray
    u: np.ndarray


def open_gates(W: np.ndarray, b: float, X: np.ndarray, starts: np.ndarray,
               samples: np.ndarray) -> OpenGates:
    """Return which gates of some pairs are open, from their products of full length.

    Parameters
    ----------
    W : ndarray, shape (m, d)
    b : float
    X : ndarray, shape (n, d)
    starts : ndarray of int, shape (m + 1,)
        The pairs of neuron i are ``samples[starts[i]:starts[i + 1]]``.
    samples : ndarray of int
        Overwritten.
    """
    rows = np.flatnonzero(starts[1:] > starts[:-1])
    starts = np.append(starts[rows], len(samples))
    u = np.empty(len(samples), W.dtype)
    in_threads(_products, [(W, X, rows[first:last], starts[first:last + 1], samples, u)
                           for first, last in _halves(starts, LEAST)])
    kept = _keep_open(rows, starts, samples, u, at_most(b, W.dtype))
    return OpenGates(rows[:kept], starts[:kept + 1], samples[:starts[kept]], u[:starts[kept]])


def outputs(gates: OpenGates, b: float, n: int) -> np.ndarray:
    """Return f, shape (n,), the sums of ``sign(u) (|u| - b)``."""
    total = np.zeros(n)
    _sum_outputs(gates.samples, gates.u, b, total)
    with np.errstate(over="ignore"):  # an infinite output is told by the loss
        return total.astype(gates.u.dtype)


def input_gradient(gates: OpenGates, W: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return ``scale_n sum_i g_ni w_i``, shape (n, d)."""
    G = np.empty((len(scale), W.shape[1]), W.dtype)
    starts, neurons = np.zeros(len(scale) + 2, np.int64), np.empty(len(gates.samples), np.int32)
    _by_sample(gates.starts, gates.samples, starts, neurons)
    starts = starts[:-1]
    in_threads(_input_gradient, [(starts[first:last + 1], neurons, W, gates.rows,
                                  scale[first:last], G[first:last])
                                 for first, last in _halves(starts, LEAST)])
    return G


def descend_open(W: np.ndarray, gates: OpenGates, X: np.ndarray, scale: np.ndarray,
                 decay: np.ndarray, learning_rate: float) -> np.ndarray:
    """``w_i <- w_i - eta (sum_n scale_n g_ni x_n + decay_i w_i)`` for the open neurons, in place.

    Parameters
    ----------
    W : ndarray, shape (m, d)
    gates : OpenGates
    X, scale : ndarray, shape (n, d) and (n,)
    decay : ndarray, shape (r,)
        Of each neuron of ``gates.rows``.
    learning_rate : float

    Returns
    -------
    ndarray, shape (r,)
        ``||w_i||`` afterwards.
    """
    lengths = np.empty(len(gates.rows))
    rate = W.dtype.type(learning_rate)
    in_threads(_descend, [(W, gates.rows[first:last], gates.starts[first:last + 1], gates.samples,
                           X, scale, decay[first:last], rate, lengths[first:last])
                          for first, last in _halves(gates.starts, LEAST)])
    return lengths


def at_most(value: float, dtype: np.dtype) -> Any:
    """Return the largest number of ``dtype`` up to ``value``: |u| <= both, or neither."""
    rounded = dtype.type(value)
    return rounded if float(rounded) <= value else np.nextafter(rounded, dtype.type(-np.inf))


def _halves(starts: np.ndarray, least: int) -> list[tuple[int, int]]:
    """Bounds of neurons with about as many pairs for each thread."""
    cuts = [int(np.searchsorted(starts, last)) for _, last in
            shares(int(starts[-1]) if len(starts) else 0, least)[:-1]]
    ends = [0, *cuts, len(starts) - 1]
    return list(zip(ends[:-1], ends[1:]))


@summing_kernel
def _products(W: np.ndarray, X: np.ndarray, rows: np.ndarray, starts: np.ndarray,
              samples: np.ndarray, u: np.ndarray) -> None:
    d = W.shape[1]
    for place in range(len(rows)):
        w = W[rows[place]]
        for q in range(starts[place], starts[place + 1]):
            x = X[samples[q]]
            total = w.dtype.type(0.0)
            for j in range(d):
                total += w[j] * x[j]
            u[q] = total


@kernel
def _keep_open(rows: np.ndarray, starts: np.ndarray, samples: np.ndarray, u: np.ndarray,
               threshold: float) -> int:
    """Move what is open to the front; return the neurons left. NaN is open."""
    kept = found = 0
    first = starts[0]
    for place in range(len(rows)):
        last = starts[place + 1]
        begun = found
        for q in range(first, last):
            if not abs(u[q]) <= threshold:
                samples[found], u[found] = samples[q], u[q]
                found += 1
        first = last
        if found > begun:
            rows[kept] = rows[place]
            starts[kept + 1] = found
            kept += 1
    starts[0] = 0
    return kept


@kernel
def _sum_outputs(samples: np.ndarray, u: np.ndarray, b: float, total: np.ndarray) -> None:
    for q in range(len(samples)):
        total[samples[q]] += u[q] - b if u[q] > 0.0 else u[q] + b


@kernel
def _by_sample(starts: np.ndarray, samples: np.ndarray, begins: np.ndarray,
               places: np.ndarray) -> None:
    """Counting sort: sample n has the lists places[begins[n]:begins[n + 1]], ascending."""
    for q in range(len(samples)):
        begins[samples[q] + 2] += 1
    for n in range(2, len(begins)):
        begins[n] += begins[n - 1]
    for place in range(len(starts) - 1):
        for q in range(starts[place], starts[place + 1]):
            n = samples[q]
            places[begins[n + 1]] = place
            begins[n + 1] += 1


@kernel
def _input_gradient(starts: np.ndarray, places: np.ndarray, W: np.ndarray, rows: np.ndarray,
                    scale: np.ndarray, G: np.ndarray) -> None:
    d = W.shape[1]
    for n in range(len(G)):
        g, y = G[n], scale[n]
        for j in range(d):
            g[j] = 0.0
        q, last = starts[n], starts[n + 1]
        while q + 3 < last:  # four at a time: g is read and written once for four
            w0, w1 = W[rows[places[q]]], W[rows[places[q + 1]]]
            w2, w3 = W[rows[places[q + 2]]], W[rows[places[q + 3]]]
            for j in range(d):
                g[j] += (w0[j] + w1[j]) + (w2[j] + w3[j])
            q += 4
        while q < last:
            w0 = W[rows[places[q]]]
            for j in range(d):
                g[j] += w0[j]
            q += 1
        for j in range(d):
            g[j] *= y


@summing_kernel
def _descend(W: np.ndarray, rows: np.ndarray, starts: np.ndarray, samples: np.ndarray,
             X: np.ndarray, scale: np.ndarray, decay: np.ndarray, eta: float,
             lengths: np.ndarray) -> None:
    d = W.shape[1]
    g = np.empty(d, W.dtype)
    for place in range(len(rows)):
        w = W[rows[place]]
        g[:] = 0.0
        q, last = starts[place], starts[place + 1]
        while q + 3 < last:  # four at a time: g is read and written once for four
            x0, x1 = X[samples[q]], X[samples[q + 1]]
            x2, x3 = X[samples[q + 2]], X[samples[q + 3]]
            r0, r1 = scale[samples[q]], scale[samples[q + 1]]
            r2, r3 = scale[samples[q + 2]], scale[samples[q + 3]]
            for j in range(d):
                g[j] += (r0 * x0[j] + r1 * x1[j]) + (r2 * x2[j] + r3 * x3[j])
            q += 4
        while q < last:
            x0, r0 = X[samples[q]], scale[samples[q]]
            for j in range(d):
                g[j] += r0 * x0[j]
            q += 1
        shrink = decay[place]
        square = 0.0
        for j in range(d):
            w[j] -= eta * (g[j] + shrink * w[j])
        for j in range(d):
            square += float(w[j]) * float(w[j])
        lengths[place] = math.sqrt(square)
