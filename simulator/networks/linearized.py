"""The symmetric ReLU network linearised in its weights at a checkpoint: learning on its NTK.

    f(x) = [f_t(x) +] sum_i g_i(x) <dw_i, x>,    g_i(x) = 1{|<w_i(t), x>| > b},

with trained changes dW (m, d) and frozen weights W_t, bias b. With ``f_t`` it is the *uncentred*
linearised network, without it the *centred* one (Loo, Hasani, Amini & Rus, arXiv 2210.12030).
``df/d(dw_i) = g_i(x) x``, so gradient descent on dW is learning with the kernel
``K_t(x, x') = sum_i g_i(x) g_i(x') <x, x'>``, frozen. With the loss
``mean_n log(1 + exp(-y_n f_n)) + lam ||dW||^2 / 2`` and for almost every x

    dL/d(dw_i) = sum_n (dL/df_n) g_ni x_n + lam dw_i
    df/dx      = sum_i g_i a_i,    a_i = dw_i, uncentred w_i(t) + dw_i

The true f jumps by <dw_i, x> wherever a gate opens or closes, which df/dx does not see: an attack
that follows it reports robustness that is not there. So an attack should also look through
*smoothed* gates, ``g_i = R((u_i - b)/s) + R((-u_i - b)/s)``, where R rises from 0 at -1 to 1 at 1
by the cubic (2 + 3 t - t^3)/4: the gates in expectation over pre-activation noise of compact
support. Then ``df/dx = sum_i g_i a_i + g_i'(u_i) <dw_i, x> w_i(t)``. (The shape of R is a choice of
this project; unlike the normal distribution's it leaves most gates exactly zero.)
"""

import copy

import numpy as np

from simulator.checks import require_array, require_labels, require_real, require_some
from simulator.jit import kernel
from simulator.losses import logistic_loss, logistic_residual
from simulator.networks.screening import Buffers
from simulator.networks.sparse_passes import DENSE_GATES
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric

__all__ = ["LinearizedReLU"]


class LinearizedReLU:
    """The linearised network, trained, attacked and evaluated like any other.

    Parameters
    ----------
    origin : SymmetricReLU
        The checkpoint, without smoothing; its weights are copied and never change.
    centred : bool
        Leave out f_t.
    weights : ndarray, shape (m, d), or None
        The change dW; a contiguous array of the origin's dtype is kept, not copied. None: zero.
    smoothing : float
        Half-width s of the band in which a gate rises; 0 is the true network.

    Raises
    ------
    TypeError, ValueError
        A smoothed origin, weights of another shape, a negative or NaN smoothing.
    """

    def __init__(self, origin: SymmetricReLU, centred: bool = False,
                 weights: np.ndarray | None = None, smoothing: float = 0.0) -> None:
        require_symmetric("origin", origin, "its gates are those of the kernel", plain=True)
        self.bias = origin.bias
        self.centred = bool(centred)
        self.smoothing = require_real("smoothing", smoothing, low=0.0)
        self._frozen = origin.weights.copy()
        self.weights = np.zeros_like(self._frozen) if weights is None else require_array(
            "weights", weights, self._frozen.shape, why="one change for each weight",
            dtype=self._frozen.dtype, writable=True)
        self._buffers = Buffers()

    def __repr__(self) -> str:
        m, d = self.weights.shape
        kind = "centred" if self.centred else "uncentred"
        smoothed = f", smoothing={self.smoothing:.4g}" if self.smoothing > 0.0 else ""
        return f"LinearizedReLU(m={m}, d={d}, bias={self.bias:.4g}, {kind}{smoothed})"

    @property
    def frozen_weights(self) -> np.ndarray:
        """W_t, shape (m, d); a view that cannot be written to."""
        view = self._frozen.view()
        view.flags.writeable = False
        return view

    def smoothed(self, smoothing: float) -> "LinearizedReLU":
        """Return the same network seen through smoothed gates; it shares dW."""
        network = copy.copy(self)
        network.smoothing = require_real("smoothing", smoothing, low=0.0)
        network._buffers = Buffers()
        return network

    def gates(self, X: np.ndarray) -> np.ndarray:
        """Return the gates at W_t, shape (n, m)."""
        U = self._inputs(X) @ self._frozen.T
        _replace_by_gates(U, self.bias, self.smoothing)
        return U

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return the outputs f(x), shape (n,)."""
        return self._outputs_and_gradient(self._inputs(X))[0]

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``, shape (n,): positive where the network is right."""
        return self.margins_and_gradient(X, y)[0]

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y df/dx``, shape (n, d)."""
        return self.margins_and_gradient(X, y)[1]

    def margins_and_gradient(self, X: np.ndarray,
                             y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`margins` and :meth:`margin_gradient` from one pass."""
        X = self._inputs(X)
        y = require_labels("y", y, len(X), X.dtype)
        f, slopes, _ = self._outputs_and_gradient(X)
        return y * f, y[:, None] * slopes

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return ``mean log(1 + exp(-y f)) + lam ||dW||^2 / 2`` and its gradient by dW.

        Parameters
        ----------
        X : ndarray, shape (n, d)
        y : ndarray, shape (n,)
            Labels -1 and +1.
        weight_decay : float
            lam: ridge, as the kernel's norm has it.
        rng : Generator or None
            Not used.
        """
        loss, gradient = self._data_gradient(X, y)
        lam = require_real("weight_decay", weight_decay, low=0.0)
        gradient = gradient + self.weights.dtype.type(lam) * self.weights
        return loss + self._penalty(lam), gradient

    def descend(self, gradient: np.ndarray, learning_rate: float) -> None:
        """``dW <- dW - learning_rate * gradient``, in place."""
        gradient = require_array("gradient", gradient, self.weights.shape,
                                 dtype=self.weights.dtype)
        self.weights -= self.weights.dtype.type(learning_rate) * gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """Take one step of gradient descent on that loss, in place; return the loss before."""
        loss, gradient = self._data_gradient(X, y)
        lam = require_real("weight_decay", weight_decay, low=0.0)
        loss += self._penalty(lam)
        number = self.weights.dtype.type
        gradient *= number(-learning_rate)
        self.weights *= number(1.0 - learning_rate * lam)
        self.weights += gradient
        return loss

    def _data_gradient(self, X: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the logistic loss and its gradient by dW, in a buffer."""
        X = self._inputs(X)
        require_some("X", X, "the loss is a mean")
        y = require_labels("y", y, len(X), X.dtype)
        f, _, gates = self._outputs_and_gradient(X)
        margins = y * f
        loss = logistic_loss(margins)
        residual = -y * logistic_residual(margins) / len(X)
        gradient = self._buffers.take("gradient", self.weights.shape, X.dtype)
        U = self._buffers.take("U", (len(X), len(self._frozen)), X.dtype)
        if gates:
            U *= residual[:, None]
            np.matmul(U.T, X, out=gradient)
        else:
            _weight_gradient(U, X, residual, self.bias, gradient)
        return loss, gradient

    def _penalty(self, lam: float) -> float:
        flat = self.weights.ravel()
        return 0.5 * lam * float(flat @ flat)

    def _outputs_and_gradient(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return f, shape (n,), df/dx, shape (n, d), and whether the buffer U holds the gates.

        Otherwise it holds the pre-activations ``X W_t^T``, few of which are above b.
        """
        W, b = self._frozen, self.bias
        A = self.weights if self.centred else W + self.weights
        U = np.matmul(X, W.T, out=self._buffers.take("U", (len(X), len(W)), X.dtype))
        f, slopes = np.empty(len(X), X.dtype), np.empty_like(X)
        if self.smoothing > 0.0:
            V = np.matmul(X, self.weights.T, out=self._buffers.take("V", U.shape, X.dtype))
            _smooth(U, V, b, self.smoothing, self.centred, f)
            np.matmul(U, A, out=slopes)
            slopes += V @ W
            return f, slopes, True
        if _open_gates(U, b) <= DENSE_GATES * U.size:
            _plain(U, X, A, b, self.centred, f, slopes)
            return f, slopes, False
        _to_gates(U, b, f)
        np.matmul(U, A, out=slopes)
        f *= 0.0 if self.centred else -b
        f += np.einsum("nj,nj->n", slopes, X)
        return f, slopes, True

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        d = self._frozen.shape[1]
        return require_array("X", X, (None, d), why=f"the network reads d = {d} coordinates",
                             dtype=self._frozen.dtype)


# Comparisons below are written so that NaN counts as an open gate: a NaN weight must reach
# the loss, where the training loop stops on it. At the kink itself the gate is 0.


@kernel
def _open_gates(U: np.ndarray, b: float) -> int:
    count = 0
    for row in range(len(U)):
        for u in U[row]:
            count += 0 if abs(u) <= b else 1
    return count


@kernel
def _to_gates(U: np.ndarray, b: float, signs: np.ndarray) -> None:
    """U becomes the gates; signs_n is the sum of sign(u_i) over the open ones."""
    n, m = U.shape
    zero, one = U.dtype.type(0.0), U.dtype.type(1.0)
    for row in range(n):
        total = 0
        for i in range(m):
            u = U[row, i]
            if abs(u) <= b:
                U[row, i] = zero
            else:
                total += 1 if u > zero else -1
                U[row, i] = one
        signs[row] = total


@kernel
def _plain(U: np.ndarray, X: np.ndarray, A: np.ndarray, b: float, centred: bool, f: np.ndarray,
           slopes: np.ndarray) -> None:
    """f_n and ``sum_i g_i a_i``; ``f = <slope, x>``, uncentred less b for each open gate's sign."""
    n, m = U.shape
    d = X.shape[1]
    for row in range(n):
        slope, x = slopes[row], X[row]
        slope[:] = 0.0
        signs = 0
        for i in range(m):
            u = U[row, i]
            if not abs(u) <= b:
                signs += 1 if u > 0.0 else -1
                a = A[i]
                for j in range(d):
                    slope[j] += a[j]
        total = 0.0
        for j in range(d):
            total += slope[j] * x[j]
        f[row] = total if centred else total - b * signs


@kernel
def _rise(t: float) -> tuple[float, float, float]:
    """R(t), its derivative and its integral from -1: a step, spread over [-1, 1]."""
    if t <= -1.0:
        return 0.0, 0.0, 0.0
    if t >= 1.0:
        return 1.0, 0.0, t
    square = t * t
    return (0.25 * (2.0 + 3.0 * t - t * square), 0.75 * (1.0 - square),
            0.1875 + 0.5 * t + 0.375 * square - 0.0625 * square * square)


@kernel
def _smooth_gate(u: float, b: float, s: float) -> tuple[float, float, float]:
    """``dS/du``, its derivative, and S itself, the soft threshold with smoothed kinks."""
    if s <= b:  # one kink at a time
        gate, bend, area = _rise((abs(u) - b) / s)
        return (gate, bend / s, s * area) if u > 0.0 else (gate, -bend / s, -s * area)
    up, bend_up, area_up = _rise((u - b) / s)
    down, bend_down, area_down = _rise((-u - b) / s)
    return up + down, (bend_up - bend_down) / s, s * (area_up - area_down)


@kernel
def _smooth(U: np.ndarray, V: np.ndarray, b: float, s: float, centred: bool, f: np.ndarray) -> None:
    """f_n from u and v = <dw_i, x>; U becomes the gates g_i, V their bends g_i' v_i."""
    n, m = U.shape
    for row in range(n):
        total = 0.0
        for i in range(m):
            u, v = float(U[row, i]), float(V[row, i])
            gate, bend, output = 0.0, 0.0, 0.0
            if not abs(u) <= b - s:
                gate, bend, output = _smooth_gate(u, b, s)
            total += gate * v if centred else gate * v + output
            U[row, i] = gate
            V[row, i] = bend * v
        f[row] = total


@kernel
def _replace_by_gates(U: np.ndarray, b: float, s: float) -> None:
    n, m = U.shape
    for row in range(n):
        for i in range(m):
            u = float(U[row, i])
            if s > 0.0:
                U[row, i] = _smooth_gate(u, b, s)[0]
            else:
                U[row, i] = 0.0 if abs(u) <= b else 1.0


@kernel
def _weight_gradient(U: np.ndarray, X: np.ndarray, residual: np.ndarray, b: float,
                     G: np.ndarray) -> None:
    """``sum_n residual_n g_ni x_n``."""
    n, m = U.shape
    d = X.shape[1]
    G[:] = 0.0
    for row in range(n):
        x, scale = X[row], residual[row]
        for i in range(m):
            if not abs(U[row, i]) <= b:
                g = G[i]
                for j in range(d):
                    g[j] += scale * x[j]
