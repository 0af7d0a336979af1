"""A5: a perturbation made for one clean network also fools one trained independently.

The mixtures of both lie along the same direction ``M w*``, which the data fix and the
initialisation does not. Network A's strongest perturbations of its test set are given to networks
B of other seeds (other initialisation, other samples, the same dictionary and labels).
"""

from collections.abc import Sequence

import numpy as np

from simulator.jit import fixed_threads
from theory.claim import Assumption, Claim, Finding, Run, Size, at_least
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import Evidence, at_every_size, confronted, series_over_sizes, size_names
from theory.feature_purification.assumptions import ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, LEARNED
from theory.feature_purification.plans import PERTURBATIONS

__all__ = ["CLAIM", "RUNS", "confront", "strongest"]

SAME_TASK = Assumption("the networks of all seeds see the same dictionary and labels",
                       lambda run: run.config.dictionary == "identity"
                       and run.config.labeler == "ones")
VULNERABLE = Assumption("the white-box attack at tau costs the clean network 20 % of its samples",
                        lambda run: run.summary["clean"]["accuracy"]
                        - run.summary["clean"]["attacked_accuracy"] >= 0.2)

CLAIM = Claim(
    id="A5", title="perturbations transfer",
    statement="The strongest perturbations of one clean network break an independently "
              "initialised clean network, trained on other samples of the same task, almost as "
              "often as the one they were made for.",
    source="Allen-Zhu & Li, arXiv 2005.10190, as a consequence of the shared dense direction. "
           "\"Almost as often\" is a reading: 80 %.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, LEARNED, SAME_TASK, VULNERABLE),
    quantity="drop of accuracy of network B under A's perturbations over the drop of A itself, "
             "at radius tau, averaged over all B for each A",
    law="at least 0.8 at every size",
    expected=1.0,
    thresholds={"transferred share of the drop": at_least(0.8)},
    fixed="2026-11-21")
RUNS = PERTURBATIONS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def strongest(run: Run) -> np.ndarray:
    """Return what the run's attacks find against its clean network's test set, shape (n, d).

    Found again from the same random stream. Of the run's own attacked accuracy they are all but
    what its strong attacks add on the few samples that these leave right: it is lower by a little,
    which works against the claim.
    """
    found = run.adversary.worst_case(run.network("clean"), run.test_set)
    return found.delta


def _transfer(group: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Return (seeds,) drops of the others, and of each network itself, over A."""
    others, own = [], []
    for run in group:
        test = run.test_set
        with fixed_threads(run.config.threads):
            moved = test.X + strongest(run)
            drops = []
            for other in group:
                if other is run:
                    continue
                network = other.network("clean")
                right = network.margins(test.X, test.y) > 0.0
                still = network.margins(moved, test.y) > 0.0
                drops.append(float(right.mean() - still.mean()))
        others.append(float(np.mean(drops)))
        own.append(run.summary["clean"]["accuracy"] - run.summary["clean"]["attacked_accuracy"])
    return np.array(others), np.array(own)


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    drops = {size: _transfer(group) for size, group in groups.items()}
    ratio = {size: others / own for size, (others, own) in drops.items()}
    order = list(groups)
    picture = Picture(
        "Accuracy lost at radius tau: by the network a perturbation was made for, and by "
        "independently trained ones that receive the same perturbation.",
        (Panel("$d, k$", r"accuracy lost at $\tau$",
               (series_over_sizes("white box", {s: own for s, (_, own) in drops.items()},
                                  "clean", order),
                series_over_sizes("transferred", {s: other for s, (other, _) in drops.items()},
                                  "other", order)),
               ticks=size_names(order), ylim=(0.0, 1.0)),
         Panel("$d, k$", "transferred / white box",
               (series_over_sizes("transferred share", ratio, "other", order),),
               (Curve("as good as white box", (-0.4, len(order) - 0.6), (1.0, 1.0)),
                Curve("accepted from here", (-0.4, len(order) - 0.6), (0.8, 0.8))),
               ticks=size_names(order), ylim=(0.0, 1.3))))
    return Evidence([at_every_size("transferred share of the drop", ratio, CLAIM)],
                    picture, ["networks take part in several pairs, so the seeds of this ratio "
                              "are not fully independent"])
