"""The symmetric two-layer ReLU network of Allen-Zhu & Li (arXiv 2005.10190).

    f(x) = sum_i [ relu(u_i - b + rho_i) - relu(-u_i - b + rho_i) ],    u = W x,

with trained hidden weights W (m, d), output weights 1 and one shared bias b >= 0. Without
pre-activation noise rho this is ``sum_i S_b(u_i)``, S_b the soft threshold. The paper smooths
with ``rho_i ~ N(0, s^2)``, whose expectation is closed form:
``E relu(t + rho) = t Phi(t/s) + s phi(t/s)``, with derivative ``Phi(t/s)``.

Gradients, with the gate ``g_ni = df/du_ni`` and the loss
``mean_n log(1 + exp(-y_n f_n)) + lam sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)``:

    dL/df_n = -y_n sigmoid(-y_n f_n) / n
    dL/dw_i = sum_n (dL/df_n) g_ni x_n + lam (1 + ||w_i||) w_i
    df/dx   = sum_i g_i w_i

Matrix products go to BLAS; gates, losses and reductions are the kernels at the end. Those of the
plain network's forward pass, input gradient and training step go through
:mod:`simulator.networks.sparse_passes`, which leaves out what is provably zero;
:meth:`SymmetricReLU.loss_gradient` is the dense reference.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import require_array, require_int, require_labels, require_real, require_some
from simulator.jit import kernel
from simulator.networks.neurons import lengths
from simulator.networks.onnx import read_symmetric, symmetric_model
from simulator.networks.sparse_passes import SparsePasses
from simulator.protocols import Passes
from simulator.randomness import Rng, require_generator

__all__ = ["SymmetricReLU", "require_symmetric", "soft_threshold"]

DRAWN = 1 << 22  # weights drawn together, in float64 whatever they are kept in
ROOT_HALF = math.sqrt(0.5)
NORMAL_PEAK = 1.0 / math.sqrt(2.0 * math.pi)  # of the normal density, phi(0)


class SymmetricReLU:
    """Two-layer symmetric ReLU network.

    Parameters
    ----------
    weights : ndarray, shape (m, d)
        Hidden weights W, float32 or float64. A contiguous array is kept, not copied: training
        changes it in place. (A read-only one is copied.)
    bias : float
        Shared threshold b, at least 0.
    smoothing : float
        Standard deviation s of the pre-activation noise; 0 is the plain network.
    sampled_smoothing : bool
        Draw the noise anew in every training step instead of taking its expectation.
        Margins, input gradients and so every attack always see the expectation: an attack
        on one draw of the noise would be fooled by it.
    screening : bool
        Leave out neurons that are proved to have no open gate (nothing but rounding changes).
    passes : Passes or None
        How the plain network computes. None: :class:`~simulator.networks.sparse_passes.
        SparsePasses`, with or without screening. A copy has passes of its own.

    Raises
    ------
    TypeError, ValueError
        Weights that are no float matrix, a negative or NaN bias or smoothing.
    """

    def __init__(self, weights: np.ndarray, bias: float, smoothing: float = 0.0,
                 sampled_smoothing: bool = False, screening: bool = True,
                 passes: Passes[Any] | None = None) -> None:
        self._weights = require_array("weights", weights, (None, None), why="one row a neuron",
                                      writable=True)
        self._inner: np.ndarray | None = None  # the same memory, while it is held
        self._holding = False
        self._norms: np.ndarray | None = None
        self.bias = require_real("bias", bias, low=0.0)
        self.smoothing = require_real("smoothing", smoothing, low=0.0)
        self.sampled_smoothing = sampled_smoothing
        self.screening = screening
        self.passes: Passes[Any] = SparsePasses(screening) if passes is None else passes

    @classmethod
    def initialise(cls, m: int, d: int, scale: float = 0.01, rng: Rng = 0,
                   bias: float = 0.0, smoothing: float = 0.0, sampled_smoothing: bool = False,
                   dtype: DTypeLike = np.float64) -> "SymmetricReLU":
        """Draw ``w_i ~ N(0, scale^2 I)``; float32 weights are the rounded float64 ones.

        Parameters
        ----------
        m, d : int
            Neurons and coordinates of an input.
        scale : float
            sigma_0, the standard deviation of a weight; the default is that of the presets.
        rng : int or Generator
            A seed, or the generator to draw from.
        bias, smoothing, sampled_smoothing
            As above.
        dtype : float64 or float32
            Of the weights.
        """
        require_int("m", m, low=1)
        require_int("d", d, low=1)
        require_real("scale", scale, low=0.0)
        rng = require_generator("rng", rng)
        weights = np.empty((m, d), dtype)
        rows = max(1, DRAWN // d)
        for first in range(0, m, rows):  # one after the other they are the same numbers
            block = weights[first:first + rows]
            block[...] = scale * rng.standard_normal(block.shape)
        return cls(weights, bias, smoothing, sampled_smoothing)

    @classmethod
    def from_onnx(cls, path: Path | str) -> "SymmetricReLU":
        """Read a network from an ONNX file, of :meth:`to_onnx` or of another tool.

        Parameters
        ----------
        path : path
            Two affine layers with a ReLU between them. The hidden units come in pairs (w, -b) and
            (-w, -b) with output weights 1 and -1, in any order; b >= 0 is shared by all, and the
            one output has no bias.

        Raises
        ------
        ValueError
            Not such a network, or not an ONNX file that can be read.
        ImportError
            The package onnx is not installed: it comes with the extra "export".
        """
        return cls(*read_symmetric(path))

    def to_onnx(self, path: Path | str, dtype: str = "float32") -> None:
        """Write the network as ONNX: Gemm, Relu, Gemm with 2 m units.

        Parameters
        ----------
        path : path
            A file that is there is replaced.
        dtype : "float32" or "float64"
            Of its numbers. float32 is read by most tools and rounds; float64 is exact.

        Raises
        ------
        ValueError
            A smoothed network (it has no such form), or numbers that the type does not hold.
        ImportError
            The package onnx is not installed: it comes with the extra "export".
        """
        Path(path).write_bytes(self.onnx_content(dtype))

    def onnx_content(self, dtype: str = "float32") -> bytes:
        """Return what :meth:`to_onnx` writes."""
        plain = require_symmetric("network", self, "its smoothed gates are no ReLU", plain=True)
        return symmetric_model(plain.weights, plain.bias, dtype)

    def __repr__(self) -> str:
        m, d = self._weights.shape
        smoothed = f", smoothing={self.smoothing:.4g}" if self.smoothing > 0.0 else ""
        return f"SymmetricReLU(m={m}, d={d}, bias={self.bias:.4g}{smoothed})"

    @property
    def weights(self) -> np.ndarray:
        """W, shape (m, d): the very array that training changes in place."""
        self._release()  # whoever reads them may change them
        return self._weights

    @weights.setter
    def weights(self, weights: np.ndarray) -> None:
        """Take other weights, shape (m, d)."""
        self._release()
        self._norms = None
        self._weights = require_array("weights", weights, (None, None), why="one row a neuron",
                                      writable=True)

    @property
    def norms(self) -> np.ndarray:
        """``||w_i||``, shape (m,), as training knows them: a neuron without an open gate shrinks
        by weight decay alone, and its length by the same recursion.
        """
        if self._inner is not None:
            found = self._keeping().norms()
        else:
            found = self._norms = lengths(self._weights, self._norms)
        return found.copy()

    @norms.setter
    def norms(self, norms: np.ndarray) -> None:
        """Go on with the lengths that an earlier training knew; those of other weights count not.
        """
        self._release()
        self._norms = require_array("norms", norms, (self.neurons,), why="one length a neuron",
                                    dtype=np.dtype(np.float64))

    def snapshot(self) -> np.ndarray:
        """Return a copy of the weights; a training goes on as if nobody had looked.

        With :attr:`norms` it is all that a checkpoint needs to go on with the same bits.
        """
        if self._inner is not None:
            self._keeping().catch_up()
        return self._weights.copy()

    @contextmanager
    def held(self) -> Iterator[None]:
        """While the block lasts only :meth:`gradient_step` changes the weights.

        What one pass finds out about them serves the next, and silent neurons are neither read nor
        written. Reading ``weights`` in the block is allowed, and costs one pass over them; an array
        read earlier cannot be written to (ValueError), and may be behind.
        """
        before, self._holding = self._holding, True
        try:
            yield
        finally:
            self._holding = before
            if not before:
                self._release()

    def _release(self) -> None:
        """Let the weights be read and written again."""
        if self._inner is not None:
            self._norms = self._keeping().release()
            self._weights.flags.writeable = True
            self._inner = None

    def _keeping(self) -> Any:
        """The passes, where they have `SparsePasses.hold` and what belongs to it."""
        return self.passes

    def _own(self) -> np.ndarray:
        """The weights for the passes."""
        if not self._holding or not hasattr(self.passes, "hold"):
            return self._weights
        if self._inner is None:
            self._inner = self._weights.view()
            self._weights.flags.writeable = False
            self._keeping().hold(self._norms)
        return self._inner

    @property
    def neurons(self) -> int:
        """m, the number of hidden neurons."""
        return self._weights.shape[0]

    def copy(self) -> "SymmetricReLU":
        """Return a network with weights of its own."""
        return SymmetricReLU(self.snapshot(), self.bias, self.smoothing,
                             self.sampled_smoothing, self.screening)

    def pre_activations(self, X: np.ndarray) -> np.ndarray:
        """Return ``U = X W^T``, shape (n, m)."""
        return self._inputs(X) @ self.weights.T

    def forward(self, X: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """Return the outputs f(x), shape (n,).

        Parameters
        ----------
        X : ndarray, shape (n, d)
        noise : ndarray, shape (n, m), or None
            Given pre-activation noise rho. Without it, the expectation over the smoothing
            noise (the plain network where smoothing is 0).
        """
        X = self._inputs(X)
        if self._is_plain(noise):
            return self.passes.forward(self._own(), self.bias, X).f
        return self._outputs(X @ self.weights.T, noise)

    def gates(self, X: np.ndarray, noise: np.ndarray | None = None) -> np.ndarray:
        """Return ``df/du``, shape (n, m): 1 where |u| > b in the plain network, else 0."""
        U = self.pre_activations(X)
        self._replace_by_gates(U, np.ones(len(U), U.dtype), noise)
        return U

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``, shape (n,): positive where the network is right."""
        f = self.forward(X)
        return f * require_labels("y", y, len(f), f.dtype)

    def margin_gradient(self, X: np.ndarray, y: np.ndarray,
                        noise: np.ndarray | None = None) -> np.ndarray:
        """Return ``y df/dx``, shape (n, d)."""
        X = self._inputs(X)
        y = require_labels("y", y, len(X), X.dtype)
        if self._is_plain(noise):
            forward = self.passes.forward(self._own(), self.bias, X)
            return self.passes.input_gradient(forward, y)
        U = X @ self.weights.T
        self._replace_by_gates(U, y, noise)
        return U @ self.weights

    def margins_and_gradient(self, X: np.ndarray,
                             y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`margins` and :meth:`margin_gradient` from one forward pass."""
        if not self._is_plain(None):
            return self.margins(X, y), self.margin_gradient(X, y)
        X = self._inputs(X)
        y = require_labels("y", y, len(X), X.dtype)
        forward = self.passes.forward(self._own(), self.bias, X)
        return y * forward.f, self.passes.input_gradient(forward, y)

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None,
                      noise: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Return the regularised logistic loss and its gradient by W.

        Parameters
        ----------
        X : ndarray, shape (n, d)
        y : ndarray, shape (n,)
            Labels -1 and +1.
        weight_decay : float
            lam, the factor of ``sum_i (||w_i||^2 / 2 + ||w_i||^3 / 3)``.
        rng : Generator or None
            Draws the smoothing noise if ``sampled_smoothing`` is on.
        noise : ndarray, shape (n, m), or None
            Given noise instead.

        Returns
        -------
        loss : float
            NaN or infinite if the weights are: a kernel never hides divergence.
        gradient : ndarray, shape (m, d)
        """
        X, y = self._samples(X, y)
        require_real("weight_decay", weight_decay, low=0.0)
        U = X @ self.weights.T
        if noise is None and self.sampled_smoothing and self.smoothing > 0.0:
            if rng is None:
                raise ValueError("rng: expected a generator, got None: smoothing is sampled")
            noise = rng.standard_normal(U.shape, dtype=U.dtype) * U.dtype.type(self.smoothing)
        residual = np.empty_like(y)
        loss = _logistic_loss(self._outputs(U, noise), y, residual)
        self._replace_by_gates(U, residual, noise)
        gradient = U.T @ X
        return loss + _add_weight_decay(self.weights, weight_decay, gradient), gradient

    def descend(self, gradient: np.ndarray, learning_rate: float) -> None:
        """``W <- W - learning_rate * gradient``, in place."""
        gradient = require_array("gradient", gradient, self.weights.shape,
                                 dtype=self.weights.dtype)
        _descend(self.weights, gradient, learning_rate)

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """``W <- W - learning_rate dL/dW``, in place; return the loss before the step.

        The plain network computes the gradient only where it can be nonzero.
        """
        if not self._is_plain(None):
            loss, gradient = self.loss_gradient(X, y, weight_decay, rng)
            self.descend(gradient, learning_rate)
            return loss
        X, y = self._samples(X, y)
        require_real("weight_decay", weight_decay, low=0.0)
        forward = self.passes.forward(self._own(), self.bias, X)
        residual = np.empty_like(y)
        loss = _logistic_loss(forward.f, y, residual)
        penalty = float(np.sum(forward.norms**2 * (0.5 + forward.norms / 3.0)))
        gradient = self.passes.weight_gradient(forward, X, residual)
        self.passes.descend(self._own(), forward, gradient, learning_rate, weight_decay)
        return loss + weight_decay * penalty

    def _is_plain(self, noise: np.ndarray | None) -> bool:
        return noise is None and self.smoothing == 0.0

    def _samples(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        X = self._inputs(X)
        require_some("X", X, "the loss is a mean")
        return X, require_labels("y", y, len(X), X.dtype)

    def _outputs(self, U: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        """Return f for pre-activations U, dense."""
        f = np.empty(len(U), U.dtype)
        if noise is not None:
            _noisy_outputs(U, self._noise(noise, U.shape), self.bias, f)
        elif self.smoothing > 0.0:
            _smooth_outputs(U, self.bias, self.smoothing, f)
        else:
            _outputs(U, self.bias, f)
        return f

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        d = self._weights.shape[1]
        return require_array("X", X, (None, d), why=f"the network reads d = {d} coordinates",
                             dtype=self._weights.dtype)

    def _noise(self, noise: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return require_array("noise", noise, shape, why="one draw per sample and neuron",
                             dtype=self.weights.dtype)

    def _replace_by_gates(self, U: np.ndarray, scale: np.ndarray,
                          noise: np.ndarray | None) -> None:
        """Overwrite U with ``scale_n g_ni``."""
        if noise is not None:
            _noisy_gates(U, self._noise(noise, U.shape), self.bias, scale)
        elif self.smoothing > 0.0:
            _smooth_gates(U, self.bias, self.smoothing, scale)
        else:
            _gates(U, self.bias, scale)


def soft_threshold(U: np.ndarray, b: float) -> np.ndarray:
    """Return ``S_b(u) = sign(u) max(|u| - b, 0)``, in the shape of U: one neuron's output.

    Parameters
    ----------
    U : ndarray
        Pre-activations ``<w_i, x_n>``.
    b : float
        Shared bias, at least 0.
    """
    return np.sign(U) * np.maximum(np.abs(U) - b, 0.0)


def require_symmetric(name: str, network: Any, why: str = "", plain: bool = False) -> SymmetricReLU:
    """Return ``network`` if it is a SymmetricReLU, or raise TypeError / ValueError.

    Parameters
    ----------
    name : str
        What the caller calls it.
    network : SymmetricReLU
    why : str
        What only the symmetric network has.
    plain : bool
        Also refuse smoothed gates.
    """
    if not isinstance(network, SymmetricReLU):
        got = f"the class {network.__name__}" if isinstance(network, type) else (
            type(network).__name__)
        raise TypeError(f"{name}: expected a SymmetricReLU, got {got}"
                        + (f": {why}" if why else ""))
    if plain and network.smoothing > 0.0:
        raise ValueError(f"{name}: expected no smoothing, got {network.smoothing:g}"
                         + (f": {why}" if why else ""))
    return network


# Comparisons below are written so that NaN counts as an open gate: a NaN weight must reach
# the loss, where the training loop stops on it. At the kink itself the gate is 0.


@kernel
def _outputs(U: np.ndarray, b: float, f: np.ndarray) -> None:
    n, m = U.shape
    for row in range(n):
        total = 0.0
        for i in range(m):
            u = U[row, i]
            if not abs(u) <= b:
                total += u - b if u > 0.0 else u + b
        f[row] = total


@kernel
def _gates(U: np.ndarray, b: float, scale: np.ndarray) -> None:
    n, m = U.shape
    zero = U.dtype.type(0.0)
    for row in range(n):
        open_gate = scale[row]
        for i in range(m):
            U[row, i] = zero if abs(U[row, i]) <= b else open_gate


@kernel
def _normal_cdf(t: float) -> float:
    return 0.5 * math.erfc(-t * ROOT_HALF)


@kernel
def _smoothed_relu(t: float, s: float) -> float:
    """``E relu(t + rho)`` for rho ~ N(0, s^2)."""
    a = t / s
    return t * _normal_cdf(a) + s * NORMAL_PEAK * math.exp(-0.5 * a * a)


@kernel
def _smooth_outputs(U: np.ndarray, b: float, s: float, f: np.ndarray) -> None:
    n, m = U.shape
    for row in range(n):
        total = 0.0
        for i in range(m):
            u = float(U[row, i])
            total += _smoothed_relu(u - b, s) - _smoothed_relu(-u - b, s)
        f[row] = total


@kernel
def _smooth_gates(U: np.ndarray, b: float, s: float, scale: np.ndarray) -> None:
    n, m = U.shape
    for row in range(n):
        for i in range(m):
            u = float(U[row, i])
            U[row, i] = scale[row] * (_normal_cdf((u - b) / s) + _normal_cdf((-u - b) / s))


@kernel
def _noisy_outputs(U: np.ndarray, R: np.ndarray, b: float, f: np.ndarray) -> None:
    n, m = U.shape
    for row in range(n):
        total = 0.0
        for i in range(m):
            up = U[row, i] + R[row, i] - b
            down = R[row, i] - U[row, i] - b
            if not up <= 0.0:
                total += up
            if not down <= 0.0:
                total -= down
        f[row] = total


@kernel
def _noisy_gates(U: np.ndarray, R: np.ndarray, b: float, scale: np.ndarray) -> None:
    n, m = U.shape
    for row in range(n):
        for i in range(m):
            up = U[row, i] + R[row, i] - b
            down = R[row, i] - U[row, i] - b
            U[row, i] = scale[row] * ((0.0 if up <= 0.0 else 1.0) + (0.0 if down <= 0.0 else 1.0))


@kernel
def _logistic_loss(f: np.ndarray, y: np.ndarray, residual: np.ndarray) -> float:
    """Return ``mean log(1 + exp(-y f))``; residual receives dL/df = -y sigmoid(-y f) / n."""
    n = len(f)
    total = 0.0
    for row in range(n):
        margin = float(y[row] * f[row])
        if margin > 0.0:
            tail = math.exp(-margin)
            total += math.log1p(tail)
            wrong = tail / (1.0 + tail)
        else:  # also taken by NaN, which then spreads
            tail = math.exp(margin)
            total += math.log1p(tail) - margin
            wrong = 1.0 / (1.0 + tail)
        residual[row] = -y[row] * wrong / n
    return total / n


@kernel
def _add_weight_decay(W: np.ndarray, lam: float, G: np.ndarray) -> float:
    """Add ``lam (1 + ||w_i||) w_i`` to G; return ``lam sum_i (||w_i||^2/2 + ||w_i||^3/3)``."""
    m, d = W.shape
    penalty = 0.0
    for i in range(m):
        square = 0.0
        for j in range(d):
            square += W[i, j] * W[i, j]
        norm = math.sqrt(square)
        penalty += square * (0.5 + norm / 3.0)
        factor = W.dtype.type(lam * (1.0 + norm))
        for j in range(d):
            G[i, j] += factor * W[i, j]
    return lam * penalty


@kernel
def _descend(W: np.ndarray, G: np.ndarray, eta: float) -> None:
    m, d = W.shape
    rate = W.dtype.type(eta)
    for i in range(m):
        for j in range(d):
            W[i, j] -= rate * G[i, j]
