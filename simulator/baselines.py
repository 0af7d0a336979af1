"""Low-complexity models to hold against the network: the linear classifier.

A linear classifier ``f(x) = <w, x>`` has a closed-form robust accuracy: the worst perturbation
of radius tau lowers every margin by ``tau ||w||_*`` (dual norm), so a sample stays right iff
``y <w, x> > tau ||w||_*``.
"""

from typing import Any

import numpy as np

from simulator.checks import require_array, require_labels, require_real
from simulator.protocols import Ball

__all__ = ["LinearClassifier"]


class LinearClassifier:
    """``f(x) = <w, x>``, trained or attacked like any network.

    Parameters
    ----------
    weights : ndarray, shape (d,)
        Copied, because training changes them. For sparse-coding data with ``|w*_j| = 1`` the
        natural choice is ``w = M w*``: all features are exchangeable and the robust risk is
        convex, so its minimiser may be taken symmetric.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = require_array("weights", weights, (None,)).copy()

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y <w, x>``, shape (n,)."""
        X = self._inputs(X)
        return require_labels("y", y, len(X), X.dtype) * (X @ self.weights)

    def margin_gradient(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y w`` for each sample, shape (n, d)."""
        X = self._inputs(X)
        return require_labels("y", y, len(X), X.dtype)[:, None] * self.weights

    def loss_gradient(self, X: np.ndarray, y: np.ndarray, weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> tuple[float, np.ndarray]:
        """Return ``mean log(1 + exp(-y f)) + lam ||w||^2 / 2`` and its gradient, shape (d,)."""
        require_real("weight_decay", weight_decay, low=0.0)
        X = self._inputs(X)
        if len(X) == 0:
            raise ValueError("X: expected at least one sample, got none: the loss is a mean")
        margins = self.margins(X, y)
        loss = float(np.logaddexp(0.0, -margins).mean())
        wrong = np.exp(-np.logaddexp(0.0, margins))
        gradient = -(X.T @ (wrong * np.asarray(y, X.dtype))) / len(X)
        penalty = 0.5 * weight_decay * float(self.weights @ self.weights)
        return loss + penalty, gradient + weight_decay * self.weights

    def descend(self, gradient: np.ndarray, learning_rate: float) -> None:
        """``w <- w - learning_rate * gradient``, in place."""
        gradient = require_array("gradient", gradient, self.weights.shape,
                                 dtype=self.weights.dtype)
        self.weights -= learning_rate * gradient

    def gradient_step(self, X: np.ndarray, y: np.ndarray, learning_rate: float,
                      weight_decay: float = 0.0,
                      rng: np.random.Generator | None = None) -> float:
        """Descend once; return the loss before."""
        loss, gradient = self.loss_gradient(X, y, weight_decay)
        self.descend(gradient, learning_rate)
        return loss

    def robust_accuracy(self, X: np.ndarray, y: np.ndarray, ball: Ball) -> float:
        """Exact accuracy under the worst perturbation of the ball."""
        return float(np.mean(self.critical_radii(X, y, ball) > ball.radius))

    def critical_radii(self, X: np.ndarray, y: np.ndarray, ball: Any) -> np.ndarray:
        """Exact distance of each sample to the decision boundary, shape (n,).

        In the norm of ``ball`` (its radius is not used); not positive where the classifier
        is already wrong. The median is the exact r50.
        """
        return self.margins(X, y) / ball.dual_norm(self.weights[None])[0]

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        d = len(self.weights)
        return require_array("X", X, (None, d), why=f"the classifier reads d = {d} coordinates",
                             dtype=self.weights.dtype)
