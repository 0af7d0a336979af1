"""A1: clean training finds the features, and the network generalises.

A neuron of feature j has learned it if ``|C_ij|`` stands out among its coefficients ``C = W M``.
The largest of d independent Gaussian coefficients is about ``sqrt(2 log d)`` times their root
mean square, so "stands out" is: at least twice that, over the root mean square of the others.
With another dictionary than the data's no neuron passes.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import cosines, decompose
from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, levels_over_sizes,
                             series_over_sizes, size_names, values_of)
from theory.feature_purification.assumptions import BELOW_SQUARE_ROOT, FRESH_SAMPLES, MORE_NEURONS
from theory.feature_purification.plans import NETWORK
from theory.regime import largest_family, same_seeds
from theory.scaling import TooFew

__all__ = ["CLAIM", "RUNS", "confront", "features_found", "initial_cosines"]

CONTRAST = 2.0  # times what the largest of d Gaussian coefficients reaches by chance

CLAIM = Claim(
    id="A1", title="clean training finds the features",
    statement="Gradient descent on clean data from a small random start makes neurons that are "
              "each aligned with one feature, a neuron for every feature; the network then "
              "generalises, and little of the start is left in those neurons.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the result on clean training. The thresholds are "
           "readings. \"Cosine -> 0\" is a limit, of which a run can show that it falls with d; "
           "sqrt(2 log d / d) is what the largest coordinate of a start brings.",
    assumptions=(BELOW_SQUARE_ROOT, MORE_NEURONS, FRESH_SAMPLES),
    quantity="share of the features whose neuron stands out; test accuracy; cosine of a feature "
             "neuron with its start",
    law="features found and accuracy at least 0.95 at every size; cosine smaller at the largest "
        "d than at the smallest",
    expected=1.0,
    thresholds={"features found": at_least(0.95), "test accuracy": Threshold(0.95, 1.0),
                "cosine at the largest d over the smallest": at_most(1.0)},
    fixed="2026-11-21")
RUNS = NETWORK


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def features_found(weights: np.ndarray, dictionary: np.ndarray | None,
                   labeler: np.ndarray) -> float:
    """Share of the d features that have a feature neuron whose coefficient stands out.

    Parameters
    ----------
    weights : ndarray, shape (m, d)
    dictionary : ndarray, shape (d, d), or None
    labeler : ndarray, shape (d,)
    """
    parts = decompose(weights, dictionary, labeler)
    d = parts.coefficients.shape[1]
    chosen = parts.is_feature_neuron & (parts.peaks != 0.0)
    others = np.linalg.norm(parts.mixture[chosen], axis=1) / math.sqrt(max(d - 1, 1))
    chance = math.sqrt(2.0 * math.log(d)) if d > 1 else 0.0
    stands_out = np.abs(parts.peaks[chosen]) >= CONTRAST * chance * others
    return len(np.unique(parts.feature[chosen][stands_out])) / d


def initial_cosines(run: Run) -> dict[str, float]:
    """Mean cosines of the clean network's feature neurons with their initial weights.

    Returns
    -------
    dict of str to float
        After the "clean" and, where there was one, after the "adversarial" training.
    """
    arrays = run.arrays
    parts = decompose(arrays["weights_clean"], arrays.get("dictionary"), arrays["labeler"])
    start = PurificationExperiment(run.config).initial_weights()
    return {phase: float(cosines(arrays[f"weights_{phase}"], start)[parts.is_feature_neuron].mean())
            for phase, steps in (("clean", 1), ("adversarial", run.config.adversarial_steps))
            if steps and f"weights_{phase}" in arrays}


def _found(run: Run) -> float:
    arrays = run.arrays
    return features_found(arrays["weights_clean"], arrays.get("dictionary"), arrays["labeler"])


def _chance(d: int) -> float:
    return math.sqrt(2.0 * math.log(d) / d)


def _falling(groups: dict[Size, list[Run]], found: dict[int, float]) -> list[Measurement]:
    """Cosine at the largest d over that at the smallest, seed by seed, within one family.

    ``found`` are those of the runs by their identity.
    """
    runs, _ = largest_family([run for group in groups.values() for run in group])
    table = same_seeds(runs)
    small = min(table, key=lambda size: (size.d, size.k))
    large = max(table, key=lambda size: (size.d, -size.k))
    if small.d == large.d:
        raise TooFew("a cosine that falls with d needs two different d")
    ratio = np.array([found[id(last)] / found[id(first)]
                      for first, last in zip(table[small], table[large])])
    return [at_every_size(f"cosine at d = {large.d} over d = {small.d}", {large: ratio},
                          CLAIM, logarithms=True,
                          threshold="cosine at the largest d over the smallest")]


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    found = values_of(groups, _found)
    accuracy = values_of(groups, lambda run: run.summary["clean"]["accuracy"])
    # the start is drawn again, and its bias measured: once a run
    cosines_of = {id(run): initial_cosines(run) for group in groups.values() for run in group}
    cosine = {phase: values_of(groups, lambda run: cosines_of[id(run)].get(phase, math.nan))
              for phase in ("clean", "adversarial")}
    order = list(groups)
    parts = [
        at_every_size("features found", found, CLAIM),
        at_every_size("test accuracy", accuracy, CLAIM,
                      lambda size: groups[size][0].config.test_samples),
        *_falling(groups, {name: both["clean"] for name, both in cosines_of.items()}),
    ]
    purified = {size: values for size, values in cosine["adversarial"].items()
                if np.isfinite(values).all()}
    after = [series_over_sizes("after clean training", cosine["clean"], "clean", order)]
    if purified:
        parts.append(at_every_size("cosine with the start after adversarial training", purified,
                                   (-math.inf, math.inf), decisive=False))
        after.append(series_over_sizes("after adversarial training", purified, "adversarial",
                                       order))
    ends = (-0.4, len(order) - 0.6)
    picture = Picture(
        "Share of features found and test accuracy (left), and the cosine of a feature neuron "
        "with its random start (right), that must be smaller at the largest d than at the "
        "smallest, at each size (d, k).",
        (Panel("$d, k$", "share",
               (series_over_sizes("features found", found, "clean", order),
                series_over_sizes("test accuracy", accuracy, "other", order)),
               (Curve("accepted from here", ends, (0.95, 0.95)),),
               ticks=size_names(order), ylim=(0.0, 1.05)),
         Panel("$d, k$", "cosine with the start",
               tuple(after),
               (levels_over_sizes(r"of a start by chance, $\sqrt{2 \log d / d}$",
                                  [_chance(size.d) for size in order]),),
               ticks=size_names(order), ylim=(0.0, 1.0))))
    return Evidence(parts, picture, [])
