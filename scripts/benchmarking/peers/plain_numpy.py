"""Plain NumPy: the formulas as one would write them down, every product dense."""

from typing import Any

import numpy as np

from scripts.benchmarking.peers.contract import PGD_STEPS, STEP, TINY

__all__ = ["Numpy"]


class Numpy:
    """The formulas in NumPy as one would write them down, every product dense."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.W, self.bias, self.lam, self.tau = W.copy(), bias, weight_decay, tau

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return X, y

    def margins(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return ``y f(x)``."""
        U = X @ self.W.T
        return y * (U - np.clip(U, -self.bias, self.bias)).sum(axis=1)

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        W, b = self.W, self.bias
        U = X @ W.T
        margins = y * (U - np.clip(U, -b, b)).sum(axis=1)
        residual = -y * (0.5 - 0.5 * np.tanh(0.5 * margins)) / len(X)
        squares = (W * W).sum(axis=1)
        norms = np.sqrt(squares)
        G = (np.abs(U) > b).astype(X.dtype).T @ (residual[:, None] * X)
        G += (self.lam * (1 + norms))[:, None] * W
        W -= learning_rate * G
        penalty = (squares * (0.5 + norms / 3)).sum()
        return float(np.logaddexp(0, -margins).mean() + self.lam * penalty)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        U = X @ self.W.T
        return self.clean((X + self._steepest(self._input_gradient(U, y)), y), learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        X, y = samples
        best, least = np.zeros_like(X), np.full(len(X), np.inf, X.dtype)
        delta = np.zeros_like(X)

        def offer(point: np.ndarray, margins: np.ndarray) -> None:
            better = margins < least
            least[better] = margins[better]
            best[better] = point[better]

        for step in range(PGD_STEPS):
            U = (X + delta) @ self.W.T
            offer(delta, y * (U - np.clip(U, -self.bias, self.bias)).sum(axis=1))
            ascent = self._steepest(self._input_gradient(U, y))
            if step == 0:
                offer(ascent, self.margins(X + ascent, y))
            delta = delta + STEP * ascent
            norms = np.sqrt((delta * delta).sum(axis=1))
            delta *= np.minimum(1, self.tau / np.maximum(norms, TINY))[:, None]
        offer(delta, self.margins(X + delta, y))
        return best

    def _input_gradient(self, U: np.ndarray, y: np.ndarray) -> np.ndarray:
        return y[:, None] * ((np.abs(U) > self.bias).astype(U.dtype) @ self.W)

    def _steepest(self, g: np.ndarray) -> np.ndarray:
        """``-tau g / ||g||``."""
        norms = np.sqrt(np.maximum((g * g).sum(axis=1, keepdims=True), TINY))
        return g * (-self.tau / norms)
