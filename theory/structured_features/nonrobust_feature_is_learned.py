"""B1 (Li & Li, arXiv 2410.08503): standard training learns the non-robust feature.

Some neuron of each class grows along v while <w, u> stays near its start; the network is right on
clean samples and broken along v.
"""

from collections.abc import Sequence

from theory.claim import Claim, Finding, Run, Threshold, at_least, at_most
from theory.drawing.picture import Picture
from theory.evidence import Evidence, at_every_size, confronted, levels_over_sizes, values_of
from theory.structured_features.assumptions import DENSE, QUIET, SOURCE, SUPERLINEAR, WEAK
from theory.structured_features.plans import CHANGED, NETWORKS
from theory.structured_features.quantities import (Groups, accuracy_panel, at_the_start,
                                                   correlation_panel, exponent_in_d, geometric_mean,
                                                   in_norm, level, number_of, over, samples_of,
                                                   share_along_v, trained)

__all__ = ["CLAIM", "RUNS", "confront"]

RATIO, GROWTH, ALONG = 10.0, 3.0, 0.5  # at least, at most, at least

CLAIM = Claim(
    id="B1", title="standard training learns the non-robust feature",
    statement="Standard training makes some neuron of each class grow along the weak, dense, "
              "non-robust feature while the robust one stays near its start. The network is "
              "right on clean samples and wrong under perturbations along the non-robust "
              "features.",
    source=f"{SOURCE}The factors 10 and 3, \"at least half\" and the accuracies .99 and .01 are "
           "readings of limits.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="<w, v> over <w, u> (largest over neurons, mean over classes); <w, u> over its "
             "start; accuracies; share of the strongest perturbation, in squared length, that "
             "lies along features v",
    law="ratio at least 10, growth of u at most 3, clean accuracy at least .99, accuracy under "
        "PGD and along v at most .01, share along v at least .5 (in l_inf balls, which have room "
        "for every direction at once, instead accuracy under -beta v_y + eps v_t at most .01), at "
        "every size",
    expected=10.0,
    thresholds={"<w, v> over <w, u>": at_least(RATIO), "growth of <w, u>": at_most(GROWTH, 0.0),
                "clean accuracy": Threshold(0.99, 1.0), "accuracy under PGD": at_most(0.01, 0.0),
                "accuracy along v": at_most(0.01, 0.0), "share along v": at_least(ALONG),
                "accuracy under -beta v_y + eps v_t": at_most(0.01, 0.0)},
    fixed="2026-11-27", changed=CHANGED)
RUNS = NETWORKS
TRAINING = "standard"


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B1 with runs that hold standard training."""
    return confronted(CLAIM, trained(runs, TRAINING), _measure)


def _measure(groups: Groups) -> Evidence:
    u, v = (values_of(groups, number_of(TRAINING, name)) for name in ("u", "v"))
    start = values_of(groups, lambda run: at_the_start(run, "u"))
    growth = over(u, start)
    accuracy = {name: values_of(groups, number_of(TRAINING, name))
                for name in ("accuracy", "pgd", "along_v", "along_u")}
    along = values_of(groups, lambda run: share_along_v(run, TRAINING))
    balls, cubes = in_norm(groups, "l2"), in_norm(groups, "linf")
    ratio, samples = over(v, u), samples_of(groups)
    parts = [
        at_every_size("<w, v> over <w, u>", ratio, CLAIM, logarithms=True),
        at_every_size("growth of <w, u>", growth, CLAIM, logarithms=True),
        at_every_size("clean accuracy", accuracy["accuracy"], CLAIM, samples),
        at_every_size("accuracy under PGD", accuracy["pgd"], CLAIM, samples),
        at_every_size("accuracy along v", accuracy["along_v"], CLAIM, samples),
        *([at_every_size("share along v", {size: along[size] for size in balls}, CLAIM)]
          if balls else []),
        *([at_every_size("accuracy under -beta v_y + eps v_t",
                         values_of(cubes, number_of(TRAINING, "erase_and_write")), CLAIM, samples)]
          if cubes else []),
        at_every_size("accuracy along u", accuracy["along_u"], (0.0, 1.0), samples,
                      decisive=False),
        *exponent_in_d("<w, v> over <w, u>", ratio, groups)]
    picture = Picture(
        "Standard training: largest correlations of a neuron with the two features; accuracy on "
        "clean samples, under PGD and along the features v; share of the strongest perturbation, "
        "in squared length, along features v; at each size (d, J_NR).",
        (correlation_panel(groups, {"non-robust $v$": (v, "clean"),
                                    "robust $u$": (u, "adversarial")}, (
            levels_over_sizes(f"${RATIO:g}\\,u$: $v$ from here",
                              [RATIO * value for value in geometric_mean(u)]),
            levels_over_sizes(f"{GROWTH:g} times its start: $u$ up to here",
                              [GROWTH * value for value in geometric_mean(start)]))),
         accuracy_panel(groups, {"clean": (accuracy["accuracy"], "other"),
                                 "under PGD": (accuracy["pgd"], "clean"),
                                 "along $v$": (accuracy["along_v"], "linear")},
                        (level(groups, "clean from here", 0.99),
                         level(groups, "others up to here", 0.01))),
         accuracy_panel(groups, {"strongest attack": (along, "clean")},
                        (level(groups, "accepted from here", ALONG),),
                        "share of $\\|\\delta\\|^2$ along $v$")))
    return Evidence(parts, picture, [])
