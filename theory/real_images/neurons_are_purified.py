"""I3 (article, figure 6): neurons become purer: ``w = beta w' + v``, v the smaller and the noisier.

The paper's principle of feature purification, on real images.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, at_least
from theory.drawing.picture import Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, series_over_sizes, size_names,
                             values_of)
from theory.real_images.assumptions import SOURCE
from theory.real_images.plans import BOTH
from theory.real_images.quantities import Groups, gain, level, number_of, panel_of

__all__ = ["CLAIM", "RUNS", "confront"]

KEPT, NOISIER, LESS, SIGN = 1.0, 0.03, 0.03, 0.9

CLAIM = Claim(
    id="I3", title="neurons are purified",
    statement="Adversarial training purifies neurons: a clean neuron is a multiple of the "
              "adversarially trained one and a mixture that is removed, the smaller part of it.",
    source=f"{SOURCE}That the mixture v is the smaller part is how the paper's principle is read "
           "here. That v is what is noisy, and the thresholds, are readings too.",
    assumptions=(),
    quantity="median over neurons of ||beta w'|| / ||v|| in w = beta w' + v; share of neurons with "
             "beta > 0; energy at high frequencies: v minus beta w', and clean minus adversarial "
             "neurons",
    law="ratio at least 1, beta > 0 for at least .9, v and the clean neurons noisier by at least "
        ".03, on every task",
    expected=1.0,
    thresholds={"||beta w'|| over ||v||": at_least(KEPT), "beta > 0": at_least(SIGN),
                "high frequencies, v minus beta w'": at_least(NOISIER),
                "high frequencies, clean minus adversarial neurons": at_least(LESS)},
    fixed="2026-11-27")
RUNS = BOTH


def confront(runs: Sequence[Run]) -> Finding:
    """Confront I3 with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    ratio = values_of(groups, number_of("purification", "kept_over_removed"))
    longer = values_of(groups, number_of("longer_purification", "kept_over_removed"))
    parts = [
        at_every_size("||beta w'|| over ||v||", ratio, CLAIM, logarithms=True),
        at_every_size("beta > 0", values_of(groups, number_of("purification", "beta_positive")),
                      CLAIM),
        at_every_size("high frequencies, v minus beta w'", values_of(groups, lambda run: (
            number_of("purification", "removed_high_frequency")(run)
            - number_of("purification", "kept_high_frequency")(run))), CLAIM),
        at_every_size("high frequencies, clean minus adversarial neurons",
                      values_of(groups, gain("neuron_high_frequency", "clean", "adversarial")),
                      CLAIM),
        at_every_size("||beta w'|| over ||v||, w' after longer clean training", longer,
                      (0.0, np.inf), logarithms=True, decisive=False)]
    caveats = []
    for size, group in groups.items():
        mean = {phase: np.mean([number_of(phase, "neuron_high_frequency")(run) for run in group])
                for phase in ("clean", "longer", "adversarial")}
        caveats.append(
            f"{size.family} {size}: neurons at high frequencies: clean {mean['clean']:.3f}, "
            f"adversarial {mean['adversarial']:.3f}; clean training for as long: "
            f"{mean['longer']:.3f}: what that removes is no purification")
    order = list(groups)
    picture = Picture(
        "Length of what adversarial training keeps of a neuron over that of what it removes; "
        "energy at high frequencies of both parts, and of the neurons.",
        (Panel("pixels, neurons", "$\\|\\beta w'\\|\\,/\\,\\|v\\|$",
               (series_over_sizes("$w'$ adversarial", ratio, "adversarial", order),
                series_over_sizes("$w'$ longer clean", longer, "other", order)),
               (level(groups, "accepted from here", KEPT),), log="y", ticks=size_names(order)),
         Panel("pixels, neurons", "energy at high\nfrequencies of the parts", tuple(
             series_over_sizes(label, values_of(groups, number_of("purification", name)), role,
                               order)
             for label, name, role in (("kept $\\beta w'$", "kept_high_frequency", "adversarial"),
                                       ("removed $v$", "removed_high_frequency", "clean"))),
               ticks=size_names(order), ylim=(0.0, 0.75)),
         panel_of(groups, "neuron_high_frequency", "neurons' energy at\nhigh frequencies")))
    return Evidence(parts, picture, caveats)
