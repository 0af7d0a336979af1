"""What a certificate takes: signed inputs in float64, a ball, and where an attack ended.

Every certificate reads ``t_i = y <w_i, x>``: seen from ``y x``, the margin of the symmetric
network is ``sum_i S_b(t_i + s_i)`` whatever the label, because S_b is odd.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.balls import L2Ball, LinfBall
from simulator.checks import require_array, require_finite, require_labels
from simulator.networks.symmetric_relu import SymmetricReLU, require_symmetric
from simulator.protocols import Batch

__all__ = ["SignedInputs", "require_ball", "signed_inputs", "starts"]

FLOAT = np.dtype(np.float64)


@dataclass(frozen=True)
class SignedInputs:
    """A network and samples as the bounds see them: checked, and in float64.

    Attributes
    ----------
    network : SymmetricReLU
        In float64, with the weights as they are.
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    T : ndarray, shape (n, m)
        Signed pre-activations ``y_n <w_i, x_n>``.
    clean : ndarray, shape (n,)
        Margins ``y_n f(x_n)``.
    """

    network: SymmetricReLU
    X: np.ndarray
    y: np.ndarray
    T: np.ndarray
    clean: np.ndarray

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        return f"SignedInputs(n={len(self)}, {self.network!r})"

    def __getitem__(self, rows: np.ndarray) -> "SignedInputs":
        """Return the samples of an array of row numbers."""
        return SignedInputs(self.network, self.X[rows], self.y[rows], self.T[rows],
                            self.clean[rows])


def signed_inputs(network: SymmetricReLU, batch: Batch) -> SignedInputs:
    """Check a network and a batch, and turn every sample to the side of its label.

    Parameters
    ----------
    network : SymmetricReLU
        Without smoothing.
    batch : Batch

    Raises
    ------
    TypeError
        A network of another kind, or no batch.
    ValueError
        A smoothed network, NaN or infinity, shapes that do not fit, other labels than -1, +1.
    """
    require_symmetric("network", network, plain=True,
                      why="the bounds are for the plain soft threshold")
    if not (hasattr(batch, "X") and hasattr(batch, "y")):
        raise TypeError(f"batch: expected a Batch(X, y), got {type(batch).__name__}: "
                        "samples and labels travel together")
    W = require_finite("weights", network.weights.astype(FLOAT))
    X = require_finite("X", require_array("X", batch.X, (None, W.shape[1]), dtype=FLOAT,
                                          why="the network reads that many coordinates"))
    y = require_labels("y", batch.y, len(X), FLOAT)
    plain = SymmetricReLU(W, network.bias)
    return SignedInputs(plain, X, y, y[:, None] * (X @ W.T), plain.margins(X, y))


def require_ball(threat: Any) -> L2Ball | LinfBall:
    """Return the ball of an L2Ball, a LinfBall or an adversary in one, or raise TypeError."""
    ball = getattr(threat, "ball", threat)
    if not isinstance(ball, (L2Ball, LinfBall)):
        raise TypeError("ball: expected L2Ball, LinfBall or an Adversary in one, such as "
                        f"L2Ball(0.1), got {ball!r}: no other ball has a bound")
    return ball


def starts(start: np.ndarray | None, X: np.ndarray, ball: L2Ball | LinfBall) -> np.ndarray:
    """Return perturbations to start from, shape (n, d), in the ball; None stands for zero."""
    if start is None:
        return np.zeros_like(X)
    start = require_array("start", start, X.shape, why="one perturbation per sample", dtype=FLOAT)
    return ball.project(require_finite("start", start)).copy()
