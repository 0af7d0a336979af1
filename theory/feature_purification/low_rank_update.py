"""A9: adversarial training needs to move the weights by a matrix of low rank only.

The mixtures of all neurons lie along ``M w*``, so taking them out is close to an update of rank
one. Two measurements of that, which ask different questions:

- *training* (decisive): the clean network is trained adversarially once more, restricted to
  ``W_clean + U V^T`` (:mod:`simulator.networks.low_rank`), as the paper's fourth version does;
- *truncation*: the update ``W_adv - W_clean`` of unrestricted training is cut down to its R largest
  singular directions on the clean feature neurons, which were not found under that restriction.

What no direction carries is told too. Unrestricted training lets every neuron's own feature grow
(or shrink) by an amount of its own: one number a neuron, but a matrix of full rank, because the
features are different directions. Of the update on the feature neurons, that part and the first
singular direction of the rest are applied alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from simulator.attacks.suites import quick_attacks
from simulator.attacks.worst_case import worst_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.experiments.feature_purification.summary import most_certified
from simulator.features import decompose
from simulator.jit import fixed_threads
from theory.claim import Assumption, Claim, Finding, Run, Size, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, series_over_sizes, size_names
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     LEARNED, PURIFIED)
from theory.feature_purification.plans import PERTURBATIONS

__all__ = ["CLAIM", "RUNS", "confront"]

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # ranks R/d of the truncated update
FEW = 0.1
MOST = 0.8
SAMPLES = 300  # attacked for each truncated update

GAINED = Assumption("adversarial training gains 10 % of attacked accuracy at tau",
                    lambda run: run.summary["adversarial"]["attacked_accuracy"]
                    - run.summary["clean"]["attacked_accuracy"] >= 0.1)
TRAINED = Assumption("the run was also trained through updates of rank 1 and d/10 (low_rank)",
                     lambda run: {1, _few(run)} <= set(_by_rank(run)))

CLAIM = Claim(
    id="A9", title="an update of low rank is enough",
    statement="Adversarial training that may move the clean weights by a matrix of low rank only "
              "gives most of the robustness that unrestricted adversarial training gives.",
    source="Allen-Zhu & Li, arXiv 2005.10190: version 4 trains through low-rank updates. \"Low\" "
           "(d/10) and \"most\" (80 %) are readings.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, LEARNED, PURIFIED, GAINED, TRAINED),
    quantity="share of the gain in attacked accuracy at tau that training through an update of "
             "rank d/10 reaches",
    law="at least 0.8 at every size",
    expected=1.0,
    thresholds={"share of the gain, trained at rank d/10": at_least(MOST)},
    fixed="2026-11-27")
RUNS = PERTURBATIONS


class _Found(NamedTuple):
    """What one run says.

    Attributes
    ----------
    ranks, trained : ndarray, shape (R + 1,)
        R/d from 0, and the share of the gain in attacked accuracy that training reaches there.
    certified : float
        Share of the gain in certified accuracy at rank d/10, where that gain is largest.
    truncated : ndarray, shape (7,)
        Share of the gain that the truncated update gives at `SHARES`.
    alignment : float
        |cos| of the trained update of rank 1 with M w*.
    own : float
        Share of the gain by each neuron's own feature and the first direction of the rest.
    own_norm : float
        Share of the update's squared norm that lies on the neurons' own features.
    """

    ranks: np.ndarray
    trained: np.ndarray
    certified: float
    truncated: np.ndarray
    alignment: float
    own: float
    own_norm: float


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _few(run: Run) -> int:
    return math.ceil(FEW * run.config.d)


def _by_rank(run: Run) -> dict[int, Mapping[str, Any]]:
    """What training through an update of each rank left."""
    return {numbers["rank"]: numbers for numbers in run.summary.get("low_rank") or ()}


def _share(value: float, before: float, after: float) -> float:
    return (value - before) / (after - before) if after > before else float("nan")


def _trained(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """R/d from 0, and the share of the gain in attacked accuracy at each."""
    ends = [run.summary[phase]["attacked_accuracy"] for phase in ("clean", "adversarial")]
    ranks = _by_rank(run)
    return (np.array([0, *ranks]) / run.config.d,
            np.array([0.0, *(_share(numbers["attacked_accuracy"], *ends)
                             for numbers in ranks.values())]))


def _certified(run: Run) -> float:
    """Share of the gain in certified accuracy at rank d/10; NaN where nothing was certified."""
    clean, adversarial = (run.summary[phase] | {"bracket": run.summary[phase].get("bracket") or []}
                          for phase in ("clean", "adversarial"))
    place, few = most_certified(clean, adversarial), _by_rank(run)[_few(run)]
    if place is None or not few.get("bracket"):
        return float("nan")
    return _share(*(numbers["bracket"][place]["certified"]
                    for numbers in (few, clean, adversarial)))


def _unrestricted(run: Run) -> tuple[np.ndarray, float, float]:
    """Parts of the unrestricted update: truncated, and own features with one direction."""
    simulation, arrays = PurificationExperiment(run.config), run.arrays
    few, bias = simulation.test_set[:SAMPLES], float(arrays["bias"])
    clean, adversarial = arrays["weights_clean"], arrays["weights_adversarial"]
    dictionary = arrays.get("dictionary")
    parts = decompose(clean, dictionary, arrays["labeler"])
    marked = parts.is_feature_neuron
    change = np.asarray(adversarial[marked], np.float64) - clean[marked]
    own = np.where(parts.is_pure[marked],
                   change if dictionary is None else change @ dictionary, 0.0)
    own = own if dictionary is None else own @ dictionary.T
    adversary = replace(simulation.adversary, strong={},
                        attacks=quick_attacks(simulation.data.dense_direction))

    def attacked(update: np.ndarray) -> float:
        weights = np.array(adversarial, np.float64)
        weights[marked] = clean[marked] + update
        network = simulation.network(weights.astype(clean.dtype), bias)
        return worst_case(network, few, adversary).accuracy()

    with fixed_threads(run.config.threads):
        before, after = attacked(np.zeros_like(change)), attacked(change)
        truncated = [_share(attacked(_largest(change, math.ceil(share * run.config.d))),
                            before, after) for share in SHARES]
        both = _share(attacked(own + _largest(change - own, 1)), before, after)
    return np.array(truncated), both, float(np.sum(own**2) / np.sum(change**2))


def _largest(matrix: np.ndarray, rank: int) -> np.ndarray:
    """The nearest matrix of that rank."""
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    nearest: np.ndarray = (left[:, :rank] * sizes[:rank]) @ right[:rank]
    return nearest


def _found(run: Run) -> _Found:
    truncated, own, own_norm = _unrestricted(run)
    return _Found(*_trained(run), _certified(run), truncated, float(_by_rank(run)[1]["alignment"]),
                  own, own_norm)


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    found = {size: [_found(run) for run in group] for size, group in groups.items()}

    def over(value: Any) -> dict[Size, np.ndarray]:
        return {size: np.array([value(entry) for entry in entries])
                for size, entries in found.items()}

    few = {size: list(_by_rank(group[0])).index(_few(group[0])) + 1
           for size, group in groups.items()}
    trained = {size: np.array([entry.trained[few[size]] for entry in entries])
               for size, entries in found.items()}
    one = over(lambda entry: entry.trained[1])
    truncated = over(lambda entry: entry.truncated[SHARES.index(FEW)])
    both = over(lambda entry: entry.own)
    parts = [
        at_every_size("share of the gain, trained at rank d/10", trained, CLAIM),
        at_every_size("share of the gain, trained at rank 1", one, (0.5, np.inf), decisive=False),
        at_every_size("|cos| of the trained update of rank 1 with M w*",
                      over(lambda entry: entry.alignment), (0.9, np.inf), decisive=False),
        at_every_size("share of the gain, unrestricted update truncated to rank d/10", truncated,
                      (MOST, np.inf), decisive=False),
        at_every_size("share of the gain, own features and one direction of the unrestricted "
                      "update", both, (MOST, np.inf), decisive=False)]
    certified = {size: shares for size, shares in over(lambda entry: entry.certified).items()
                 if np.isfinite(shares).all()}
    if certified:
        parts.append(at_every_size("share of the gain in certified accuracy, trained at rank d/10",
                                   certified, (MOST, np.inf), decisive=False))
    order = list(groups)
    panels = (
        _over_ranks("share of gain, update of rank $R$", found, order,
                    lambda entry: (entry.ranks, entry.trained)),
        _over_ranks("share of gain, cut to rank $R$", found, order,
                    lambda entry: (np.array(SHARES), entry.truncated)),
        Panel("$d, k$", "share of the gain",
              (series_over_sizes("trained, d/10", trained, "case 0", order),
               series_over_sizes("trained, 1", one, "case 1", order),
               series_over_sizes("truncated, d/10", truncated, "case 2", order),
               series_over_sizes("own features + 1", both, "case 3", order)),
              (Curve("accepted, d/10", (-0.4, len(order) - 0.6), (MOST, MOST)),),
              ticks=size_names(order), ylim=(-0.05, 1.35)))
    return Evidence(parts, Picture(
        "Share of the gain in attacked accuracy at tau. Left: the clean network trained through an "
        "update of rank R (smallest and largest size of each family). Middle: the update of "
        "unrestricted training, cut to its R largest singular directions on the feature neurons. "
        "Right: at rank d/10 and 1, and what each neuron's own feature and one direction of the "
        "unrestricted update give together.", panels), _lines(found, trained))


def _over_ranks(title: str, found: Mapping[Size, Sequence[_Found]], order: Sequence[Size],
                curve: Any) -> Panel:
    series = []
    for number, size in enumerate(_ends(order)):
        lines = [curve(entry) for entry in found[size]]
        series.append(Series(f"{size.family} {size}", lines[0][0], np.array([y for _, y in lines]),
                             f"case {number % 7}", joined=True))
    return Panel("$R / d$", title, tuple(series),
                 (Curve("accepted from here", (FEW, FEW), (MOST, 1.1)),), ylim=(-0.05, 1.35))


def _ends(order: Sequence[Size]) -> list[Size]:
    """The smallest and the largest size of each family."""
    families = sorted({size.family for size in order})
    return [size for family in families
            for size in dict.fromkeys([[s for s in order if s.family == family][0],
                                       [s for s in order if s.family == family][-1]])]


def _lines(found: Mapping[Size, Sequence[_Found]],
           trained: Mapping[Size, np.ndarray]) -> list[str]:
    """Where the update is no matrix of few directions, in numbers."""
    return [f"{size.family} {size}: {np.mean([entry.own_norm for entry in entries]):.0%} of the "
            "unrestricted update's squared norm is the growth of each neuron's own feature, which "
            f"no few directions hold; rank d/10 gives {trained[size].mean():.2f} of the gain"
            for size, entries in found.items()]
