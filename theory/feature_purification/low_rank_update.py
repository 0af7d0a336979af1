"""A9: what adversarial training adds is carried by few directions.

The mixtures of all neurons lie along ``M w*``, so removing them is close to an update of rank
one. The update ``W_adv - W_clean`` on the clean feature neurons is truncated to its R largest
singular directions, and the network with the truncated update is attacked.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.attacks.suites import quick_attacks
from simulator.attacks.worst_case import worst_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import decompose
from simulator.jit import fixed_threads
from theory.claim import Assumption, Claim, Finding, Run, Size
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, series_over_sizes, size_names
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     LEARNED, PURIFIED)
from theory.feature_purification.plans import PERTURBATIONS

__all__ = ["CLAIM", "RUNS", "confront"]

GAINED = Assumption("adversarial training gains 10 % of attacked accuracy at tau",
                    lambda run: run.summary["adversarial"]["attacked_accuracy"]
                    - run.summary["clean"]["attacked_accuracy"] >= 0.1)
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # ranks R/d that are tried
FEW = 0.1
SAMPLES = 300  # attacked for each rank

CLAIM = Claim(
    id="A9", title="the update is low-rank",
    statement="The change that adversarial training makes to the neurons that hold features is "
              "carried by few directions: applied alone, they give most of the robustness.",
    source="Allen-Zhu & Li, arXiv 2005.10190, as a consequence of the shared dense direction. "
           "\"Few\" (d/10) and \"most\" (80 %) are readings.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, LEARNED, PURIFIED, GAINED),
    quantity="share of the gain in attacked accuracy at tau that the update truncated to rank "
             "d/10 gives",
    law="at least 0.8 at every size",
    expected=1.0)
RUNS = PERTURBATIONS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _ranks(d: int) -> list[int]:
    return [math.ceil(share * d) for share in SHARES]


def _recovered(run: Run) -> tuple[np.ndarray, np.ndarray, float]:
    """Return shares of the gain at each rank, of the squared norm, and the alignment.

    The alignment is |cos| of the first singular direction with M w*.
    """
    simulation, arrays = PurificationExperiment(run.config), run.arrays
    few, bias = simulation.test_set[:SAMPLES], float(arrays["bias"])
    clean, adversarial = arrays["weights_clean"], arrays["weights_adversarial"]
    marked = decompose(clean, arrays.get("dictionary"), arrays["labeler"]).is_feature_neuron
    change = np.asarray(adversarial[marked], np.float64) - clean[marked]
    left, sizes, right = np.linalg.svd(change, full_matrices=False)
    direction = simulation.data.dense_direction
    adversary = replace(simulation.adversary, attacks=quick_attacks(direction))

    def attacked(weights: np.ndarray) -> float:
        network = simulation.network(weights.astype(clean.dtype), bias)
        return worst_case(network, few, adversary).accuracy()

    accuracy = []
    with fixed_threads(run.config.threads):
        for rank in _ranks(run.config.d):
            weights = np.array(adversarial, np.float64)
            weights[marked] = clean[marked] + (left[:, :rank] * sizes[:rank]) @ right[:rank]
            accuracy.append(attacked(weights))
        gain = attacked(np.asarray(adversarial)) - accuracy[0]
    energy = np.concatenate([[0.0], np.cumsum(sizes**2) / np.sum(sizes**2)])
    shares = energy[np.minimum(_ranks(run.config.d), len(sizes))]
    recovered = (np.array(accuracy) - accuracy[0]) / gain if gain > 0.0 else (
        np.full(len(accuracy), np.nan))
    return recovered, shares, float(abs(right[0] @ direction))


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    found = {size: [_recovered(run) for run in group] for size, group in groups.items()}
    few = SHARES.index(FEW)
    headline = {size: np.array([entry[0][few] for entry in entries])
                for size, entries in found.items()}
    energy = {size: np.array([entry[1][few] for entry in entries])
              for size, entries in found.items()}
    alignment = {size: np.array([entry[2] for entry in entries])
                 for size, entries in found.items()}
    parts = [at_every_size("share of the gain at rank d/10", headline, (0.8, np.inf)),
             at_every_size("share of the update's squared norm at rank d/10", energy,
                           (0.5, np.inf), decisive=False),
             at_every_size("|cos| of the first direction with M w*", alignment, (0.9, np.inf),
                           decisive=False)]
    order = list(groups)
    x = np.array(SHARES)
    panels = (
        Panel("rank of the update / d", "share of the gain in attacked accuracy",
              tuple(Series(f"{size.family} {size}", x, np.array([e[0] for e in found[size]]),
                           f"case {number % 7}", joined=True)
                    for number, size in enumerate(_ends(order))),
              (Curve("accepted at rank d/10", (FEW, FEW), (0.8, 1.1)),), ylim=(-0.05, 1.15)),
        Panel("d, k", "share, or |cos|",
              (series_over_sizes("|cos| with $M w^\\star$, first", alignment, "case 1", order),
               series_over_sizes("squared norm, first d/10", energy, "case 3", order)),
              ticks=size_names(order), ylim=(0.0, 1.05)))
    return Evidence(parts, Picture(
        "Left: robustness regained when only the R largest singular directions of the update on "
        "the feature neurons are applied (smallest and largest size of each family). Right: what "
        "these directions are.", panels), [])


def _ends(order: Sequence[Size]) -> list[Size]:
    """The smallest and the largest size of each family."""
    families = sorted({size.family for size in order})
    return [size for family in families
            for size in dict.fromkeys([[s for s in order if s.family == family][0],
                                       [s for s in order if s.family == family][-1]])]
