"""A10: who wins a feature is decided at the start.

All neurons see the same gradient along a feature as long as their gates are as seldom open, so
the one that starts with most of it passes the growing bias first, and the others are left behind.
In numbers: the score of neuron i and feature j is ``w*_j <w_i(0), M_j>`` in units of
``sigma_0 sqrt(log d)``, in which the largest of a neuron's d scores is about sqrt(2). Who wins is
predicted from the scores alone: the pairs with the largest ones, as many as there are winners, so
that precision and recall are one number. Guessing would find a share ``winners/(m d)`` of them.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import decompose
from theory.claim import Claim, Finding, Run, Size, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, of_slopes, series_over_sizes,
                             size_names, values_of)
from theory.feature_purification.assumptions import (BELOW_SQUARE_ROOT, FRESH_SAMPLES, LEARNED,
                                                     MORE_NEURONS)
from theory.feature_purification.plans import NETWORK
from theory.regime import largest_family, same_seeds
from theory.scaling import TooFew, fit_exponent

__all__ = ["CLAIM", "RUNS", "confront", "foretold", "scores", "winners"]

CERTAIN = math.sqrt(2.0)  # the largest of d scores, about
POSSIBLE = 1.0  # a score that one pair in d^(1/2) and more has by chance
OTHER_SEED = 10_007  # further on: the start of the control

CLAIM = Claim(
    id="A10", title="who wins is decided at the start",
    statement="The neurons that hold a feature after clean training are those whose random start "
              "had most of it, with the sign of its label; the start alone tells who they are.",
    source="A reading of Allen-Zhu & Li, arXiv 2005.10190, whose proof sets the neurons apart at "
           "the start. The thresholds were fixed on seeds below 100.",
    assumptions=(BELOW_SQUARE_ROOT, MORE_NEURONS, FRESH_SAMPLES, LEARNED),
    quantity="share of the winners (feature neurons i, each with its largest feature j) among as "
             "many pairs (i, j) with the largest scores w*_j <w_i(0), M_j>; the same with the "
             "start of another seed; share of winners whose score is above sigma_0 sqrt(log d)",
    law="foretold at least 0.5 and from another start at most 0.05, above sigma_0 sqrt(log d) at "
        "least 0.9, at every size",
    expected=1.0,
    thresholds={"winners foretold (precision and recall)": at_least(0.5),
                "winners foretold from another seed's start": at_most(0.05),
                "winners that start above sigma_0 sqrt(log d)": at_least(0.9)},
    fixed="2026-11-27")
RUNS = NETWORK


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def scores(run: Run, seed: int | None = None) -> np.ndarray:
    """Return ``w*_j <w_i(0), M_j> / (sigma_0 sqrt(log d))`` of a run, shape (m, d).

    Parameters
    ----------
    run : Run
    seed : int or None
        Of another run, whose start is taken.
    """
    config = run.config if seed is None else replace(run.config, seed=seed)
    start = np.asarray(PurificationExperiment(config).initial_weights(), np.float64)
    dictionary = run.arrays.get("dictionary")
    coefficients = start if dictionary is None else start @ dictionary
    unit = run.config.init_scale * math.sqrt(math.log(run.config.d))
    aligned: np.ndarray = coefficients * (np.sign(run.arrays["labeler"]) / unit)
    return aligned


def winners(run: Run) -> np.ndarray:
    """Return which neuron won which feature in clean training, a mask of shape (m, d)."""
    arrays = run.arrays
    parts = decompose(arrays["weights_clean"], arrays.get("dictionary"), arrays["labeler"])
    return parts.is_pure & (parts.is_feature_neuron & (parts.peaks != 0.0))[:, None]


def foretold(scored: np.ndarray, won: np.ndarray) -> float:
    """Return the share of the winners among as many pairs with the largest scores.

    Precision and recall at once.

    Parameters
    ----------
    scored, won : ndarray, shape (m, d)
    """
    count = int(np.count_nonzero(won))
    if count == 0:
        return math.nan
    largest = np.argpartition(scored, scored.size - count, axis=None)[scored.size - count:]
    return float(won.ravel()[largest].mean())


def _numbers(run: Run) -> dict[str, float]:
    """All that is asked of a run: its start is drawn, and its weights are read, once."""
    won, scored = winners(run), scores(run)
    of_winners, above = scored[won], scored >= CERTAIN
    return {"foretold": foretold(scored, won),
            "other": foretold(scores(run, run.config.seed + OTHER_SEED), won),
            "possible": float(np.mean(of_winners >= POSSIBLE)) if of_winners.size else math.nan,
            "precision": float(won[above].mean()) if above.any() else math.nan,
            "recall": float(np.mean(of_winners >= CERTAIN)) if of_winners.size else math.nan,
            "sign": float(np.mean(of_winners > 0.0)) if of_winners.size else math.nan}


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    numbers = {id(run): _numbers(run) for group in groups.values() for run in group}

    def of(name: str) -> dict[Size, np.ndarray]:
        return values_of(groups, lambda run: numbers[id(run)][name])

    parts = [at_every_size("winners foretold (precision and recall)", of("foretold"), CLAIM),
             at_every_size("winners foretold from another seed's start", of("other"),
                           CLAIM),
             at_every_size("winners that start above sigma_0 sqrt(log d)", of("possible"),
                           CLAIM)]
    for words, name in ((f"precision of a score above {CERTAIN:.2f}", "precision"),
                        (f"recall of a score above {CERTAIN:.2f}", "recall"),
                        ("winners that start with the sign of their label", "sign")):
        parts.append(at_every_size(words, of(name), (0.0, math.inf), decisive=False))
    caveats: list[str] = []
    runs, _ = largest_family([run for group in groups.values() for run in group])
    table = same_seeds(runs)
    try:
        rows = np.array([[numbers[id(run)]["foretold"] for run in group]
                         for group in table.values()]).T
        parts.append(of_slopes("exponent of the foretold share in d",
                               fit_exponent([size.d for size in table], rows), (0.0, math.inf),
                               decisive=False))
    except (TooFew, ValueError) as reason:
        caveats.append(f"no exponent in d: {reason}")
    return Evidence(parts, _picture(groups, of("foretold"), of("precision"), of("other")), caveats)


def _picture(groups: dict[Size, list[Run]], told: dict[Size, np.ndarray],
             precision: dict[Size, np.ndarray], other: dict[Size, np.ndarray]) -> Picture:
    order = list(groups)
    return Picture(
        "Share of the winners after clean training that the start foretells: as many pairs of a "
        "neuron and a feature as there are winners, those with the largest scores; the same from "
        "the start of another seed; and which share of the pairs with a score above sqrt(2) win.",
        (Panel("$d, k$", "share of winners",
               (series_over_sizes("foretold by the start", told, "clean", order),
                series_over_sizes("by another start", other, "linear", order),
                series_over_sizes(r"of scores above $\sqrt{2}$", precision, "other", order)),
               (Curve("accepted from here", (-0.4, len(order) - 0.6), (0.5, 0.5)),),
               ticks=size_names(order), ylim=(-0.03, 1.05)),))
