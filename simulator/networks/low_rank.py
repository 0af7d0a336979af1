"""A symmetric network whose weights move by a matrix of low rank only.

    W = W_clean + U V^T,    U (m, R), V (d, R) trained, W_clean and the bias fixed

Allen-Zhu & Li (arXiv 2005.10190, v4) report that adversarial training can be done through such
updates. With ``G = dL/dW``, the gradient of the network of weights W
(:mod:`simulator.networks.symmetric_relu`), weight decay on W included:

    dL/dU = G V,    dL/dV = G^T U

G is a sum over open gates, ``G = sum_n r_n g_n x_n^T + D W`` with r_n = dL/df_n, g_n the gates of
sample n and D diagonal, so it is never formed: ``G V = sum_n g_n r_n (x_n^T V) + D (W V)`` and
``G^T U = sum_n x_n r_n (g_n^T U) + W^T (D U)`` are products with R columns.

Decay acts on W and not on the factors: the loss is that of unrestricted training, so that what
differs is the rank alone.

**Start and step size.** U = 0 and V = sqrt(s) Q, Q with orthonormal columns: the network starts
as the clean one. A step of rate h moves W by ``-h (G V V^T + U U^T G)``. With ``h = eta / s`` the
first term is ``-eta G Q Q^T``, the step of unrestricted training, projected; the second turns V at
the pace eta once U has grown to the size of V (descent nearly keeps ``U^T U - V^T V``). So s should
be about the length of the update: it is the spectral norm of W_clean, whose first singular
direction is the dense mixture that is to go. With a small s V would hardly turn, with a large one
U would hardly grow.

While U = 0, V stands still, so random columns are slow to turn: of the gradient they hold R/d. Q
is better the first R right singular vectors of one gradient G, in which U moves fastest.
"""

from functools import cached_property
from typing import Any

import numpy as np
import scipy

from simulator.checks import require_array, require_int, require_labels, require_real, require_some
from simulator.losses import logistic_loss, logistic_residual
from simulator.networks.open_gates import OpenGates
from simulator.networks.sparse_passes import ForwardPass, SparsePasses
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric
from simulator.randomness import Rng, require_generator

__all__ = ["LowRankUpdate"]


class LowRankUpdate:
    """``W_clean + U V^T``, trained through its factors.

    Parameters
    ----------
    clean : SymmetricReLU
        Weights (m, d), copied; bias and smoothing are taken over and stay.
    factors : ndarray, shape (m + d, R)
        U above V. A contiguous array of the dtype of the weights is kept, not copied.

    Raises
    ------
    TypeError, ValueError
        No symmetric network, or factors of another shape.
    """

    def __init__(self, clean: SymmetricReLU, factors: np.ndarray) -> None:
        require_symmetric("clean", clean, "its open gates are summed over")
        self.clean = clean.copy()
        self.weights = factors
        self._passes = SparsePasses(clean.screening)

    @classmethod
    def initialise(cls, clean: SymmetricReLU, rank: int, gradient: np.ndarray | None = None,
                   rng: Rng = 0) -> "LowRankUpdate":
        """Start from the clean network, with ``U = 0`` and ``V = sqrt(s) Q`` (see the module).

        Parameters
        ----------
        clean : SymmetricReLU
        rank : int
            R, 1 to d.
        gradient : ndarray, shape (m, d), or None
            ``dL/dW`` of the clean network, on adversarial samples where it is to be trained
            on such; Q has its first right singular vectors. None: random columns.
        rng : int or Generator
            A seed, or the generator to draw random columns from.
        """
        weights = require_symmetric("clean", clean).snapshot()
        m, d = weights.shape
        require_int("rank", rank, low=1, high=d, why="the update has d columns")
        if gradient is None:
            Q = np.linalg.qr(require_generator("rng", rng).standard_normal((d, rank)))[0]
        else:
            require_array("gradient", gradient, (m, d), why="one entry a weight")
            Q = _singular(gradient)[1][:, :-rank - 1:-1]
        network = cls(clean, np.zeros((m + d, rank), weights.dtype))
        network.weights[m:] = np.sqrt(network.size) * Q
        return network

    def __repr__(self) -> str:
        m, d = self.clean.weights.shape
        return f"LowRankUpdate(m={m}, d={d}, rank={self.rank}, bias={self.bias:.4g})"

    @property
    def weights(self) -> np.ndarray:
        """The factors, U above V, shape (m + d, R): the array that training changes in place."""
        return self._weights

    @weights.setter
    def weights(self, factors: np.ndarray) -> None:
        """Take other factors, shape (m + d, R)."""
        clean = self.clean.weights
        self._weights = require_array("factors", factors, (sum(clean.shape), None),
                                      why="m rows of U, d of V", dtype=clean.dtype, writable=True)

    @property
    def bias(self) -> float:
        """b, that of the clean network."""
        return self.clean.bias

    @property
    def rank(self) -> int:
        """R, the number of columns of the factors; the update's rank is at most that."""
        return self._weights.shape[1]

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Views of U, shape (m, R), and V, shape (d, R)."""
        return self._weights[:self.clean.neurons], self._weights[self.clean.neurons:]

    @cached_property
    def size(self) -> float:
        """s, the unit of step sizes: descend at ``eta / size`` to move W at the pace eta."""
        return float(_singular(self.clean.weights)[0][-1])

    def merged(self) -> SymmetricReLU:
        """Return the network of weights ``W_clean + U V^T``, for attacks and certificates."""
        U, V = self.factors
        clean = self.clean
        return SymmetricReLU(clean.weights + U @ V.T, clean.bias, clean.smoothing,
                             clean.sampled_smoothing, clean.screening, self._passes)

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``, shape (n,)."""
        return self.merged().margins(X, y)

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y df/dx``, shape (n, d)."""
        return self.merged().margin_gradient(X, y)

    def margins_and_gradient(self, X: np.ndarray,
                             y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`margins` and :meth:`margin_gradient` from one forward pass."""
        return self.merged().margins_and_gradient(X, y)

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return the loss of the merged network and its gradient by the factors.

        Parameters
        ----------
        X : ndarray, shape (n, d)
        y : ndarray, shape (n,)
            Labels -1 and +1.
        weight_decay : float
            lam, of the merged weights: ``lam sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)``.
        rng : Generator or None
            Draws the noise of a network whose smoothing is sampled.

        Returns
        -------
        loss : float
        gradient : ndarray, shape (m + d, R)
        """
        network = self.merged()
        if network.smoothing > 0.0:
            loss, G = network.loss_gradient(X, y, weight_decay, rng)
            U, V = self.factors
            return loss, np.concatenate([G @ V, G.T @ U])
        return self._plain_gradient(network.weights, X, y, weight_decay)

    def _plain_gradient(self, W: np.ndarray, X: np.ndarray, y: np.ndarray,
                        weight_decay: float) -> tuple[float, np.ndarray]:
        require_real("weight_decay", weight_decay, low=0.0)
        X = require_array("X", X, (None, W.shape[1]), dtype=W.dtype)
        y = require_labels("y", y, len(X), W.dtype)
        require_some("X", X, "the loss is a mean")
        U, V = self.factors
        forward = self._passes.forward(W, self.bias, X)
        margins = y * forward.f
        residual = (-y * logistic_residual(margins) / len(X)).astype(W.dtype)[:, None]
        norms = forward.norms
        decay = (weight_decay * (1.0 + norms)).astype(W.dtype)[:, None]
        gradient = np.empty_like(self._weights)
        of_U, of_V = gradient[:len(U)], gradient[len(U):]
        np.multiply(decay, W @ V, out=of_U)
        np.matmul(W.T, decay * U, out=of_V)
        rows, gates = _open(forward, len(X))
        of_U[rows] += gates @ (residual * (X @ V))
        of_V += X.T @ (residual * (gates.T @ U[rows]))
        penalty = weight_decay * float(np.sum(norms**2 * (0.5 + norms / 3.0)))
        return logistic_loss(margins) + penalty, gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """Descend once, in place; return the loss before. The rate is ``eta / size``."""
        loss, gradient = self.loss_gradient(X, y, weight_decay, rng)
        gradient *= self._weights.dtype.type(learning_rate)
        self._weights -= gradient
        return loss


def _singular(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return singular values, ascending, and right singular vectors, in columns, by W^T W."""
    wide = np.asarray(matrix, np.float64)
    squares, vectors = np.linalg.eigh(wide.T @ wide)
    return np.sqrt(np.maximum(squares, 0.0)), vectors


def _open(forward: ForwardPass, n: int) -> tuple[Any, Any]:
    """Return the neurons that are not silent, and their gates, shape (rows, n), 0 or 1."""
    gates = forward.gates
    if not isinstance(gates, OpenGates):
        return slice(None) if gates.rows is None else gates.rows, gates.gates.T
    ones = np.ones(len(gates.samples), gates.u.dtype)
    return gates.rows, scipy.sparse.csr_array((ones, gates.samples, gates.starts),
                                              shape=(len(gates.rows), n))
