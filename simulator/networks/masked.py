"""The symmetric ReLU network with a mask on its hidden weights: a ticket.

    f(x) = sum_i S_b(s <mask_i o w_i, x>),    mask in {0, 1}^{m x d},  S_b the soft threshold

(Shi et al., arXiv 2202.06488.) Pruned weights are zero and stay zero; ``s`` rescales what
survives: ``s = 1`` is the plain ticket, ``s = 1/sqrt(keep)`` keeps the size of the
pre-activations, and with it the rate of the gates and the size of the kernel (s multiplies the
function and not the weights, so gradient descent feels it as well). That is the network of
:mod:`simulator.networks.symmetric_relu` on the inputs ``s x``, so the gradients are its own, cut
to the mask.

Below :data:`SPARSE_BELOW` the products run over the kept weights alone, neuron by neuron; above,
BLAS is faster on the whole matrix. Either way neurons that lost all their weights cost nothing.
"""

import math
from dataclasses import dataclass

import numpy as np

from simulator.checks import require_array, require_real
from simulator.jit import kernel
from simulator.networks.symmetric_relu import SymmetricReLU

__all__ = ["MaskedPasses", "MaskedReLU", "SPARSE_BELOW", "require_mask"]

# Kept share of the weights of the neurons that are left, d = 100, m = 400 and 4000: at .2 the
# sparse passes of a step are 1.2 to 1.6 times as fast as BLAS, at .1 2.1 to 2.5, at .25 they tie.
SPARSE_BELOW = 0.22


class MaskedReLU:
    """Symmetric ReLU network of which only the weights in a mask exist.

    Parameters
    ----------
    weights : ndarray, shape (m, d)
        Hidden weights W; copied, and cut to the mask.
    mask : ndarray of bool, shape (m, d)
    bias : float
        Shared threshold b, at least 0.
    scale : float
        s, positive.
    sparse : bool or None
        Run over the kept weights alone; None: where that is faster. Only rounding differs.

    Raises
    ------
    TypeError, ValueError
        A mask that is not of booleans or not of the weights' shape; anything
        :class:`~simulator.networks.symmetric_relu.SymmetricReLU` refuses.
    """

    def __init__(self, weights: np.ndarray, mask: np.ndarray, bias: float, scale: float = 1.0,
                 sparse: bool | None = None) -> None:
        weights = require_array("weights", weights, (None, None), why="one row a neuron")
        self.mask = require_mask(mask, weights.shape)
        self.scale = require_real("scale", scale, low=0.0, open_low=True)
        if sparse is None:
            sparse = _share_in_rows(self.mask) < SPARSE_BELOW
        self.plain = SymmetricReLU(np.where(self.mask, weights, 0).astype(weights.dtype), bias,
                                   passes=MaskedPasses(self.mask) if sparse else None)
        self.weights = self.plain.weights  # the same memory, zero outside the mask

    @property
    def bias(self) -> float:
        """b."""
        return self.plain.bias

    @property
    def keep(self) -> float:
        """Kept share of the weights."""
        return float(self.mask.mean())

    def __repr__(self) -> str:
        m, d = self.weights.shape
        return (f"MaskedReLU(m={m}, d={d}, keep={self.keep:.3g}, bias={self.bias:.4g}, "
                f"scale={self.scale:.4g})")

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs f(x), shape (n,)."""
        return self.plain.forward(self._scaled(X))

    def gates(self, X: np.ndarray) -> np.ndarray:
        """Return ``1{|u_i| > b}`` of the masked pre-activations, shape (n, m)."""
        return self.plain.gates(self._scaled(X))

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``, shape (n,)."""
        return self.plain.margins(self._scaled(X), y)

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y df/dx``, shape (n, d)."""
        return self.scale * self.plain.margin_gradient(self._scaled(X), y)

    def margins_and_gradient(self, X: np.ndarray,
                             y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`margins` and :meth:`margin_gradient` from one forward pass."""
        margins, gradient = self.plain.margins_and_gradient(self._scaled(X), y)
        return margins, self.scale * gradient

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return the regularised logistic loss and its gradient by the kept weights.

        Shape (m, d), zero outside the mask; ``rng`` is not used.
        """
        loss, gradient = self.plain.loss_gradient(self._scaled(X), y, weight_decay)
        gradient *= self.mask
        return loss, gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """``W <- W - learning_rate mask o dL/dW``, in place; return the loss before."""
        loss = self.plain.gradient_step(self._scaled(X), y, learning_rate, weight_decay)
        if not isinstance(self.plain.passes, MaskedPasses):  # those never leave the mask
            _cut(self.weights, self.mask)
        return loss

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return X if self.scale == 1.0 else np.asarray(X) * self.weights.dtype.type(self.scale)


def require_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a boolean mask of the weights' shape, or raise TypeError / ValueError."""
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask: expected booleans, got {mask.dtype}: a weight is kept or not")
    if mask.shape != shape:
        raise ValueError(f"mask: expected shape {shape}, got {mask.shape}: one entry a weight")
    return np.ascontiguousarray(mask)


def _share_in_rows(mask: np.ndarray) -> float:
    """Kept share of the weights of those neurons that keep any; screening drops the others."""
    rows = int(mask.any(axis=1).sum())
    return float(mask.sum()) / max(1, rows * mask.shape[1])


@dataclass(frozen=True)
class MaskedForward:
    """A forward pass: outputs, and the open gates neuron by neuron.

    Attributes
    ----------
    f : ndarray, shape (n,)
    weights : ndarray, shape (kept,)
        The kept weights, row by row.
    starts : ndarray of int, shape (m + 1,)
        Neuron i is open for ``samples[starts[i]:starts[i + 1]]``.
    samples : ndarray of int32, shape (open gates,)
    norms : ndarray, shape (m,)
        ``||w_i||``.
    """

    f: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    samples: np.ndarray
    norms: np.ndarray


class MaskedPasses:
    """The passes of a network whose weights vanish outside a mask: work for kept ones only.

    Takes the place of :class:`simulator.networks.sparse_passes.SparsePasses`; neurons without
    weights are left out.

    Parameters
    ----------
    mask : ndarray of bool, shape (m, d)
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask
        self.columns = np.ascontiguousarray(np.nonzero(mask)[1])  # they lie in pairs
        self.rows = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> MaskedForward:
        """Return f, and the open gates of every neuron."""
        n, kept = len(X), W[self.mask]
        f, starts = np.zeros(n, W.dtype), np.zeros(len(W) + 1, np.int64)
        samples = np.empty(n * len(W), np.int32)  # untouched memory costs nothing
        norms = np.zeros(len(W), W.dtype)
        _forward(kept, self.columns, self.rows, np.ascontiguousarray(X.T), b, f, starts, samples,
                 norms)
        return MaskedForward(f, kept, starts, samples[:starts[-1]], norms)

    def input_gradient(self, forward: MaskedForward, scale: np.ndarray) -> np.ndarray:
        """Return ``scale_n sum_i g_ni w_i``, shape (n, d)."""
        G = np.zeros((len(forward.f), self.mask.shape[1]), forward.f.dtype)
        _input_gradient(forward.weights, self.columns, self.rows, forward.starts, forward.samples,
                        G)
        G *= scale[:, None]
        return G

    def weight_gradient(self, forward: MaskedForward, X: np.ndarray,
                        scale: np.ndarray) -> np.ndarray:
        """Return ``sum_n scale_n g_ni x_n`` at the kept weights, shape (kept,)."""
        G = np.zeros_like(forward.weights)
        _weight_gradient(self.columns, self.rows, forward.starts, forward.samples, scale, X, G)
        return G

    def descend(self, W: np.ndarray, forward: MaskedForward, G: np.ndarray, learning_rate: float,
                weight_decay: float) -> None:
        """``w_i <- w_i - eta (G_i + lam (1 + ||w_i||) w_i)`` at the kept weights, in place."""
        shrink = np.repeat(weight_decay * (1.0 + forward.norms), np.diff(self.rows))
        step = learning_rate * (G + shrink * forward.weights)
        W[self.mask] = forward.weights - step.astype(W.dtype)


@kernel
def _cut(W: np.ndarray, mask: np.ndarray) -> None:
    """Zero what the mask does not keep: a step of descent on the whole matrix made whole."""
    m, d = W.shape
    zero = W.dtype.type(0.0)
    for i in range(m):
        for j in range(d):
            if not mask[i, j]:
                W[i, j] = zero


@kernel
def _forward(kept: np.ndarray, columns: np.ndarray, rows: np.ndarray, XT: np.ndarray, b: float,
             f: np.ndarray, starts: np.ndarray, samples: np.ndarray, norms: np.ndarray) -> None:
    """One neuron after the other, for all samples at once: u = sum_j w_j XT[j]."""
    n = XT.shape[1]
    u = np.empty(n, XT.dtype)
    opened = 0
    for i in range(len(rows) - 1):
        first, last = rows[i], rows[i + 1]
        if last > first:
            square = 0.0
            u[:] = 0.0
            q = first
            while q + 3 < last:  # four at a time: u is read and written once for four weights
                w0, w1, w2, w3 = kept[q], kept[q + 1], kept[q + 2], kept[q + 3]
                x0, x1 = XT[columns[q]], XT[columns[q + 1]]
                x2, x3 = XT[columns[q + 2]], XT[columns[q + 3]]
                for row in range(n):
                    u[row] += w0 * x0[row] + w1 * x1[row] + (w2 * x2[row] + w3 * x3[row])
                q += 4
            while q < last:
                w0 = kept[q]
                x0 = XT[columns[q]]
                for row in range(n):
                    u[row] += w0 * x0[row]
                q += 1
            for q in range(first, last):
                square += kept[q] * kept[q]
            norms[i] = math.sqrt(square)
            for row in range(n):
                u_n = u[row]
                if not abs(u_n) <= b:  # written so that NaN opens the gate and reaches the loss
                    f[row] += u_n - b if u_n > 0.0 else u_n + b
                    samples[opened] = row
                    opened += 1
        starts[i + 1] = opened


@kernel
def _input_gradient(kept: np.ndarray, columns: np.ndarray, rows: np.ndarray, starts: np.ndarray,
                    samples: np.ndarray, G: np.ndarray) -> None:
    for i in range(len(rows) - 1):
        for p in range(starts[i], starts[i + 1]):
            g = G[samples[p]]
            for q in range(rows[i], rows[i + 1]):
                g[columns[q]] += kept[q]


@kernel
def _weight_gradient(columns: np.ndarray, rows: np.ndarray, starts: np.ndarray, samples: np.ndarray,
                     scale: np.ndarray, X: np.ndarray, G: np.ndarray) -> None:
    for i in range(len(rows) - 1):
        for p in range(starts[i], starts[i + 1]):
            x = X[samples[p]]
            r = scale[samples[p]]
            for q in range(rows[i], rows[i + 1]):
                G[q] += r * x[columns[q]]
