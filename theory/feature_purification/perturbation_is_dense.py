"""A4: perturbations of the clean network look like noise, those of the robust one are features.

In dictionary coordinates ``a = M^T delta``. The participation ratio ``(sum a_j^2)^2 / sum a_j^4``
counts the features a perturbation is spread over: d/3 for a Gaussian one, s for s equal entries.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulator.features import participation_ratio
from theory.claim import Claim, Finding, Run, Size, at_least
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, levels_over_sizes,
                             series_over_sizes, size_names, values_of)
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     LEARNED, PURIFIED, expected_active)
from theory.feature_purification.plans import PERTURBATIONS

__all__ = ["CLAIM", "RUNS", "confront", "participation", "top_share"]

CLAIM = Claim(
    id="A4", title="perturbations are dense before, pure features after",
    statement="The strongest perturbations of the clean network are dense: in the dictionary "
              "they are spread like noise over the features. Those of the adversarially trained "
              "network are sparse: they consist of features.",
    source="Allen-Zhu & Li, arXiv 2005.10190, on the perturbations of clean and robust "
           "networks. The thresholds are readings: half of a Gaussian's d/3 for \"like noise\", "
           "half of the squared norm on as many features as an input has for \"features\".",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, LEARNED, PURIFIED),
    quantity="participation ratio over d/3 before; share of the squared norm on the p d largest "
             "coordinates after; factor between the participation ratios",
    law="clean at least 0.5 of a Gaussian's, robust share at least 0.5, factor at least 2, at "
        "every size",
    expected=1.0,
    thresholds={"participation of clean perturbations over a Gaussian's": at_least(0.5),
                "share of robust perturbations on p d features": at_least(0.5),
                "factor between participations": at_least(2.0)},
    fixed="2026-11-21")
RUNS = PERTURBATIONS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def participation(deltas: np.ndarray) -> float:
    """Mean participation ratio of the nonzero perturbations in ``deltas`` (n, d); NaN if none."""
    attacked = deltas[deltas.any(axis=1)]
    return float(participation_ratio(attacked).mean()) if len(attacked) else math.nan


def top_share(deltas: np.ndarray, count: int) -> float:
    """Mean share of the squared norm on the ``count`` largest coordinates of each row."""
    squares = _squares(deltas)
    if len(squares) == 0:
        return float("nan")
    largest = np.sort(squares, axis=1)[:, ::-1][:, :count].sum(axis=1)
    return float(np.mean(largest / squares.sum(axis=1)))


def _squares(deltas: np.ndarray) -> np.ndarray:
    """Squares of the nonzero rows, scaled so that the largest of a row is 1."""
    rows = np.asarray(deltas[deltas.any(axis=1)], np.float64)
    return (rows / np.abs(rows).max(axis=1, keepdims=True)) ** 2 if len(rows) else rows


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    before = values_of(groups, lambda run: participation(run.arrays["perturbation_clean"])
                       / (run.config.d / 3.0))
    after = values_of(groups, lambda run: participation(run.arrays["perturbation_adversarial"])
                      / (run.config.d / 3.0))
    factor = {size: before[size] / after[size] for size in groups}

    def pure(run: Run) -> float:
        count = max(1, round(expected_active(run)))
        return top_share(run.arrays["perturbation_adversarial"], count)

    shares = values_of(groups, pure)
    parts = [at_every_size("participation of clean perturbations over a Gaussian's", before,
                           CLAIM, logarithms=True),
             at_every_size("share of robust perturbations on p d features", shares, CLAIM),
             at_every_size("factor between participations", factor, CLAIM, logarithms=True)]
    order = list(groups)
    sparse = [3.0 * expected_active(groups[size][0]) / size.d for size in order]
    picture = Picture(
        "Features that a strongest perturbation is spread over, in units of d/3 (a Gaussian "
        "perturbation), before and after adversarial training. The dashed line is where as many "
        "features as an input has, p d, would be.",
        (Panel("$d, k$", "participation ratio / (d/3)",
               (series_over_sizes("clean network", before, "clean", order),
                series_over_sizes("robust network", after, "adversarial", order)),
               (levels_over_sizes("$p\\,d$ features", sparse),
                Curve("Gaussian", (-0.4, len(order) - 0.6), (1.0, 1.0))), log="y",
               ticks=size_names(order)),
         Panel("$d, k$", "share on the $p\\,d$ largest coordinates",
               (series_over_sizes("robust network", shares, "adversarial", order),),
               (Curve("accepted from here", (-0.4, len(order) - 0.6), (0.5, 0.5)),),
               ticks=size_names(order), ylim=(0.0, 1.05))))
    return Evidence(parts, picture, [])
