"""Low-complexity models to hold against the network: the linear classifier.

A linear classifier ``f(x) = <w, x>`` has a closed-form robust accuracy: the worst perturbation
of radius tau lowers every margin by ``tau ||w||_*`` (dual norm), so a sample stays right iff
``y <w, x> > tau ||w||_*``. For the same reason its robust logistic risk

    mean log(1 + exp(-(y <w, x> - tau ||w||_*)))

is convex and explicit: :func:`robust_linear` minimises it. Polynomials are in
:mod:`simulator.networks.polynomials`, the network's own tangent kernel in
:mod:`simulator.networks.linearized`.
"""


import numpy as np
import scipy

from simulator.balls import L2Ball, LinfBall
from simulator.checks import require_array, require_labels, require_real, require_some
from simulator.losses import logistic_loss, logistic_residual
from simulator.protocols import Batch

__all__ = ["LinearClassifier", "robust_linear"]


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

    def __repr__(self) -> str:
        return f"LinearClassifier(d={len(self.weights)})"

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
        require_some("X", X, "the loss is a mean")
        margins = self.margins(X, y)
        wrong = logistic_residual(margins)
        gradient = -(X.T @ (wrong * np.asarray(y, X.dtype))) / len(X)
        penalty = 0.5 * weight_decay * float(self.weights @ self.weights)
        return logistic_loss(margins) + penalty, gradient + weight_decay * self.weights

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

    def robust_accuracy(self, X: np.ndarray, y: np.ndarray,
                        ball: L2Ball | LinfBall) -> float:
        """Exact accuracy under the worst perturbation of the ball."""
        return float(np.mean(self.critical_radii(X, y, ball) > ball.radius))

    def critical_radii(self, X: np.ndarray, y: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
        """Exact distance of each sample to the decision boundary, shape (n,).

        In the norm of ``ball`` (its radius is not used); not positive where the classifier
        is already wrong. The median is the exact r50.
        """
        return self.margins(X, y) / ball.dual_norm(self.weights[None])[0]

    def _inputs(self, X: np.ndarray) -> np.ndarray:
        d = len(self.weights)
        return require_array("X", X, (None, d), why=f"the classifier reads d = {d} coordinates",
                             dtype=self.weights.dtype)


def robust_linear(batch: Batch, ball: L2Ball | LinfBall) -> LinearClassifier:
    """Minimise the robust logistic risk of a linear classifier, exactly, over given samples.

    Parameters
    ----------
    batch : Batch
    ball : L2Ball or LinfBall
        Radius 0 is plain logistic regression, which has a minimiser only where the samples
        are not separable.

    Returns
    -------
    LinearClassifier
        Float64. Its weights are exactly zero where that is the minimiser, which is so iff
        ``||mean y x|| <= tau`` in the norm of the ball: at that radius no linear classifier
        has a smaller robust risk than a blind guess.
    """
    X = require_array("X", batch.X, (None, None), dtype=np.dtype(np.float64))
    y = require_labels("y", batch.y, len(X), X.dtype)
    require_some("batch", X, "the risk is a mean")
    signed, d = X * y[:, None], X.shape[1]
    mean = signed.mean(axis=0)
    # zero is the minimiser iff no direction u descends from it: <mean, u> <= tau ||u||_*
    if ball.with_radius(1.0).norm(mean[None])[0] <= ball.radius:
        return LinearClassifier(np.zeros(d))
    if isinstance(ball, L2Ball):
        # zero, the only kink of the risk, is not the minimiser, and not the start
        minimum = scipy.optimize.minimize(_l2_risk, mean, (signed, ball.radius), "L-BFGS-B",
                                          jac=True, options=_PRECISE)
        return LinearClassifier(minimum.x)
    start = np.concatenate([np.maximum(mean, 0.0), np.maximum(-mean, 0.0)])
    minimum = scipy.optimize.minimize(_linf_risk, start, (signed, ball.radius), "L-BFGS-B",
                                      jac=True, bounds=[(0.0, None)] * (2 * d), options=_PRECISE)
    return LinearClassifier(minimum.x[:d] - minimum.x[d:])


_PRECISE = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-14, "gtol": 1e-9}


def _l2_risk(w: np.ndarray, signed: np.ndarray, tau: float) -> tuple[float, np.ndarray]:
    norm = float(np.linalg.norm(w))
    risk, slope, gradient = _logistic_risk(signed @ w - tau * norm, signed)
    return risk, gradient - slope * tau * w / norm if norm > 0.0 else gradient


def _linf_risk(parts: np.ndarray, signed: np.ndarray, tau: float) -> tuple[float, np.ndarray]:
    """With w = p - q and p, q >= 0, ``||w||_1 <= sum(p + q)`` is smooth, and tight at the best."""
    d = len(parts) // 2
    margins = signed @ (parts[:d] - parts[d:]) - tau * parts.sum()
    risk, slope, gradient = _logistic_risk(margins, signed)
    return risk, np.concatenate([gradient, -gradient]) - slope * tau


def _logistic_risk(margins: np.ndarray,
                   signed: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Return the risk, its derivative by a shift of all margins, and ``drisk/dw`` without it."""
    slopes = -logistic_residual(margins) / len(margins)
    return logistic_loss(margins), float(slopes.sum()), signed.T @ slopes
