"""B2 (Li & Li, arXiv 2410.08503): adversarial training learns the robust feature.

Descent at samples perturbed by the strongest inner search makes <w, u> grow and holds <w, v> down;
the network withstands the worst of all attacks.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Measurement, Run, Threshold, at_least, at_most
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.structured_features.assumptions import DENSE, QUIET, SOURCE, SUPERLINEAR, WEAK
from theory.structured_features.plans import CHANGED, NETWORKS
from theory.structured_features.quantities import (Groups, accuracy_panel, correlation_panel,
                                                   exponent_in_d, in_norm, level, number_of, over,
                                                   samples_of, trained, trainings)

__all__ = ["CLAIM", "RUNS", "confront"]

RATIO, WITHSTOOD = 10.0, 0.95  # at least

CLAIM = Claim(
    id="B2", title="adversarial training learns the robust feature",
    statement="Descent at samples perturbed by gradient ascent makes the robust feature grow and "
              "holds the non-robust one down; the network is right on clean and on perturbed "
              "samples.",
    source=f"{SOURCE}\"Adversarial training\" is here training against the strongest inner "
           "search, PGD from many starts, each patch for itself; what one ascent step and plain "
           "PGD achieve is reported beside it. The factor 10 and the accuracies are readings.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="<w, u> over its value under standard training, <w, v> likewise; clean accuracy; "
             "accuracy under the worst of all attacks",
    law="u at least 10 times, v less than once the standard value; clean accuracy at least .99, "
        "under the strongest attack at least .95, at every size",
    expected=10.0,
    thresholds={"<w, u> over its standard value": at_least(RATIO),
                "<w, v> over its standard value": at_most(1.0, 0.0),
                "clean accuracy": Threshold(0.99, 1.0),
                "accuracy under the strongest attack": Threshold(WITHSTOOD, 1.0)},
    fixed="2026-11-21", changed=CHANGED)
RUNS = NETWORKS
TRAINING = "multi_start"  # the strongest inner search


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B2 with runs that hold standard and the strongest adversarial training."""
    return confronted(CLAIM, trained(runs, "standard", TRAINING), _measure)


def _measure(groups: Groups) -> Evidence:
    values = {name: values_of(groups, number_of(TRAINING, name))
              for name in ("u", "v", "accuracy", "attacked_accuracy")}
    u, v = (over(values[name], values_of(groups, number_of("standard", name)))
            for name in ("u", "v"))
    samples = samples_of(groups)
    parts = [
        at_every_size("<w, u> over its standard value", u, CLAIM, logarithms=True),
        at_every_size("<w, v> over its standard value", v, CLAIM, logarithms=True),
        at_every_size("clean accuracy", values["accuracy"], CLAIM, samples),
        at_every_size("accuracy under the strongest attack", values["attacked_accuracy"],
                      CLAIM, samples),
        *_weaker(groups), *exponent_in_d("<w, u> over its standard value", u, groups)]
    strongest = {name: values_of(groups, number_of(name, "attacked_accuracy"))
                 for name in trainings(groups)}
    roles = dict(zip(strongest, ("clean", "linear", "other", "adversarial")))
    picture = Picture(
        "Largest correlations of a neuron with the two features, under standard training and under "
        "training against the strongest inner search (adversarial); the latter over the former; "
        "accuracy under the strongest attack after each training; at each size (d, J_NR).",
        (correlation_panel(groups, {
            "$u$, adversarial": (values["u"], "adversarial"),
            "$v$, adversarial": (values["v"], "other"),
            "$u$, standard": (values_of(groups, number_of("standard", "u")), "clean"),
            "$v$, standard": (values_of(groups, number_of("standard", "v")), "linear")}),
         correlation_panel(groups, {"robust $u$": (u, "adversarial"),
                                    "non-robust $v$": (v, "other")},
                           (level(groups, "$u$ from here", RATIO),
                            level(groups, "$v$ below", 1.0)),
                           "correlation, adversarial / standard"),
         accuracy_panel(groups, {name.replace("_", " "): (shares, roles[name])
                                 for name, shares in strongest.items()},
                        (level(groups, "multi start from here", WITHSTOOD),),
                        "accuracy under the strongest attack")))
    return Evidence(parts, picture, _one_step_caveat(groups) + _cube_caveat(groups))


def _weaker(groups: Groups) -> list[Measurement]:
    """What the other trainings withstand; shown only."""
    return [at_every_size(f"{name.replace('_', ' ')} training under {words}",
                          values_of(groups, number_of(name, attack)), (0.0, 1.0),
                          samples_of(groups), decisive=False)
            for name in trainings(groups) if name not in ("standard", TRAINING)
            for attack, words in (("one_step_attack", "one step attack"), ("pgd", "pgd"),
                                  ("along_u", "along u"),
                                  ("attacked_accuracy", "strongest attack"))]


def _one_step_caveat(groups: Groups) -> list[str]:
    if "one_step" not in trainings(groups):
        return []
    found = {attack: np.concatenate(list(values_of(groups, number_of("one_step", attack)).values()))
             for attack in ("u", "one_step_attack", "pgd", "along_u")}
    return [f"after training against one ascent step <w, u> is {found['u'].mean():.2f}, accuracy "
            f"under that step {found['one_step_attack'].mean():.2f}, under PGD "
            f"{found['pgd'].mean():.2f}, along u {found['along_u'].mean():.2f}; the verdict is "
            "about the strongest training"]


def _cube_caveat(groups: Groups) -> list[str]:
    """Why no class that reads its own u can withstand cubes; see the README."""
    notes = []
    for size, group in in_norm(groups, "linf").items():
        config = group[0].config
        left = config.robust_patches * (config.alpha - config.epsilon) ** config.q
        written = config.nonrobust_patches * config.epsilon ** config.q
        notes.append(f"{size}: in l_inf balls u_j has room beside all else in every weak patch, "
                     f"J_NR eps^q = {written:.4g} against J_R (alpha - eps)^q = {left:.4g} left of "
                     "u_y: a network whose classes read their own u alone is wrong if the first is "
                     "larger, and it is wherever kappa > 1")
    return notes
