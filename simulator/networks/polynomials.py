"""Low-degree polynomial learners: all coefficients, or those that symmetry leaves.

    degree 2    f(x) = <w, x> + <a, q(x)>
    degree 3    f(x) = <w, x> + <a + T^T x, q(x)>

with the products ``q(x) = (x_j x_l c_jl)_{j <= l}``, c = 1 on the diagonal and sqrt(2) off it, so
``<q(x), q(x')> = <x, x'>^2``: gradient descent from zero is that of the kernel
``<x, x'> + <x, x'>^2 + <x, x'>^3`` and favours no basis. The coefficients are explicit, not a
kernel expansion: adversarial training sees fresh, moving samples, for which an expansion would
grow with every step, while all 48 000 of them at d = 64 cost two matrix products a pass. There is
no constant term: labels are odd in x.

The robust risk (expected worst loss over a ball) of a model that is linear in its coefficients
is convex in them, and sparse-coding data look the same after any permutation of the signed
features and after (x, y) -> (-x, -y). So some best polynomial of degree 3 is odd and symmetric,

    f(x) = c1 s + c2 s^3 + c3 s p2 + c4 p3,    s = sum_j t_j, p2 = sum_j t_j^2, p3 = sum_j t_j^3

in the signed dictionary coordinates ``t_j = w*_j <M_j, x>`` (l2 balls; l_inf too where M is the
identity), and some best polynomial of degree 2 is linear: ``c1 s``. The class
:class:`SymmetricCubic` knows M and w* and leaves training nothing to find but four numbers.
:class:`SymmetricQuadratic` has all symmetric polynomials of degree 2, ``c1 s + c2 s^2 + c3 p2``:
its even part is left free, and that training leaves it near 0 is a check of the argument. A pass of
both costs n d numbers (and, unless M is the identity, a product with it), so any d is allowed.
(A reading: derived here, for the claim of Allen-Zhu & Li, arXiv 2005.10190, on low-degree
polynomials.)
"""

import math

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import (require_array, require_int, require_labels, require_orthonormal,
                              require_real, require_some)
from simulator.jit import kernel
from simulator.losses import logistic_loss, logistic_residual

__all__ = ["Polynomial", "SymmetricCubic", "SymmetricQuadratic", "coefficients"]

ROOT_TWO = math.sqrt(2.0)  # of the products x_j x_l, j < l, so that <q(x), q(x')> = <x, x'>^2


def coefficients(d: int, degree: int) -> int:
    """Return how many coefficients :class:`Polynomial` has."""
    require_int("d", d, low=1)
    require_int("degree", degree, low=2, high=3, why="a higher one has too many coefficients")
    pairs = d * (d + 1) // 2
    return d + pairs + (d * pairs if degree == 3 else 0)


class _LinearInWeights:
    """Logistic training of a model ``f = <weights, features(x)>``, shared by both classes."""

    weights: np.ndarray
    d: int

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``, shape (n,)."""
        return self.margins_and_gradient(X, y, gradient=False)[0]

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y df/dx``, shape (n, d)."""
        return self.margins_and_gradient(X, y)[1]

    def margins_and_gradient(self, X: np.ndarray, y: np.ndarray,
                             gradient: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Return margins and their input gradient from one pass (empty if not wanted)."""
        X, y = self._samples(X, y)
        f, G = self._forward(X, gradient)
        return y * f, y[:, None] * G

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return ``mean log(1 + exp(-y f)) + lam ||weights||^2 / 2`` and its gradient."""
        require_real("weight_decay", weight_decay, low=0.0)
        X, y = self._samples(X, y)
        require_some("X", X, "the loss is a mean")
        margins = y * self._forward(X, False)[0]
        residual = -y * logistic_residual(margins) / len(X)
        gradient = self._pull_back(X, residual.astype(X.dtype))
        gradient += X.dtype.type(weight_decay) * self.weights
        square = float(self.weights @ self.weights)
        return logistic_loss(margins) + 0.5 * weight_decay * square, gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """Descend once, in place; return the loss before."""
        loss, gradient = self.loss_gradient(X, y, weight_decay)
        gradient *= self.weights.dtype.type(learning_rate)
        self.weights -= gradient
        return loss

    def _samples(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        X = require_array("X", X, (None, self.d),
                          why=f"the polynomial reads d = {self.d} coordinates",
                          dtype=self.weights.dtype)
        return X, require_labels("y", y, len(X), X.dtype)

    def _forward(self, X: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return f, shape (n,), and df/dx, shape (n, d) or, if not wanted, (n, 0)."""
        raise NotImplementedError

    def _pull_back(self, X: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Return ``sum_n residual_n features(x_n)``, shape of the weights."""
        raise NotImplementedError


class Polynomial(_LinearInWeights):
    """All polynomials of degree 2 or 3 without constant term.

    Parameters
    ----------
    d : int
        Coordinates of an input.
    degree : 2 or 3
    weights : ndarray, shape (coefficients(d, degree),), or None
        ``w`` (d), ``a`` (d (d + 1) / 2), and for degree 3 ``T`` (d, d (d + 1) / 2), one after
        the other; copied. None is zero.
    dtype : float32 or float64
        Of the weights where none are given.
    """

    def __init__(self, d: int, degree: int, weights: np.ndarray | None = None,
                 dtype: DTypeLike = np.float64) -> None:
        count = coefficients(d, degree)
        self.d, self.degree = d, degree
        self.weights = (np.zeros(count, dtype) if weights is None
                        else require_array("weights", weights, (count,)).copy())

    def __repr__(self) -> str:
        return f"Polynomial(d={self.d}, degree={self.degree})"

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Views of the weights: w, shape (d,), a, shape (pairs,), T, shape (d or 0, pairs)."""
        return self._split(self.weights)

    def _split(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pairs = self.d * (self.d + 1) // 2
        first = self.d + pairs
        return flat[:self.d], flat[self.d:first], flat[first:].reshape(-1, pairs)

    def _forward(self, X: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
        w, a, T = self.parts
        Q = _products_of(X)
        B = X @ T + a if self.degree == 3 else np.broadcast_to(a, Q.shape)
        f = X @ w + np.einsum("np,np->n", B, Q)
        if not gradient:
            return f, X[:, :0]
        G = Q @ T.T if self.degree == 3 else np.zeros_like(X)
        G += w
        _add_product_gradient(X, np.ascontiguousarray(B), G)
        return f, G

    def _pull_back(self, X: np.ndarray, residual: np.ndarray) -> np.ndarray:
        gradient = np.empty_like(self.weights)
        w, a, T = self._split(gradient)
        Q = _products_of(X)
        w[:] = X.T @ residual
        a[:] = Q.T @ residual
        if self.degree == 3:
            np.matmul((X * residual[:, None]).T, Q, out=T)
        return gradient


class _Symmetric(_LinearInWeights):
    """A polynomial in ``s``, ``p2``, ``p3``: what both symmetric classes share.

    Parameters
    ----------
    labeler : ndarray, shape (d,)
        w*, entries -1 and +1.
    dictionary : ndarray, shape (d, d), or None
        M, orthonormal; None is the identity.
    weights : ndarray, shape (count,), or None
        Copied; None is zero.
    dtype : float32 or float64
        Of the weights where none are given.
    """

    count: int

    def __init__(self, labeler: np.ndarray, dictionary: np.ndarray | None = None,
                 weights: np.ndarray | None = None, dtype: DTypeLike = np.float64) -> None:
        self.d = len(labeler)
        self.weights = (np.zeros(self.count, dtype) if weights is None
                        else require_array("weights", weights, (self.count,)).copy())
        self.signs = require_labels("labeler", labeler, self.d, self.weights.dtype)
        self.signed_features = None if dictionary is None else np.ascontiguousarray(
            require_orthonormal("dictionary", dictionary, self.d) * self.signs, self.weights.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(d={self.d})"

    def _coordinates(self, X: np.ndarray) -> np.ndarray:
        """``t_j = w*_j <M_j, x>``, shape (n, d)."""
        found: np.ndarray = (X * self.signs if self.signed_features is None
                             else X @ self.signed_features)
        return found

    def _by_inputs(self, G: np.ndarray) -> np.ndarray:
        """Turn a gradient by t into one by x, shape (n, d)."""
        found: np.ndarray = (G * self.signs if self.signed_features is None
                             else G @ self.signed_features.T)
        return found


class SymmetricCubic(_Symmetric):
    """``f = c1 s + c2 s^3 + c3 s p2 + c4 p3``: a best polynomial of degree 3 has this form.

    Made of ``labeler``, w* with entries -1 and +1, shape (d,); ``dictionary``, M, shape (d, d) and
    orthonormal, or None for the identity; ``weights``, c1 to c4, shape (4,), copied, or None for
    zero, which is then of ``dtype``, float32 or float64.
    """

    count = 4

    def _forward(self, X: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
        c1, c2, c3, c4 = self.weights
        t = self._coordinates(X)
        s, p2 = t.sum(axis=1), np.einsum("nj,nj->n", t, t)
        f = s * (c1 + c2 * s * s + c3 * p2) + c4 * np.einsum("nj,nj,nj->n", t, t, t)
        if not gradient:
            return f, X[:, :0]
        along = (c1 + 3 * c2 * s * s + c3 * p2)[:, None] + (2 * c3 * s)[:, None] * t
        return f, self._by_inputs(along + 3 * c4 * t * t)

    def _pull_back(self, X: np.ndarray, residual: np.ndarray) -> np.ndarray:
        t = self._coordinates(X)
        s, p2 = t.sum(axis=1), np.einsum("nj,nj->n", t, t)
        features = np.stack([s, s * s * s, s * p2, np.einsum("nj,nj,nj->n", t, t, t)])
        return features @ residual


class SymmetricQuadratic(_Symmetric):
    """``f = c1 s + c2 s^2 + c3 p2``: every polynomial of degree 2 as symmetric as the data.

    Made as a :class:`SymmetricCubic`, with weights c1 to c3; at a best one c2 = c3 = 0 will do.
    """

    count = 3

    def _forward(self, X: np.ndarray, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
        c1, c2, c3 = self.weights
        t = self._coordinates(X)
        s = t.sum(axis=1)
        f = s * (c1 + c2 * s) + c3 * np.einsum("nj,nj->n", t, t)
        if not gradient:
            return f, X[:, :0]
        return f, self._by_inputs((c1 + 2 * c2 * s)[:, None] + 2 * c3 * t)

    def _pull_back(self, X: np.ndarray, residual: np.ndarray) -> np.ndarray:
        t = self._coordinates(X)
        s = t.sum(axis=1)
        return np.stack([s, s * s, np.einsum("nj,nj->n", t, t)]) @ residual


def _products_of(X: np.ndarray) -> np.ndarray:
    """Return q(x) of each sample, shape (n, d (d + 1) / 2)."""
    n, d = X.shape
    Q = np.empty((n, d * (d + 1) // 2), X.dtype)
    _products(X, Q)
    return Q


@kernel
def _products(X: np.ndarray, Q: np.ndarray) -> None:
    n, d = X.shape
    root = X.dtype.type(ROOT_TWO)
    for row in range(n):
        place = 0
        for j in range(d):
            x = X[row, j]
            Q[row, place] = x * x
            scaled = root * x
            for left in range(1, d - j):
                Q[row, place + left] = scaled * X[row, j + left]
            place += d - j


@kernel
def _add_product_gradient(X: np.ndarray, B: np.ndarray, G: np.ndarray) -> None:
    """Add ``sum_p B_np dq_p/dx`` to G."""
    n, d = X.shape
    root = X.dtype.type(ROOT_TWO)
    for row in range(n):
        place = 0
        for j in range(d):
            x = root * X[row, j]
            total = root * B[row, place] * X[row, j]
            for left in range(1, d - j):
                b = B[row, place + left]
                total += b * X[row, j + left]
                G[row, j + left] += b * x
            G[row, j] += root * total
            place += d - j
