"""The patch network of Li & Li (arXiv 2410.08503): one neuron reads every patch.

    F_i(X) = sum_r sum_p sigma(<w_ir, X[p]>),    i in [K], r in [m],

    sigma(z) = 0 | z^q / (q rho^(q-1)) | z - (1 - 1/q) rho    for z <= 0 | in [0, rho] | >= rho,
    sigma'(z) = (clip(z, 0, rho) / rho)^(q-1),

trained by softmax cross-entropy. With ``s = softmax(F)``,

    dL/dw_ir  = (1/n) sum_n (s_i - 1{y=i}) sum_p sigma'(<w_ir, X_n[p]>) X_n[p]
    dF_i/dX[p] = sum_r sigma'(<w_ir, X[p]>) w_ir.

The margin is ``F_y - max_{i != y} F_i``. The softmax saturates early, and a loss gradient would
then be zero to rounding; an attack direction is the gradient of ``F_y - log sum_{i != y} exp F_i``
instead, a softmax over the wrong classes alone, which never vanishes with the loss. For two classes
it is the gradient of the margin itself.

The network sees a patch only through ``<w_ir, X[p]>``: perturbations outside the span of the
weights do nothing. :meth:`SmoothedReLUCNN.in_span` gives the same network in coordinates of that
span, where a pass costs n P (K m)^2 instead of n P d K m.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import require_array, require_int, require_real, require_some
from simulator.jit import kernel
from simulator.networks.onnx import PatchWeights, patch_model, read_patches
from simulator.randomness import Rng, require_generator

__all__ = ["SmoothedReLUCNN", "Span", "require_classes", "smoothed_relu", "smoothed_relu_slope"]


class SmoothedReLUCNN:
    """Two-layer convolutional network with smoothed ReLU, one filter a neuron.

    Parameters
    ----------
    weights : ndarray, shape (K, m, d)
        W, float32 or float64. A contiguous array is kept, not copied: training changes it in
        place.
    q : int
        Exponent of the activation near zero, at least 2 (the theory takes q >= 3).
    rho : float
        Where the activation becomes linear, above 0.

    Raises
    ------
    TypeError, ValueError
        Weights of another shape, fewer than two classes, q < 2 or rho <= 0.
    """

    def __init__(self, weights: np.ndarray, q: int = 3, rho: float = 2.0) -> None:
        self.weights = require_array("weights", weights, (None, None, None),
                                     why="classes, neurons, dimension of a patch",
                                     writable=True)
        require_int("classes", len(self.weights), low=2, why="one class needs no classifier")
        self.q = require_int("q", q, low=2, why="sigma' is continuous only then")
        self.rho = require_real("rho", rho, low=0.0, open_low=True)

    @classmethod
    def initialise(cls, classes: int = 2, m: int = 16, d: int = 100, scale: float = 0.01,
                   q: int = 3, rho: float = 2.0, rng: Rng = 0,
                   dtype: DTypeLike = np.float64) -> "SmoothedReLUCNN":
        """Draw ``w_ir ~ N(0, scale^2 I)``; float32 weights are the rounded float64 ones.

        Parameters
        ----------
        classes, m, d : int
            Classes, neurons of each, coordinates of a patch; defaults are those of the preset
            desk.
        scale : float
            sigma_0, the standard deviation of a weight.
        q, rho
            As above.
        rng : int or Generator
            A seed, or the generator to draw from.
        dtype : float64 or float32
            Of the weights.
        """
        for name, value in (("classes", classes), ("m", m), ("d", d)):
            require_int(name, value, low=1)
        require_real("scale", scale, low=0.0)
        normals = require_generator("rng", rng).standard_normal((classes, m, d))
        return cls((scale * normals).astype(dtype), q, rho)

    @classmethod
    def from_onnx(cls, path: Path | str) -> "SmoothedReLUCNN":
        """Read a network that :meth:`to_onnx` wrote.

        Parameters
        ----------
        path : path

        Raises
        ------
        ValueError
            Another network, or not an ONNX file that can be read.
        ImportError
            The package onnx is not installed: it comes with the extra "export".
        """
        return cls(*read_patches(path))

    def to_onnx(self, path: Path | str, patches: int, dtype: str = "float32") -> None:
        """Write the network as ONNX; the activation is made of Clip, Pow and Relu.

        Parameters
        ----------
        path : path
            A file that is there is replaced.
        patches : int
            P, the patches of an input: a file has it fixed.
        dtype : "float32" or "float64"
            Of its numbers. float32 is read by most tools and rounds; float64 is exact.

        Raises
        ------
        ValueError
            Numbers that the type does not hold.
        ImportError
            The package onnx is not installed: it comes with the extra "export".
        """
        Path(path).write_bytes(self.onnx_content(patches, dtype))

    def onnx_content(self, patches: int, dtype: str = "float32") -> bytes:
        """Return what :meth:`to_onnx` writes."""
        return patch_model(PatchWeights(self.weights, self.q, self.rho), patches, dtype)

    def __repr__(self) -> str:
        K, m, d = self.weights.shape
        return f"SmoothedReLUCNN(classes={K}, m={m}, d={d}, q={self.q}, rho={self.rho:.4g})"

    @property
    def classes(self) -> int:
        """K."""
        return self.weights.shape[0]

    @property
    def neurons(self) -> int:
        """m, the neurons of each class."""
        return self.weights.shape[1]

    def copy(self) -> "SmoothedReLUCNN":
        """Return a network with weights of its own."""
        return SmoothedReLUCNN(self.weights.copy(), self.q, self.rho)

    def patch_outputs(self, X: np.ndarray) -> np.ndarray:
        """Return what each patch adds to each output, shape (n, P, K): F is its sum over p."""
        return self._activated(self._inputs(X), slopes=False)[0]

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs F(X), shape (n, K)."""
        return self.patch_outputs(X).sum(axis=1)

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``F_y - max_{i != y} F_i``, shape (n,): positive where the network is right."""
        F = self.forward(X)
        return _margins(F, require_classes("y", y, len(F), self.classes))

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the gradient of ``F_y - log sum_{i != y} exp F_i`` by X, shape (n, P, d)."""
        return self.margins_and_gradient(X, y)[1]

    def margins_and_gradient(self, X: np.ndarray,
                             y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`margins` and :meth:`margin_gradient` from one forward pass."""
        X = self._inputs(X)
        y = require_classes("y", y, len(X), self.classes)
        A, slopes = self._activated(X, slopes=True)
        F = A.sum(axis=1)
        return _margins(F, y), self._backward(slopes, _against_wrong(F, y))

    def patch_outputs_and_gradient(self, X: np.ndarray,
                                   scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`patch_outputs` and the gradient of ``sum_i scale_ni F_i``.

        Parameters
        ----------
        X : ndarray, shape (n, P, d)
        scale : ndarray, shape (n, K)

        Returns
        -------
        outputs : ndarray, shape (n, P, K)
        gradient : ndarray, shape (n, P, d)
        """
        X = self._inputs(X)
        scale = require_array("scale", scale, (len(X), self.classes),
                              why="one factor a sample and class", dtype=X.dtype)
        A, slopes = self._activated(X, slopes=True)
        return A, self._backward(slopes, scale)

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return the mean cross-entropy plus ``weight_decay ||W||^2 / 2``, and its gradient.

        Parameters
        ----------
        X : ndarray, shape (n, P, d)
        y : ndarray, shape (n,)
            Classes 0 to K - 1.
        weight_decay : float
        rng : Generator or None
            Not used: this network draws no noise.

        Returns
        -------
        loss : float
            NaN or infinite if the weights are: a kernel never hides divergence.
        gradient : ndarray, shape (K, m, d)
        """
        X = self._inputs(X)
        require_some("X", X, "the loss is a mean")
        y = require_classes("y", y, len(X), self.classes)
        require_real("weight_decay", weight_decay, low=0.0)
        A, slopes = self._activated(X, slopes=True)
        loss, residual = _cross_entropy(A.sum(axis=1), y)
        _scale(slopes, residual / len(X))
        rows = X.reshape(-1, X.shape[2])
        gradient = (slopes.reshape(len(rows), -1).T @ rows).reshape(self.weights.shape)
        if weight_decay:
            loss += 0.5 * weight_decay * float(np.sum(self.weights * self.weights))
            gradient += self.weights.dtype.type(weight_decay) * self.weights
        return loss, gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """``W <- W - learning_rate dL/dW``, in place; return the loss before the step."""
        loss, gradient = self.loss_gradient(X, y, weight_decay)
        self.weights -= self.weights.dtype.type(learning_rate) * gradient
        return loss

    def in_span(self) -> "Span":
        """Return the network in coordinates of the span of its weights.

        With a thin QR, ``W^T = Q R``, its weights are the rows of ``R^T``, a Cholesky factor of
        the Gram matrix ``W W^T = R^T R``. Lengths and angles within the span are kept, so a
        search of an l2 ball there is the search of the ball here.
        """
        K, m, d = self.weights.shape
        if K * m >= d:
            return Span(np.eye(d, dtype=self.weights.dtype), self)
        Q, R = np.linalg.qr(self.weights.reshape(K * m, d).T)
        inside = np.ascontiguousarray(R.T).reshape(K, m, K * m)
        return Span(np.ascontiguousarray(Q.T), SmoothedReLUCNN(inside, self.q, self.rho))

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        d = self.weights.shape[2]
        return require_array("X", X, (None, None, d), why=f"the network reads patches of R^{d}",
                             dtype=self.weights.dtype)

    def _activated(self, X: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return patch outputs (n, P, K) and, if asked for, the slopes (n, P, K, m)."""
        K, m, d = self.weights.shape
        n, P, _ = X.shape
        Z = (X.reshape(n * P, d) @ self.weights.reshape(K * m, d).T).reshape(n, P, K, m)
        A = np.empty((n, P, K), Z.dtype)
        _activate(Z, self.q, self.rho, slopes, A)
        return A, Z

    def _backward(self, slopes: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return ``sum_i scale_ni dF_i/dX``, shape (n, P, d); uses the slopes up."""
        n, P, K, m = slopes.shape
        _scale(slopes, scale)
        W = self.weights.reshape(K * m, -1)
        return (slopes.reshape(n * P, K * m) @ W).reshape(n, P, W.shape[1])


class Span(NamedTuple):
    """A network in coordinates of the span of its weights.

    Attributes
    ----------
    basis : ndarray, shape (r, d)
        Orthonormal rows that span the weights: ``X @ basis.T`` are the coordinates of X.
    network : SmoothedReLUCNN
        Reads those coordinates and gives the same outputs.
    """

    basis: np.ndarray
    network: SmoothedReLUCNN


def smoothed_relu(Z: np.ndarray, q: float, rho: float) -> np.ndarray:
    """Return ``sigma(Z)``, the activation above, in the shape of Z.

    Parameters
    ----------
    Z : ndarray
    q, rho : float
    """
    inside = np.clip(Z, 0.0, rho) / rho
    return rho / q * inside ** q + np.maximum(Z - rho, 0.0)


def smoothed_relu_slope(Z: np.ndarray, q: float, rho: float) -> np.ndarray:
    """Return ``sigma'(Z)``, between 0 and 1, in the shape of Z.

    Parameters
    ----------
    Z : ndarray
    q, rho : float
    """
    return (np.clip(Z, 0.0, rho) / rho) ** (q - 1.0)


def require_classes(name: str, value: Any, n: int, classes: int) -> np.ndarray:
    """Return labels as int64 of shape (n,) with entries 0 to classes - 1, or raise ValueError.

    Whole numbers of a float type are accepted: attacks carry labels in the type of X.
    """
    labels = require_array(name, value, (n,), why="one label per sample",
                           dtype=np.dtype(np.float64))
    if not np.isin(labels, np.arange(classes)).all():
        raise ValueError(f"{name}: expected classes 0 to {classes - 1}, got others")
    return labels.astype(np.int64)


def _margins(F: np.ndarray, y: np.ndarray) -> np.ndarray:
    rows = np.arange(len(F))
    wrong = F.copy()
    wrong[rows, y] = -np.inf
    return F[rows, y] - wrong.max(axis=1)


def _against_wrong(F: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return 1 at y and minus a softmax over the other classes, shape (n, K)."""
    rows = np.arange(len(F))
    wrong = F.copy()
    wrong[rows, y] = -np.inf
    wrong = np.exp(wrong - wrong.max(axis=1, keepdims=True))
    scale = -wrong / wrong.sum(axis=1, keepdims=True)
    scale[rows, y] = 1.0
    return scale


def _cross_entropy(F: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of ``-log s_y`` and ``s_i - 1{y=i}``, shape (n, K).

    ``s_y - 1`` is summed from the other classes: 1 - s_y would lose its digits near zero.
    """
    rows = np.arange(len(F))
    top = F.max(axis=1, keepdims=True)
    powers = np.exp(F - top)
    total = powers.sum(axis=1)
    loss = float(np.mean(np.log(total) + top[:, 0] - F[rows, y], dtype=np.float64))
    residual = powers / total[:, None]
    residual[rows, y] = 0.0
    residual[rows, y] = -residual.sum(axis=1)
    return loss, residual


# Comparisons are written so that NaN passes through: a NaN weight must reach the loss, where
# the training loop stops on it.


@kernel
def _activate(Z: np.ndarray, q: int, rho: float, slopes: bool, A: np.ndarray) -> None:
    """A_npi = sum_r sigma(Z_npir); Z becomes sigma'(Z) if the slopes are wanted."""
    n, P, K, m = Z.shape
    end = Z.dtype.type(rho)
    zero = Z.dtype.type(0.0)
    share = Z.dtype.type(1.0 / q)
    values = np.empty(m, Z.dtype)
    for row in range(n):
        for p in range(P):
            for i in range(K):
                z = Z[row, p, i]
                for r in range(m):
                    u = z[r]
                    bent = zero if u <= zero else (end if u >= end else u)
                    beyond = zero if u <= end else u - end
                    t = bent / end
                    slope = t
                    for _ in range(q - 2):
                        slope *= t
                    values[r] = share * slope * bent + beyond
                    if slopes:
                        z[r] = slope
                total = 0.0
                for r in range(m):
                    total += values[r]
                A[row, p, i] = total


@kernel
def _scale(Z: np.ndarray, scale: np.ndarray) -> None:
    """Z_npir *= scale_ni."""
    n, P, K, m = Z.shape
    for row in range(n):
        for p in range(P):
            for i in range(K):
                z = Z[row, p, i]
                factor = scale[row, i]
                for r in range(m):
                    z[r] *= factor
