"""A3: so the clean network is not robust, and one direction that never looks at x shows it.

All mixtures lie along ``M w*``. Moving every input by ``-y tau M w* / ||M w*||`` pushes every
neuron that fires by about ``r tau sqrt(d)``, while a single sparse input hardly touches that
direction.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Assumption, Claim, Finding, Run, Size, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, of_slopes, series_over_sizes,
                             size_names, values_of)
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     LEARNED, PURIFIED, typical_margin,
                                                     universal_shift)
from theory.feature_purification.plans import PERTURBATIONS
from theory.regime import largest_family, same_seeds
from theory.scaling import TooFew, fit_exponent

__all__ = ["CLAIM", "RUNS", "confront"]

REACHED = Assumption("d is large enough: as a reading, the universal direction moves <w*, z>, "
                     "by tau sqrt(d) a r / (1 + a r) with a = d P(gate open), past its median",
                     lambda run: universal_shift(run) >= typical_margin(run))

CLAIM = Claim(
    id="A3", title="one input-independent direction breaks it",
    statement="The clean network, right on almost every sample, is wrong on most of them after "
              "a perturbation of radius tau in one fixed direction, the sum of all features "
              "with their labels; the strongest attack finds little more.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the non-robustness of clean training. The reading "
           "r50 ~ sqrt(d)/k^2 and the condition for \"d large enough\" are derived here.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, LEARNED, PURIFIED, REACHED),
    quantity="accuracy under the universal perturbation of radius tau; its share of the drop "
             "that the strongest attack causes",
    law="accuracy at most 0.5, share of the drop at least 0.8, at every size",
    expected=0.0,
    thresholds={"accuracy under the universal direction": at_most(0.5, 0.0),
                "share of the strongest attack's drop": at_least(0.8)},
    fixed="2026-11-21")
RUNS = PERTURBATIONS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _share(run: Run) -> float:
    clean = run.summary["clean"]
    drop = clean["accuracy"] - clean["attacked_accuracy"]
    return (clean["accuracy"] - clean["universal_accuracy"]) / drop if drop > 0.0 else 0.0


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    def of_clean(name: str) -> dict[Size, np.ndarray]:
        return values_of(groups, lambda run: run.summary["clean"][name])

    universal, strongest = of_clean("universal_accuracy"), of_clean("attacked_accuracy")
    radius = values_of(groups, lambda run: run.summary["clean"]["r50"])
    linear = values_of(groups, lambda run: run.summary["linear_r50"])
    parts = [at_every_size("accuracy under the universal direction", universal, CLAIM,
                           lambda size: groups[size][0].config.test_samples),
             at_every_size("share of the strongest attack's drop", values_of(groups, _share),
                           CLAIM)]
    caveats: list[str] = []
    try:
        runs, caveats = largest_family([run for group in groups.values() for run in group])
        table = same_seeds(runs)
        reading = np.array([size.d**0.5 / size.k**2 for size in table])
        rows = np.array([[run.summary["clean"]["r50"] for run in group]
                         for group in table.values()]).T
        parts.append(of_slopes("exponent of r50 in sqrt(d)/k^2 (reading: 1)",
                               fit_exponent(reading, rows), (0.7, 1.3), decisive=False))
    except (TooFew, ValueError) as reason:
        caveats.append(f"the reading r50 ~ sqrt(d)/k^2 is not tested: {reason}")
    order = list(groups)
    picture = Picture(
        "Left: accuracy of the clean network at radius tau under the universal direction and "
        "under the strongest attack. Right: its critical radius against that of the linear "
        "classifier.",
        (Panel("$d, k$", r"accuracy at $\tau$",
               (series_over_sizes("universal direction", universal, "other", order),
                series_over_sizes("strongest attack", strongest, "clean", order)),
               (Curve("accepted up to here", (-0.4, len(order) - 0.6), (0.5, 0.5)),),
               ticks=size_names(order), ylim=(0.0, 1.05)),
         Panel("$d, k$", r"critical radius $r_{50}$",
               (series_over_sizes("clean network", radius, "clean", order),
                series_over_sizes("linear classifier", linear, "linear", order)),
               ticks=size_names(order), ylim=(0.0, 1.3 * max(map(np.max, radius.values()))))))
    return Evidence(parts, picture, caveats)
