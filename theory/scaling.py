"""Intervals over seeds and exponents over sizes, with refusals where there is too little.

A seed is the unit of repetition: every interval is Student's t over seeds (at 5 seeds it covers
94 % where the percentile bootstrap covers 84 %). An exponent is fitted per seed, by least
squares in logarithms, and the interval is t over the slopes, so whatever is shared by the sizes
of one seed is in it. Deciding that a value lies in a range is an equivalence test: two one-sided
t-tests, one for each end (Schuirmann 1987). Several claims in one report are corrected by Holm's
step-down rule (Holm 1979).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special

__all__ = ["LEVEL", "MIN_RATIO", "MIN_RATIO_TOGETHER", "MIN_SEEDS", "MIN_SIZES", "Exponent",
           "Interval", "TooFew", "binomial_limits", "difference_interval", "equivalence_power",
           "fit_exponent", "fit_exponents", "have_logarithms", "holm", "outside_probability",
           "share_interval", "t_interval", "t_quantile", "vary_separately"]

LEVEL = 0.95
MIN_SEEDS = 3  # t with 2 degrees of freedom still covers 95 %, only widely; 8 for a paper
MIN_SIZES = 4
MIN_RATIO = 4.0
MIN_RATIO_TOGETHER = 1.5  # of one of several regressors: k can only vary up to sqrt(d)


class TooFew(ValueError):
    """There are too few seeds or sizes for an interval or an exponent."""


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its interval.

    Attributes
    ----------
    mean, low, high : float
    p_value : float
        Of the hypothesis that the true mean is outside the accepted range.
    """

    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Exponent:
    """A power law ``y = c x^slope`` fitted per seed.

    Attributes
    ----------
    slopes, intercepts : ndarray, shape (seeds,)
        Natural logarithms.
    residual : float
        Root mean square of what the fits leave of log y.
    """

    slopes: np.ndarray
    intercepts: np.ndarray
    residual: float


def t_interval(values: Sequence[float] | np.ndarray,
               accepted: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Return the mean over seeds, its 95 % t-interval, and the p-value for ``accepted``.

    Raises
    ------
    TooFew
        Fewer than 3 values.
    ValueError
        A value is not finite.
    """
    values = np.asarray(values, np.float64)
    _require_seeds(len(values))
    if not np.isfinite(values).all():
        raise ValueError(f"values: expected finite numbers, got {values}")
    mean = float(values.mean())
    half = float(t_quantile(len(values) - 1) * _error(values))
    return Interval(mean, mean - half, mean + half, outside_probability(values, accepted))


def share_interval(shares: Sequence[float] | np.ndarray, samples: int,
                   accepted: tuple[float, float] = (0.0, 1.0)) -> Interval:
    """Return the mean of shares (accuracies) over seeds with an interval that never is too sure.

    Seeds can agree exactly, as when every sample is right, and t would then be certain. The
    interval is the union of t over seeds and the exact binomial interval (Clopper & Pearson)
    of all samples pooled; the p-value is the larger of the two.

    Parameters
    ----------
    shares : sequence of float, one a seed
    samples : int
        Samples behind each share.
    accepted : tuple of float
    """
    low, high = accepted
    # no share is below 0 or above 1: those ends need no test
    interval = t_interval(shares, (low if low > 0.0 else -math.inf,
                                   high if high < 1.0 else math.inf))
    right, total = _pooled(shares, samples)
    below, above = binomial_limits(right / total, total)
    p_value = interval.p_value
    if low > 0.0:
        p_value = max(p_value, _is_below(right, total, low))
    if high < 1.0:
        p_value = max(p_value, _is_above(right, total, high))
    return Interval(interval.mean, max(0.0, min(interval.low, float(below))),
                    min(1.0, max(interval.high, float(above))), float(p_value))


def difference_interval(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray,
                        samples: tuple[int, int],
                        accepted: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Return the mean of ``first - second``, shares of samples, as :func:`share_interval` does one.

    The interval is the union of t over the seeds' differences and what the exact binomial
    intervals of both, each with half of the error, leave possible: the samples may be the same.

    Parameters
    ----------
    first, second : sequence of float, one a seed
    samples : tuple of int
        Samples behind each share of the first and of the second.
    accepted : tuple of float
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    interval = t_interval(first - second, accepted)
    one, other = (_pooled(shares, count) for shares, count in zip((first, second), samples))
    (low, high), (other_low, other_high) = (
        binomial_limits(right / total, total, 0.5 + LEVEL / 2) for right, total in (one, other))
    p_value = interval.p_value
    for greater, lesser, end in ((one, other, accepted[0]), (other, one, -accepted[1])):
        if math.isfinite(end):
            p_value = max(p_value, _less_apart(greater, lesser, end))
    return Interval(interval.mean, min(interval.low, float(low - other_high)),
                    max(interval.high, float(high - other_low)), p_value)


def _pooled(shares: Sequence[float] | np.ndarray, samples: int) -> tuple[int, int]:
    """How many of how many samples, over all seeds."""
    return int(round(float(np.sum(shares)) * samples)), samples * len(shares)


def _is_below(right: int, total: int, border: float) -> float:
    """The exact p-value of: the true share is at most ``border``."""
    if right == 0 or border >= 1.0:
        return 1.0
    return float(scipy.special.betainc(right, total - right + 1, max(border, 0.0)))


def _is_above(right: int, total: int, border: float) -> float:
    """The exact p-value of: the true share is at least ``border``."""
    if right == total or border <= 0.0:
        return 1.0
    return float(scipy.special.bdtr(right, total, min(border, 1.0)))


def _less_apart(greater: tuple[int, int], lesser: tuple[int, int], end: float) -> float:
    """The p-value of: the true shares are less than ``end`` apart.

    Then, wherever a border is drawn, one is below it or the other above it less ``end``. The best
    border is where both are equally unlikely; found by bisection.
    """
    low, high = min(0.0, end), max(1.0, 1.0 + end)
    for _ in range(60):
        middle = 0.5 * (low + high)
        if _is_below(*greater, middle) < _is_above(*lesser, middle - end):
            low = middle
        else:
            high = middle
    return min(1.0, 2.0 * max(_is_below(*greater, high), _is_above(*lesser, high - end)))


def t_quantile(freedom: int | np.ndarray) -> float | np.ndarray:
    """Return how many standard errors a 95 % t-interval reaches to each side.

    Parameters
    ----------
    freedom : int or ndarray of int
        Degrees of freedom, at least 1.
    """
    # the law itself: scipy.stats takes a second to import, in each process that draws a figure
    quantile: np.ndarray = scipy.special.stdtrit(freedom, 0.5 + LEVEL / 2)
    return quantile


def binomial_limits(shares: float | Sequence[float] | np.ndarray, samples: int,
                    level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact limits (Clopper & Pearson) of shares of ``samples`` samples each.

    Parameters
    ----------
    shares : array-like of float, any shape
        NaN where there is none: so are its limits.
    samples : int
        Behind each share.
    level : float
        How often they contain the true share at least.

    Returns
    -------
    low, high : ndarray
        Of the shape of ``shares``.
    """
    right = np.round(np.asarray(shares, np.float64) * samples)
    tail = 0.5 * (1.0 - level)
    # at both ends of the scale one of the two laws does not exist, and the limit is that end
    betaincinv = scipy.special.betaincinv
    low = np.where(right > 0, betaincinv(np.maximum(right, 1), samples - right + 1, tail), 0.0)
    high = np.where(right < samples,
                    betaincinv(right + 1, np.maximum(samples - right, 1), 1.0 - tail), 1.0)
    missing = np.isnan(right)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def outside_probability(values: Sequence[float] | np.ndarray,
                        accepted: tuple[float, float]) -> float:
    """Return the p-value of the hypothesis that the true mean is outside ``accepted``.

    The larger p-value of the two one-sided t-tests against its ends; an infinite end needs no
    test. With identical values it is 0 or 1, and 1/2 at the end itself, as with any spread: values
    that all are 0 are no evidence of a positive mean.
    """
    values = np.asarray(values, np.float64)
    _require_seeds(len(values))
    mean, error, freedom = float(values.mean()), _error(values), len(values) - 1
    p_value = 0.0
    for end, sign in zip(accepted, (1.0, -1.0)):
        if math.isinf(end):
            continue
        distance = sign * (mean - end)
        if error == 0.0:
            p_value = max(p_value, 0.5 - 0.5 * float(np.sign(distance)))
        else:
            p_value = max(p_value, float(scipy.special.stdtr(freedom, -distance / error)))
    return p_value


def equivalence_power(spread: float, seeds: int, margin: float) -> float:
    """Return how likely an equivalence test finds two equal means equal.

    The probability that the 95 % t-interval of normal differences of mean 0 lies within
    ``[-margin, margin]``: the chance that the claim holds where it is exactly true.

    Parameters
    ----------
    spread : float
        Standard deviation of the paired differences.
    seeds : int
    margin : float

    Notes
    -----
    With mean and standard deviation independent: the integral over the latter of
    ``P(|mean| <= margin - t s/sqrt(n))``.
    """
    _require_seeds(seeds)
    if spread == 0.0:
        return 1.0
    freedom, root = seeds - 1, math.sqrt(seeds)
    critical = t_quantile(freedom)
    shares = (np.arange(2000) + 0.5) / 2000  # quantiles: each as likely as the other
    found = spread * np.sqrt(2.0 * scipy.special.gammaincinv(0.5 * freedom, shares) / freedom)
    room = np.maximum(margin - critical * found / root, 0.0) * root / spread
    return float(np.mean(2.0 * scipy.special.ndtr(room) - 1.0))


def have_logarithms(*numbers: np.ndarray) -> bool:
    """Return whether all are positive and finite."""
    return all(bool((np.isfinite(values) & (values > 0.0)).all()) for values in numbers)


def fit_exponent(x: Sequence[float] | np.ndarray, y: np.ndarray) -> Exponent:
    """Fit ``log y = intercept + slope log x`` for each seed.

    Parameters
    ----------
    x : ndarray, shape (sizes,)
        The regressor at each size, such as p.
    y : ndarray, shape (seeds, sizes)

    Raises
    ------
    TooFew
        Fewer than 3 seeds, fewer than 4 different x, or max x < 4 min x: a slope over less is
        no scaling law.
    ValueError
        A value that has no logarithm.
    """
    x = np.asarray(x, np.float64)
    y = np.asarray(y, np.float64)
    if y.ndim != 2 or y.shape[1:] != x.shape:
        raise ValueError(f"y: expected shape (seeds, {len(x)}), got {y.shape}")
    _require_seeds(len(y))
    if not have_logarithms(x, y):
        raise ValueError("x, y: expected positive numbers: a power law is fitted in logarithms")
    different = len(np.unique(x))
    if different < MIN_SIZES:
        raise TooFew(f"an exponent needs at least {MIN_SIZES} different sizes, got {different}")
    # a grid whose ends are meant to be a factor 4 apart may miss it by rounding
    if x.max() < MIN_RATIO * x.min() * (1.0 - 1e-9):
        raise TooFew(f"an exponent needs sizes a factor {MIN_RATIO:g} apart, got "
                     f"{x.max() / x.min():.3g}")
    log_x, log_y = np.log(x), np.log(y)
    centred = log_x - log_x.mean()
    slopes = log_y @ centred / (centred @ centred)
    intercepts = log_y.mean(axis=1) - slopes * log_x.mean()
    left = log_y - intercepts[:, None] - slopes[:, None] * log_x
    return Exponent(slopes, intercepts, float(np.sqrt(np.mean(left**2))))


def fit_exponents(x: Mapping[str, Sequence[float] | np.ndarray],
                  y: np.ndarray) -> dict[str, Exponent]:
    """Fit ``log y = intercept + sum_name slope_name log x_name`` for each seed.

    Parameters
    ----------
    x : mapping of str to ndarray, shape (sizes,)
        The regressors at each size.
    y : ndarray, shape (seeds, sizes)

    Returns
    -------
    dict of str to Exponent
        Of each regressor, with the others held; the residual is that of the whole.

    Raises
    ------
    TooFew
        Fewer than 3 seeds, than 4 sizes, or than two more sizes than regressors; a regressor that
        does not range over a factor of 1.5, or that goes with the others.
    ValueError
        A value that has no logarithm.
    """
    table = np.array([np.asarray(values, np.float64) for values in x.values()])
    y = np.asarray(y, np.float64)
    if y.ndim != 2 or y.shape[1:] != table.shape[1:]:
        raise ValueError(f"y: expected shape (seeds, {table.shape[1]}), got {y.shape}")
    _require_seeds(len(y))
    if not have_logarithms(table, y):
        raise ValueError("x, y: expected positive numbers: a power law is fitted in logarithms")
    least = max(MIN_SIZES, len(x) + 2)
    if table.shape[1] < least:
        raise TooFew(f"exponents in {' and '.join(x)} need at least {least} sizes, got "
                     f"{table.shape[1]}")
    for name, values in zip(x, table):
        if values.max() < MIN_RATIO_TOGETHER * values.min() * (1.0 - 1e-9):
            raise TooFew(f"an exponent in {name} needs values a factor {MIN_RATIO_TOGETHER:g} "
                         f"apart, got {values.max() / values.min():.3g}")
    design = np.column_stack([np.ones(table.shape[1]), np.log(table).T])
    if np.linalg.matrix_rank(design - design.mean(axis=0)) < len(x):
        raise TooFew(f"exponents in {' and '.join(x)} need sizes in which they vary separately")
    found, *_ = np.linalg.lstsq(design, np.log(y).T, rcond=None)
    residual = float(np.sqrt(np.mean((np.log(y).T - design @ found)**2)))
    return {name: Exponent(found[place + 1], found[0], residual) for place, name in enumerate(x)}


def vary_separately(d: Sequence[int], k: Sequence[int]) -> bool:
    """True if some d comes with several k and some k with several d.

    Otherwise a slope on p = Theta(k/d) cannot be told from one on d or on k alone.
    """
    pairs = set(zip(d, k))
    return (len(pairs) > len({pair[0] for pair in pairs})
            and len(pairs) > len({pair[1] for pair in pairs}))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values, in the order given; NaN counts as 1."""
    p_values = [1.0 if math.isnan(value) else value for value in p_values]
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, place in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _require_seeds(count: int) -> None:
    if count < MIN_SEEDS:
        raise TooFew(f"an interval over seeds needs at least {MIN_SEEDS} seeds, got {count}")


def _error(values: np.ndarray) -> float:
    """Standard error of the mean; spread that is only rounding counts as none."""
    error = float(values.std(ddof=1) / math.sqrt(len(values)))
    return 0.0 if error <= 1e-14 * float(np.abs(values).max()) else error
