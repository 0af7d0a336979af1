"""The logistic loss, once: ``l(margin) = log(1 + exp(-margin))`` and ``-l' = sigmoid(-margin)``.

Both by ``logaddexp``, which neither overflows nor loses the digits of a sample that is nearly
fitted. NaN goes through, so that the training loop can stop on it. The symmetric network has the
same in its kernel (:mod:`simulator.networks.symmetric_relu`); a test holds the two together.
"""

import numpy as np

__all__ = ["logistic_loss", "logistic_residual"]


def logistic_loss(margins: np.ndarray) -> float:
    """Return ``mean log(1 + exp(-margin))``, summed in double precision.

    Parameters
    ----------
    margins : ndarray, shape (n,)
        ``y_n f(x_n)``.
    """
    with np.errstate(invalid="ignore"):
        return float(np.logaddexp(0.0, -margins).mean(dtype=np.float64))


def logistic_residual(margins: np.ndarray) -> np.ndarray:
    """Return ``sigmoid(-margin)``, shape and dtype of the margins: how wrong each sample is.

    It is minus the derivative of the loss of a sample by its margin: 1 where the network is
    quite wrong, 1/2 for a blind guess, near 0 where it is right.

    Parameters
    ----------
    margins : ndarray, shape (n,)
    """
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0.0, margins))
