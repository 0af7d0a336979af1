"""A6: adversarial training removes the mixtures and keeps the pure parts.

The principle of the paper: a clean neuron is ``w_i = beta_i w'_i + v_i`` with w'_i the same neuron
after adversarial training (here even with the one-step FGM), beta_i > 0, and v_i the mixture that
was removed.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, Size, Threshold, at_least
from theory.drawing.picture import Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, levels_over_sizes,
                             series_over_sizes, size_names, values_of)
from theory.feature_purification.assumptions import BELOW_SQUARE_ROOT, COVERED, LEARNED, PURIFIED
from theory.feature_purification.features_are_found import initial_cosines
from theory.feature_purification.plans import NETWORK

__all__ = ["CLAIM", "RUNS", "confront"]

CLAIM = Claim(
    id="A6", title="feature purification",
    statement="Adversarial training from the clean network, even with one-step perturbations, "
              "removes the dense mixtures from the neurons and keeps their features.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the principle of feature purification. The factor "
           "5 is a reading of \"removes\".",
    assumptions=(BELOW_SQUARE_ROOT, LEARNED, COVERED, PURIFIED),
    quantity="mixture ratio before over after; purity and test accuracy after; share of neurons "
             "with beta_i > 0",
    law="ratio falls by a factor of at least 5, purity and accuracy after at least 0.5 and 0.95, "
        "beta_i > 0 for at least 0.95 of the neurons, at every size",
    expected=5.0,
    thresholds={"fall of the mixture ratio": at_least(5.0), "purity after": at_least(0.5),
                "test accuracy after": Threshold(0.95, 1.0),
                "share of neurons with beta > 0": at_least(0.95)},
    fixed="2026-11-21")
RUNS = NETWORK


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _fall(run: Run) -> float:
    """Mixture ratio before over after; an overshoot below zero counts by its size."""
    before = run.summary["clean"]["mixture_ratio"]
    after = abs(run.summary["adversarial"]["mixture_ratio"])
    return np.inf if after == 0.0 and before > 0.0 else before / after if after else np.nan


def _less_of_the_start(run: Run) -> float:
    """Cosine of the feature neurons with their start after adversarial training over before."""
    found = initial_cosines(run)
    return found["adversarial"] / found["clean"] if found["clean"] > 0.0 else np.nan


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    # an exact zero after training is a fall by any factor; logarithms need a finite one
    fall = {size: np.minimum(values, 1e6) for size, values in values_of(groups, _fall).items()}
    purity = {phase: values_of(groups, lambda run: run.summary[phase]["purity"])
              for phase in ("clean", "adversarial")}
    ratio = {phase: values_of(groups, lambda run: run.summary[phase]["mixture_ratio"])
             for phase in ("clean", "adversarial")}
    accuracy = values_of(groups, lambda run: run.summary["adversarial"]["accuracy"])
    positive = values_of(groups, lambda run: run.history["beta_positive"][-1])
    parts = [at_every_size("fall of the mixture ratio", fall, CLAIM, logarithms=True),
             at_every_size("purity after", purity["adversarial"], CLAIM),
             at_every_size("test accuracy after", accuracy, CLAIM,
                           lambda size: groups[size][0].config.test_samples),
             at_every_size("share of neurons with beta > 0", positive, CLAIM)]
    left = {id(run): _less_of_the_start(run) for group in groups.values() for run in group}
    less = values_of(groups, lambda run: left[id(run)])
    parts.append(at_every_size("cosine with the start after over before", less, (0.0, 1.0),
                               decisive=False))
    order = list(groups)
    picture = Picture(
        "Mixture ratio (left, with p, the size that clean training is expected to leave) and "
        "purity (right) before and after adversarial training.",
        (Panel("$d, k$", "mixture ratio $r$",
               (series_over_sizes("clean network", ratio["clean"], "clean", order),
                series_over_sizes("after adversarial training", ratio["adversarial"],
                                  "adversarial", order)),
               (levels_over_sizes("$p$", [groups[size][0].summary["p"] for size in order]),),
               ticks=size_names(order)),
         Panel("$d, k$", r"purity $\|p_i\|^2/\|w_i\|^2$",
               (series_over_sizes("clean network", purity["clean"], "clean", order),
                series_over_sizes("after adversarial training", purity["adversarial"],
                                  "adversarial", order)),
               ticks=size_names(order), ylim=(0.0, 1.05))))
    return Evidence(parts, picture, [])
