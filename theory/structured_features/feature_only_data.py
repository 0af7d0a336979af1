"""B4 (Li & Li, arXiv 2410.08503): what a network has learned shows on feature-only data.

D_R has the robust patches alone, D_NR the non-robust ones: the paper's notion of what is learned.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, Threshold
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.structured_features.assumptions import DENSE, QUIET, SOURCE, SUPERLINEAR, WEAK
from theory.structured_features.plans import CHANGED, NETWORKS
from theory.structured_features.quantities import (Groups, accuracy_panel, feature_only_margin,
                                                   level, number_of, over, samples_of, trained,
                                                   trainings)

__all__ = ["CLAIM", "RUNS", "confront"]

RIGHT, CHANCE = 0.99, 0.1  # at least; that far from chance at most

CLAIM = Claim(
    id="B4", title="what is learned shows on feature-only data",
    statement="Standard training is right on samples of non-robust patches alone (D_NR) and at "
              "chance on samples of robust patches alone (D_R); adversarial training is right on "
              "D_R.",
    source=f"{SOURCE}Feature-only data are known from a review of the paper. That the other "
           "patches are left out, the accuracy .99 and .1 round chance, are readings.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="accuracies on the robust and on the non-robust patches of the test samples, after "
             "standard training and after every adversarial one",
    law="standard training at least .99 on D_NR and within .1 of chance on D_R; one-step and "
        "strongest adversarial training at least .99 on D_R, at every size",
    expected=1.0,
    thresholds={"adversarial training on D_R": Threshold(RIGHT, 1.0),
                "one-step training on D_R": Threshold(RIGHT, 1.0),
                "standard training on D_NR": Threshold(RIGHT, 1.0),
                "standard training on D_R, above chance": Threshold(-CHANCE, CHANCE)},
    fixed="2026-11-27", changed=CHANGED)
RUNS = NETWORKS
STRONGEST = "multi_start"


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B4 with runs that hold standard, one-step and the strongest training."""
    known = [run for run in trained(runs, "standard", "one_step", STRONGEST)
             if "on_robust" in run.summary["standard"]]
    return confronted(CLAIM, known, _measure)


def _measure(groups: Groups) -> Evidence:
    robust = {name: values_of(groups, number_of(name, "on_robust")) for name in trainings(groups)}
    nonrobust = {name: values_of(groups, number_of(name, "on_nonrobust")) for name in robust}
    above = values_of(groups, lambda run: run.summary["standard"]["on_robust"]
                      - 1.0 / run.config.classes)
    samples = samples_of(groups)
    share = over(*(values_of(groups, feature_only_margin("standard", part))
                   for part in ("robust", "nonrobust")))
    parts = [
        at_every_size("adversarial training on D_R", robust[STRONGEST], CLAIM, samples),
        at_every_size("one-step training on D_R", robust["one_step"], CLAIM, samples),
        at_every_size("standard training on D_NR", nonrobust["standard"], CLAIM, samples),
        at_every_size("standard training on D_R, above chance", above, CLAIM),
        at_every_size("adversarial training on D_NR", nonrobust[STRONGEST], (0.0, 1.0), samples,
                      decisive=False)]
    roles = dict(zip(robust, ("clean", "linear", "other", "adversarial")))
    picture = Picture(
        "Accuracy on the robust patches alone (left) and on the non-robust patches alone (right), "
        "after each training, at each size (d, J_NR).",
        tuple(accuracy_panel(groups, {name.replace("_", " "): (values, roles[name])
                                      for name, values in shares.items()},
                             (level(groups, "right from here", RIGHT),), f"accuracy on {words}")
              for shares, words in ((robust, "$D_R$"), (nonrobust, "$D_{NR}$"))))
    means = np.concatenate(list(share.values()))
    return Evidence(parts, picture, [
        "an accuracy does not see how little is left of u: the median margin of standard training "
        f"on D_R is {np.median(means):.1e} of that on D_NR (median over runs)"])
