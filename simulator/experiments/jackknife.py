"""95 % limits over the samples of a number that is no mean of them, such as an eigenvalue.

By the jackknife (Quenouille, Tukey; Efron 1982): how the number changes where a sample, or a group
of them, is left out tells how it would change with other samples. Limits are Student's t, on the
scale of logarithms for positive numbers. They know nothing of other seeds, nor of a bias.
"""

from collections.abc import Callable

import numpy as np
import scipy.special

from simulator.protocols import Network

__all__ = ["LossLimits", "around", "by_weights", "exact_loss", "without_each"]

LEVEL = 0.95
LOSS_GROUPS = 20  # of the samples of a batch


def without_each(value: np.ndarray, without: np.ndarray, positive: bool = True) -> np.ndarray:
    """Return limits from the values without each sample, or without each group.

    Parameters
    ----------
    value : ndarray, shape (...)
    without : ndarray, shape (groups, ...)
        Groups of equal size that share all samples among them.
    positive : bool
        False: of a share, with limits on its own scale, cut at 0 and 1.

    Returns
    -------
    ndarray, shape (2, ...)
        Low and high; NaN where a value that should be is not positive.
    """
    value, values = np.asarray(value, np.float64), np.asarray(without, np.float64)
    groups = len(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(values) if positive else values
        apart = ((values - values.mean(axis=0)) ** 2).sum(axis=0)
    error = np.sqrt((groups - 1) / groups * apart)
    if positive:
        return around(value, error, groups - 1)
    half = _quantile(groups - 1) * error
    return np.clip([value - half, value + half], 0.0, 1.0)


def by_weights(value: np.ndarray, derivatives: np.ndarray) -> np.ndarray:
    """Return limits of a positive number from the derivatives by the weights of the samples.

    Parameters
    ----------
    value : ndarray, shape (...)
    derivatives : ndarray, shape (n, ...)
        At equal weights of 1, of a number that does not change where all weights grow alike.

    Returns
    -------
    ndarray, shape (2, ...)
    """
    value, n = np.asarray(value, np.float64), len(derivatives)
    apart = derivatives - derivatives.mean(axis=0)
    error = np.sqrt(n / max(n - 1, 1) * (apart**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return around(value, error / value, n - 1)


def around(value: np.ndarray, error: np.ndarray, freedom: int) -> np.ndarray:
    """Return limits from the standard error of a logarithm, shape (2, ...); NaN where there are
    none.
    """
    half = _quantile(freedom) * error
    with np.errstate(over="ignore", invalid="ignore"):
        limits = np.array([value * np.exp(-half), value * np.exp(half)])
    return np.where((value > 0.0) & np.isfinite(half), limits, np.nan)


class LossLimits:
    """Limits of the loss of those steps of a training that are recorded.

    They are about the samples of the step's batch, by the jackknife over groups of them, and know
    nothing of other weights. For ``before_step`` of :func:`simulator.training.train`.

    Parameters
    ----------
    network : Network
        That is trained.
    is_recorded : callable
        Is a step recorded, counted from 1?
    weight_decay : float
        As in the training: the loss has that part too, and no sample changes it.
    """

    def __init__(self, network: Network, is_recorded: Callable[[int], bool],
                 weight_decay: float = 0.0) -> None:
        self.network, self.is_recorded, self.weight_decay = network, is_recorded, weight_decay
        self._limits = np.full(2, np.nan)

    def __call__(self, step: int, X: np.ndarray, y: np.ndarray) -> None:
        """Look at the samples of the step that follows ``step`` others."""
        if not self.is_recorded(step + 1):
            return
        count = min(LOSS_GROUPS, len(y))
        parts = [np.arange(group, len(y), count) for group in range(count)]
        sums = np.array([len(part) * self.network.loss_gradient(X[part], y[part],
                                                                self.weight_decay)[0]
                         for part in parts])
        sizes = np.array([len(part) for part in parts])
        with np.errstate(invalid="ignore"):  # of a single sample there are none
            without = (sums.sum() - sums) / (len(y) - sizes)
        self._limits = without_each(np.array(sums.sum() / len(y)), without)

    def row(self) -> dict[str, float]:
        """Return columns for the history: the limits of the last step that is recorded."""
        return {"loss_low": float(self._limits[0]), "loss_high": float(self._limits[1])}


def exact_loss(loss: float) -> dict[str, float]:
    """Return columns for the history: a loss that no sample changes, and its limits."""
    return {"loss": loss, "loss_low": loss, "loss_high": loss}


def _quantile(freedom: int) -> float:
    # the law itself: scipy.stats takes a second to import
    return float(scipy.special.stdtrit(max(freedom, 1), 0.5 + LEVEL / 2))
