"""What a ticket is to keep: outputs and tangent kernel of the dense network, and their gradient.

The masked kernel is that of :class:`~simulator.networks.masked.MaskedReLU` by its kept weights,

    K_mask(x, x') = s^2 sum_i g_i g'_i <mask_i o x, mask_i o x'>,

with the gates g of the masked network. How far a mask is from the dense network is

    J(mask) = (1/n) ||f_mask(x~) - f(x~)||^2 + (gamma / n)^2 ||K_mask(x~, x~) - K(x~, x~)||_F^2

(Shi et al., arXiv 2202.06488), with the gradient by the mask

    dJ/dmask_ij = (2/n) sum_n (f_mask - f)_n s g_ni w_ij x_nj
                  + 2 (gamma s / n)^2 sum_nn' (K_mask - K)_nn' g_ni g_n'i x_nj x_n'j,

taken at fixed gates and with mask^2 = mask, which is true of a mask and makes the kernel linear
in it (a reading: the paper relaxes its masks in its own way). Kernels go neuron by neuron over the
samples that open it: memory for the kernel and lists of open gates, never an (n, m d) Jacobian.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.checks import require_array, require_real
from simulator.heartbeat import beat
from simulator.jit import kernel
from simulator.networks.masked import MaskedForward, MaskedPasses, require_mask

__all__ = ["Dynamics", "Gap"]


@dataclass(frozen=True)
class Gap:
    """How far a masked network is from the dense one at some inputs.

    Attributes
    ----------
    outputs : float
        ``||f_mask - f||^2 / n``.
    kernel : float
        ``||K_mask - K||_F^2 / n^2``.
    relative_outputs, relative_kernel : float
        ``||f_mask - f|| / ||f||`` and ``||K_mask - K||_F / ||K||_F``.
    """

    outputs: float
    kernel: float
    relative_outputs: float
    relative_kernel: float


class Dynamics:
    """Outputs and kernel of a dense network at some inputs, as the target of a mask.

    Parameters
    ----------
    weights : ndarray, shape (m, d)
        The dense initialisation W.
    bias : float
        b.
    X : ndarray, shape (n, d)
        Inputs x~.
    """

    def __init__(self, weights: np.ndarray, bias: float, X: np.ndarray) -> None:
        # a copy of what may not be written: kernels are compiled anew for such an array
        self.weights = np.require(require_array(
            "weights", weights, (None, None), why="one row a neuron",
            dtype=np.dtype(np.float64)), requirements=["C", "W"])
        self.bias = require_real("bias", bias, low=0.0)
        self.X = np.require(require_array(
            "X", X, (None, self.weights.shape[1]), why="the inputs of the network",
            dtype=np.dtype(np.float64)), requirements=["C", "W"])
        if len(self.X) == 0:
            raise ValueError("X: expected at least one input, got none: the gap is a mean")

    def __repr__(self) -> str:
        m, d = self.weights.shape
        return f"Dynamics(n={len(self.X)}, m={m}, d={d}, bias={self.bias:.4g})"

    @cached_property
    def _dense(self) -> tuple[np.ndarray, np.ndarray]:
        everything = np.ones(self.weights.shape, bool)
        return self.outputs_and_kernel(everything, 1.0, self.bias)

    @property
    def outputs(self) -> np.ndarray:
        """f of the dense network, shape (n,)."""
        return self._dense[0]

    @property
    def target(self) -> np.ndarray:
        """K of the dense network, shape (n, n)."""
        return self._dense[1]

    def gap(self, mask: np.ndarray, scale: float = 1.0, bias: float | None = None,
            weights: np.ndarray | None = None) -> Gap:
        """Return how far the masked network is from the dense one.

        ``bias`` and ``weights`` (m, d) take the place of b and W in the masked one.
        """
        bias = self.bias if bias is None else bias
        f, K = self.outputs_and_kernel(require_mask(mask, self.weights.shape), scale, bias,
                                       weights)
        n = len(self.X)
        f_error, K_error = np.linalg.norm(f - self.outputs), np.linalg.norm(K - self.target)
        return Gap(float(f_error**2 / n), float((K_error / n) ** 2),
                   float(f_error / np.linalg.norm(self.outputs)),
                   float(K_error / np.linalg.norm(self.target)))

    def relative_kernel_without_each(self, mask: np.ndarray, scale: float = 1.0,
                                     bias: float | None = None,
                                     weights: np.ndarray | None = None) -> np.ndarray:
        """Return ``||K_mask - K||_F / ||K||_F`` without each of the inputs, shape (n,).

        Arguments as of :meth:`gap`.
        """
        _, K = self.outputs_and_kernel(require_mask(mask, self.weights.shape), scale,
                                       self.bias if bias is None else bias, weights)
        return np.sqrt(_without_each(K - self.target) / _without_each(self.target))

    def gradient(self, mask: np.ndarray, scale: float = 1.0, bias: float | None = None,
                 gamma: float = 1.0, output_weight: float = 1.0) -> np.ndarray:
        """Return ``output_weight * d(outputs)/dmask + gamma^2 * d(kernel)/dmask``, shape (m, d).

        Of the parts of :class:`Gap`, at fixed gates, by every entry of the mask, kept or not.
        """
        mask = require_mask(mask, self.weights.shape)
        passes, forward = self._pass(mask, scale, self.bias if bias is None else bias)
        n, K = len(self.X), np.zeros((len(self.X),) * 2)
        _kernel(passes.columns, passes.rows, forward.starts, forward.samples, self.X, K)
        G = np.zeros_like(self.weights)
        _gradient(self.weights, forward.starts, forward.samples, self.X,
                  (2.0 * output_weight * scale / n) * (forward.f - self.outputs),
                  2.0 * (gamma * scale / n) ** 2 * (scale**2 * K - self.target), G)
        return G

    def saliency(self, mask: np.ndarray) -> np.ndarray:
        """Return ``<K, dK/dmask>_F``, shape (m, d): what each weight is for the kernel's size."""
        passes, forward = self._pass(require_mask(mask, self.weights.shape), 1.0, self.bias)
        G, K = np.zeros_like(self.weights), np.zeros((len(self.X),) * 2)
        _kernel(passes.columns, passes.rows, forward.starts, forward.samples, self.X, K)
        _gradient(self.weights, forward.starts, forward.samples, self.X, np.zeros(len(self.X)), K,
                  G)
        return G

    def outputs_and_kernel(self, mask: np.ndarray, scale: float, bias: float,
                           weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return f (n,) and K (n, n) of the masked network; ``weights`` in the place of W."""
        passes, forward = self._pass(mask, scale, bias, weights)
        K = np.zeros((len(self.X),) * 2)
        _kernel(passes.columns, passes.rows, forward.starts, forward.samples, self.X, K)
        return forward.f, scale**2 * K

    def _pass(self, mask: np.ndarray, scale: float, bias: float,
              weights: np.ndarray | None = None) -> tuple[MaskedPasses, MaskedForward]:
        beat()
        passes = MaskedPasses(mask)
        W = self.weights if weights is None else weights
        return passes, passes.forward(W, bias, scale * self.X)


def _without_each(K: np.ndarray) -> np.ndarray:
    """``||K||_F^2`` without row and column n of a symmetric matrix, for each n."""
    squares = K**2
    return np.maximum(squares.sum() - 2.0 * squares.sum(axis=1) + np.diagonal(squares), 0.0)


@kernel
def _kernel(columns: np.ndarray, rows: np.ndarray, starts: np.ndarray, samples: np.ndarray,
            X: np.ndarray, K: np.ndarray) -> None:
    """K += sum_i g_i g'_i <mask_i o x, mask_i o x'>: the open samples of a neuron in pairs."""
    n = len(X)
    Z, sums = np.empty((X.shape[1], n), X.dtype), np.empty(n, X.dtype)
    for i in range(len(rows) - 1):
        first, kept = rows[i], rows[i + 1] - rows[i]
        opened = samples[starts[i]:starts[i + 1]]
        count = len(opened)
        for q in range(kept):
            for p in range(count):
                Z[q, p] = X[opened[p], columns[first + q]]
        for p in range(count):  # sums over q run through contiguous memory, for all pairs of p
            sums[p:count] = 0.0
            for q in range(kept):
                z, z_p = Z[q], Z[q, p]
                for r in range(p, count):
                    sums[r] += z_p * z[r]
            line = K[opened[p]]
            for r in range(p, count):
                line[opened[r]] += sums[r]
    for p in range(n):  # samples are ascending: only the upper half was written
        for r in range(p):
            K[p, r] = K[r, p]


@kernel
def _gradient(W: np.ndarray, starts: np.ndarray, samples: np.ndarray, X: np.ndarray, e: np.ndarray,
              E: np.ndarray, G: np.ndarray) -> None:
    """G_ij = sum over open n of e_n w_ij x_nj + sum over open n, n' of E_nn' x_nj x_n'j."""
    m, d = W.shape
    mixed = np.empty(d, X.dtype)
    for i in range(m):
        opened, g, w = samples[starts[i]:starts[i + 1]], G[i], W[i]
        for p in range(len(opened)):
            x, line = X[opened[p]], E[opened[p]]
            error, diagonal = e[opened[p]], line[opened[p]]
            for j in range(d):
                mixed[j] = error * w[j] + diagonal * x[j]
            for r in range(p + 1, len(opened)):  # E is symmetric: pairs count twice
                other, twice = X[opened[r]], 2.0 * line[opened[r]]
                for j in range(d):
                    mixed[j] += twice * other[j]
            for j in range(d):
                g[j] += x[j] * mixed[j]
