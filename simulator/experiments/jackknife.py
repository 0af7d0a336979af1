"""95 % limits over the samples of a number that is no mean of them, such as an eigenvalue.

By the jackknife (Quenouille, Tukey; Efron 1982): how the number changes where a sample, or a group
of them, is left out tells how it would change with other samples. Limits are Student's t, on the
scale of logarithms for positive numbers. They know nothing of other seeds, nor of a bias.
"""

import numpy as np
import scipy.special

__all__ = ["around", "by_weights", "without_each"]

LEVEL = 0.95


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


def _quantile(freedom: int) -> float:
    # the law itself: scipy.stats takes a second to import
    return float(scipy.special.stdtrit(max(freedom, 1), 0.5 + LEVEL / 2))
