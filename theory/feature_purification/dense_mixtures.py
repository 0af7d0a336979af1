"""A2: clean training accumulates dense mixtures of relative size Theta(k/d).

A feature neuron fires essentially when its feature is on, so along any other feature its
gradient is P(fires) = Theta(k/d) times as large as along its own, with that feature's label. In
exponents: ``log r = const + 1 * log p`` with ``p = P(z_j != 0) = (c_strong + c_weak k)/d``.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Measurement, Run, Size
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, confronted, of_slopes
from theory.feature_purification.assumptions import (BELOW_SQUARE_ROOT, FRESH_SAMPLES, LEARNED,
                                                     MORE_NEURONS)
from theory.feature_purification.plans import NETWORK
from theory.regime import largest_family, same_seeds
from theory.scaling import TooFew, fit_exponent, vary_separately

__all__ = ["CLAIM", "RUNS", "confront"]

CLAIM = Claim(
    id="A2", title="dense mixtures of size k/d",
    statement="After clean training every feature neuron holds, besides its own feature, all "
              "other features at once, each with the sign of its label and a size of order k/d "
              "relative to the neuron's own.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the result on clean training: a dense mixture of "
           "relative size Theta(k/d), norm Theta(k/sqrt d).",
    assumptions=(BELOW_SQUARE_ROOT, MORE_NEURONS, FRESH_SAMPLES, LEARNED),
    quantity="exponent of the mixture ratio r in p, over sizes with d and k varied separately",
    law="slope 1: value in [0.85, 1.15], interval in [0.7, 1.3]",
    expected=1.0)
RUNS = NETWORK


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    runs, caveats = largest_family([run for group in groups.values() for run in group])
    table = same_seeds(runs)
    sizes = list(table)
    if not vary_separately([size.d for size in sizes], [size.k for size in sizes]):
        raise TooFew("an exponent in k/d needs sizes in which d and k vary separately")
    p = np.array([group[0].summary["p"] for group in table.values()])
    ratio = _rows(table, "mixture_ratio")
    if not (ratio > 0.0).all():
        part = Measurement("exponent of r in p", np.nan, np.nan, np.nan, (0.7, 1.3), 1.0)
        return Evidence([part], Picture("No exponent: a mixture ratio is not positive."),
                        [*caveats, "a mixture ratio is not positive: it has no logarithm"])
    fit = fit_exponent(p, ratio)
    headline = of_slopes("exponent of r in p", fit, (0.7, 1.3), (0.85, 1.15))
    level = ratio / p
    caveats.append(f"r/p is {level.mean():.2f} on average ({level.min():.2f} to "
                   f"{level.max():.2f}); r scatters by {100 * fit.residual:.0f} % around the "
                   "fitted power")
    coverage = _rows(table, "coverage")
    if coverage.min() < 0.99:
        caveats.append(f"the mean is over the feature neurons there are; at {coverage.min():.3f} "
                       "of the features at the least covered size")
    return Evidence([headline], _picture(p, ratio, fit.slopes, fit.intercepts), caveats)


def _rows(table: dict[Size, list[Run]], name: str) -> np.ndarray:
    """Return a number of the clean network, shape (seeds, sizes)."""
    return np.array([[run.summary["clean"][name] for run in group]
                     for group in table.values()], np.float64).T


def _picture(p: np.ndarray, ratio: np.ndarray, slopes: np.ndarray,
             intercepts: np.ndarray) -> Picture:
    line = np.array([p.min(), p.max()]) * np.array([0.9, 1.1])
    fitted = np.exp(intercepts.mean()) * line ** slopes.mean()
    return Picture(
        "Mixture ratio of the clean network against p, one point for each size (d, k), bars over "
        "seeds. The theory fixes the slope, 1; the dashed line is r = p itself.",
        (Panel("$p = P(z_j \\neq 0)$", "mixture ratio $r$",
               (Series("clean network", p, ratio, "clean"),),
               (Curve("$r = p$", line, line),
                Curve(f"fit, slope {slopes.mean():.2f}", line, fitted)), log="xy"),))
