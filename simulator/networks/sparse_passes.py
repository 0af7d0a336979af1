"""Forward pass and gradients of the plain symmetric ReLU network over open gates.

    f(x) = sum_i S_b(u_i),   gate_i(x) = 1{|u_i| > b},   u = W x,   S_b the soft threshold

1. The cascade (:mod:`simulator.networks.cascade`) proves nearly all pairs of a sample and a neuron
   closed; the others get their product of full length (:mod:`simulator.networks.open_gates`).
2. Where too many pairs are in doubt (a network at its start, dense data) the products are one
   BLAS product, from which the same lists are made.
3. Where more than `DENSE_GATES` of all gates are open, the gradients are BLAS products too.

Which of 1 and 2 it was changes no bit; 3 depends on weights and batch alone. The mathematics is
that of :mod:`simulator.networks.symmetric_relu`; only rounding differs.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simulator.jit import in_threads, kernel, shares, summing_kernel
from simulator.networks.cascade import lists_by_row, split
from simulator.networks.few_rows import products
from simulator.networks.neurons import Neurons
from simulator.networks.open_gates import (OpenGates, at_most, descend_open, input_gradient,
                                           open_gates, outputs)
from simulator.networks.screening import Buffers, lowered

__all__ = ["Clock", "Dense", "ForwardPass", "SparsePasses", "unclocked"]

Clock = Callable[[str], AbstractContextManager[Any]]

# Measured in float32 and float64, d = 128 to 1448, m = 20 d. They only move work around.
DENSE_GATES = 0.05  # above this share of open gates BLAS beats sums over lists
DOUBT = 3.0  # times that share: with more pairs in doubt the product beats the cascade
CASCADE_FROM = 3e7  # multiplications of the product, below which it is done at once
LONGEST_PAUSE = 32  # passes after a vain cascade before the next is tried
BLOCK = 1024  # samples of a product: for each block BLAS rearranges W anew
LEAST = 1 << 18  # numbers of U below which a second thread is not woken
ALL_LIVE = 0.9  # above this live fraction copying the live rows costs more than it saves


_NOTHING = nullcontext()


def unclocked(piece: str) -> AbstractContextManager[Any]:
    """The clock of a network that nobody times."""
    return _NOTHING


class Dense(NamedTuple):
    """A batch with so many open gates that they are a matrix.

    Attributes
    ----------
    gates : ndarray, shape (n, live)
        1 where a gate is open, else 0; in a buffer, until the next forward pass.
    live : ndarray, shape (live, d)
        The neurons that are not silent.
    rows : ndarray of int, shape (live,), or None
        Which those are; None: all.
    """

    gates: np.ndarray
    live: np.ndarray
    rows: np.ndarray | None


@dataclass(frozen=True)
class ForwardPass:
    """One forward pass: the outputs, and what the gradients need of it.

    Attributes
    ----------
    f : ndarray, shape (n,)
        Outputs.
    norms : ndarray, shape (m,)
        ``||w_i||``.
    gates : OpenGates or Dense
    pairs_open, pairs_computed : int
        Pairs of a sample and a neuron: with an open gate, and with a product of full length.
    by_product : bool
        The products were one BLAS product.
    neurons : Neurons
        The weights, and what is known of them.
    """

    f: np.ndarray
    norms: np.ndarray
    gates: OpenGates | Dense
    pairs_open: int
    pairs_computed: int
    by_product: bool
    neurons: Neurons

    @property
    def live_fraction(self) -> float:
        """Share of the neurons with a product of full length."""
        live = len(self.gates.rows) if isinstance(self.gates, OpenGates) else len(self.gates.live)
        return live / max(1, len(self.norms))


class ListGradient(NamedTuple):
    """``sum_n scale_n g_ni x_n`` before it is summed: the descent does that row by row."""

    X: np.ndarray
    scale: np.ndarray


class SparsePasses:
    """Forward pass, gradients and descent of a network without smoothing.

    Inputs are checked by the caller.

    Parameters
    ----------
    screening : bool
        False computes every pair by a product of full length.
    dense_gates : float
        Above this open fraction gradients are BLAS products.
    cascade_from : float
        Multiplications n m d from which the cascade is tried.
    clock : callable
        ``clock(piece)`` is a context around each piece of the work: "split", "cascade", "products",
        "GEMM", "scan", "gradients", "descend".
    """

    def __init__(self, screening: bool = True, dense_gates: float = DENSE_GATES,
                 cascade_from: float = CASCADE_FROM, clock: Clock = unclocked) -> None:
        self.screening = screening
        self.dense_gates = dense_gates
        self.cascade_from = cascade_from
        self.clock = clock
        self._buffers = Buffers()
        self._held: Neurons | None = None
        self._holding = False
        self._norms: np.ndarray | None = None
        self._pause = self._next_pause = 0

    def hold(self, norms: np.ndarray | None = None) -> None:
        """Keep what is known of the weights from pass to pass: only `descend` changes them.

        Parameters
        ----------
        norms : ndarray, shape (m,), or None
            Their lengths as an earlier training knew them.
        """
        self._holding, self._norms = True, norms

    def release(self) -> np.ndarray | None:
        """Let all rows catch up and forget what is known; return the norms, if any are known."""
        self._holding = False
        held, self._held = self._held, None
        if held is None:
            norms, self._norms = self._norms, None
            return norms
        held.catch_up()
        return held.norms

    def catch_up(self) -> None:
        """Let all rows of held weights take the steps that they are behind with."""
        if self._held is not None:
            self._held.catch_up()

    def norms(self) -> np.ndarray:
        """Return ``||w_i||`` of held weights, shape (m,)."""
        if self._held is None:
            raise ValueError("norms: expected weights that are held, got none")
        return self._held.norms

    def _neurons(self, W: np.ndarray) -> Neurons:
        if not self._holding:
            return Neurons(W)
        if self._held is None or self._held.W is not W:
            self._held, self._norms = Neurons(W, self._norms), None
        return self._held

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> ForwardPass:
        """Return outputs and open gates of X, shape (n, d), for weights W (m, d) and bias b."""
        neurons = self._neurons(W)
        if self._try_cascade(X.size * float(len(W))):
            with self.clock("split"):
                samples = split(X, neurons.direction())
            with self.clock("cascade"):
                found = neurons.doubtful(samples, b, int(DOUBT * self._limit(W, X)))
            if found is not None:
                forward = self._by_lists(neurons, b, X, *found, len(found[1]), False)
                if forward.pairs_open <= self._limit(W, X):
                    self._next_pause = 0
                    return forward
            self._pause, self._next_pause = 0, min(2 * self._next_pause + 1, LONGEST_PAUSE)
        self._pause += 1
        return self._by_product(neurons, b, X)

    def _limit(self, W: np.ndarray, X: np.ndarray) -> int:
        """So many open gates are lists, more are a matrix, whoever counted them."""
        return int(self.dense_gates * len(X) * len(W))

    def _try_cascade(self, work: float) -> bool:
        return (self.screening and work >= self.cascade_from and self.dense_gates > 0.0
                and self._pause >= self._next_pause)

    def _by_lists(self, neurons: Neurons, b: float, X: np.ndarray, starts: np.ndarray,
                  lists: np.ndarray, computed: int, by_product: bool) -> ForwardPass:
        """The products of full length of the pairs in doubt, in one order whoever found them."""
        norms = neurons.norms.copy()
        with self.clock("products"):
            gates = open_gates(neurons.W, b, X, starts, lists)
            f = outputs(gates, b, len(X))
        return ForwardPass(f, norms, gates, len(gates.samples), computed, by_product, neurons)

    def _by_product(self, neurons: Neurons, b: float, X: np.ndarray) -> ForwardPass:
        """All pairs of the neurons that are not silent, by BLAS."""
        neurons.renew()
        W, norms = neurons.W, neurons.norms.copy()
        with self.clock("split"):
            bound, slack = neurons.most_of_all(X)
        loud = np.flatnonzero(~(bound <= lowered(b)))
        rows = loud if self.screening and len(loud) <= ALL_LIVE * len(W) else None
        live = W if rows is None else W[rows]
        room = slack * (norms if rows is None else norms[rows]) + 1e-30
        low, limit = (b - room).astype(W.dtype), self._limit(W, X)
        U, pairs = self._products(X, live, low, limit)
        if pairs is None and not _more_than(U, (b + room).astype(W.dtype), limit):
            pairs = _candidates(U, low, 0, U.size)  # rounding decides which it is
        if pairs is not None:
            if rows is not None:
                pairs[:, 0] = rows[pairs[:, 0]]
            forward = self._by_lists(neurons, b, X, *lists_by_row(pairs, len(W)), U.size, True)
            if forward.pairs_open <= limit:
                return forward
        with self.clock("scan"):
            f, opened = np.empty(len(X), W.dtype), np.zeros(len(X), np.int64)
            _gates_in_place(U, at_most(b, W.dtype), b, f, opened)
        return ForwardPass(f, norms, Dense(U, live, rows), int(opened.sum()), U.size, True,
                           neurons)

    def _products(self, X: np.ndarray, live: np.ndarray, low: np.ndarray,
                  limit: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ``U = X live^T``, and the pairs (column, row) where |U| is not within ``low``.

        None where there are more than ``limit``.
        """
        U = self._buffers.take("U", (len(X), len(live)), X.dtype)
        found: list[np.ndarray] = []
        for first in range(0, len(X), BLOCK):
            block = slice(first, min(first + BLOCK, len(X)))
            with self.clock("GEMM"):
                products(X[block], live, out=U[block])
            if limit >= 0:
                with self.clock("scan"):
                    pairs = _candidates(U[block], low, first, limit)
                found += [] if pairs is None else [pairs]
                limit = -1 if pairs is None else limit - len(pairs)
        return U, None if limit < 0 else np.concatenate([np.empty((0, 2), np.int32), *found])

    def input_gradient(self, forward: ForwardPass, scale: np.ndarray) -> np.ndarray:
        """Return ``scale_n sum_i g_ni w_i``, shape (n, d)."""
        gates = forward.gates
        if isinstance(gates, OpenGates):
            with self.clock("gradients"):
                return input_gradient(gates, forward.neurons.W, scale)
        with self.clock("GEMM"):
            G: np.ndarray = gates.gates @ gates.live
        G *= scale[:, None]
        return G

    def weight_gradient(self, forward: ForwardPass, X: np.ndarray,
                        scale: np.ndarray) -> np.ndarray | ListGradient:
        """Return ``sum_n scale_n g_ni x_n`` in the form that :meth:`descend` takes."""
        gates = forward.gates
        if isinstance(gates, OpenGates):
            return ListGradient(X, scale)
        scaled = self._buffers.take("scaled", X.shape, X.dtype)
        G = self._buffers.take("gradient", gates.live.shape, X.dtype)
        with self.clock("GEMM"):
            np.multiply(X, scale[:, None], out=scaled)
            np.matmul(gates.gates.T, scaled, out=G)
        return G

    def descend(self, W: np.ndarray, forward: ForwardPass, G: np.ndarray | ListGradient,
                learning_rate: float, weight_decay: float) -> None:
        """``w_i <- w_i - eta (G_i + lam (1 + ||w_i||) w_i)``, in place."""
        gates, neurons = forward.gates, forward.neurons
        decay = (weight_decay * (1.0 + forward.norms)).astype(W.dtype)
        with self.clock("descend"):
            if isinstance(gates, OpenGates) and isinstance(G, ListGradient):
                rows = gates.rows
                lengths = descend_open(W, gates, G.X, G.scale, decay[rows], learning_rate)
            else:
                assert isinstance(gates, Dense) and isinstance(G, np.ndarray)
                rows = np.arange(len(W)) if gates.rows is None else gates.rows
                lengths = np.empty(len(rows))
                _descend_rows(W, rows, G, decay[rows], W.dtype.type(learning_rate), lengths)
            neurons.shrink(rows, lengths, learning_rate, weight_decay)
            if not self._holding:
                neurons.catch_up()


def _candidates(U: np.ndarray, low: np.ndarray, begin: int, limit: int) -> np.ndarray | None:
    """Return the pairs (column, begin + row) of U not within ``low``, or None: too many."""
    parts = shares(len(U), max(1, LEAST // max(1, len(low))))
    buffers = [np.empty((min(limit, U.size) + 1, 2), np.int32) for _ in parts]
    counts = in_threads(_outside, [(U[first:last], low, begin + first, pairs)
                                   for (first, last), pairs in zip(parts, buffers)])
    if min(counts) < 0 or sum(counts) > limit:
        return None
    return np.concatenate([pairs[:count] for pairs, count in zip(buffers, counts)])


@kernel
def _outside(U: np.ndarray, low: np.ndarray, first: int, pairs: np.ndarray) -> int:
    """Write the pairs outside; return how many, or -1 if too many. NaN is outside."""
    n, m = U.shape
    hit = np.zeros((m + 7) // 8 * 8, np.uint8)
    words = hit.view(np.uint64)
    found = 0
    for row in range(n):
        u = U[row]
        for i in range(m):  # a vector instruction
            hit[i] = 0 if abs(u[i]) <= low[i] else 1
        for word in range(len(words)):
            if words[word] == 0:
                continue
            for i in range(8 * word, 8 * word + 8):
                if hit[i] != 0:
                    if found == len(pairs):
                        return -1
                    pairs[found, 0] = i
                    pairs[found, 1] = first + row
                    found += 1
    return found


@kernel
def _more_than(U: np.ndarray, high: np.ndarray, limit: int) -> bool:
    """Whether more than ``limit`` numbers of U are beyond ``high``: open, however they round.

    NaN is beyond.
    """
    n, m = U.shape
    found = 0
    for row in range(n):
        u = U[row]
        for i in range(m):
            found += 0 if abs(u[i]) <= high[i] else 1
        if found > limit:
            return True
    return False


@summing_kernel
def _gates_in_place(U: np.ndarray, threshold: float, b: float, f: np.ndarray,
                    opened: np.ndarray) -> None:
    """f_n and the gates, 0 or 1, in the place of U. NaN is open."""
    n, m = U.shape
    zero, one = U.dtype.type(0.0), U.dtype.type(1.0)
    for row in range(n):
        u = U[row]
        total, count = 0.0, 0.0
        for i in range(m):  # without a branch: a quarter of the gates may be open
            size = float(u[i])
            total += size - (b if size > b else (-b if size < -b else size))
            gate = zero if abs(u[i]) <= threshold else one
            count += float(gate)
            u[i] = gate
        f[row] = total
        opened[row] = int(count)


@kernel
def _descend_rows(W: np.ndarray, rows: np.ndarray, G: np.ndarray, decay: np.ndarray, eta: float,
                  lengths: np.ndarray) -> None:
    d = W.shape[1]
    for place in range(len(rows)):
        w, g, shrink = W[rows[place]], G[place], decay[place]
        for j in range(d):
            w[j] -= eta * (g[j] + shrink * w[j])
        square = 0.0
        for j in range(d):
            square += float(w[j]) * float(w[j])
        lengths[place] = math.sqrt(square)
