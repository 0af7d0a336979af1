"""C4 (Loo et al., arXiv 2210.12030): a fixed kernel can be trained robust, in part.

Adversarial training on the frozen kernel of clean training, against benign training there and on
the kernel of adversarial training.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, values_of
from theory.ntk_evolution.assumptions import HARDENED, INTERMEDIATE, LEARNED, SOURCE
from theory.ntk_evolution.mixed import confronted_twice
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import Groups, attacked, frozen, networks_themselves, when

__all__ = ["CLAIM", "RUNS", "confront"]

# what is compared: in short, the first (kernel, phase-2 training), the second, role in the figure
GAINS = {
    "adversarial less benign training on the clean kernel":
        ("training: adversarial $-$ benign", ("clean", "adversarial"), ("clean", "benign"),
         "clean"),
    "benign training on the adversarial kernel less adversarial on the clean one":
        ("kernel: adversarial $-$ clean", ("adversarial", "benign"), ("clean", "adversarial"),
         "adversarial")}

CLAIM = Claim(
    id="C4", title="a fixed kernel can be trained robust, in part",
    statement="Adversarial training on a fixed kernel yields non-trivial robustness: more than "
              "benign training on that kernel, less than the kernel of adversarial training "
              "gives even to benign training.",
    source=f"{SOURCE}, for the first half. The second half is a reading: it says what a kernel "
           "that moved is worth.",
    assumptions=(LEARNED, HARDENED, INTERMEDIATE),
    quantity="attacked accuracy at tau of adversarial phase-2 training on the clean kernel "
             "(centred), less that of benign training there; that of benign training on the "
             "adversarial kernel, less the first",
    law="both differences at least 0, at both times and every size",
    expected=0.0,
    thresholds={name: at_least(0.0) for name in GAINS},
    fixed="2026-11-21")
RUNS = KERNELS
# the three trainings that are compared: label, kernel, phase-2 training, role
COMPARED = (("adversarial kernel, benign training", "adversarial", "benign", "adversarial"),
            ("clean kernel, adversarial training", "clean", "adversarial", "clean"),
            ("clean kernel, benign training", "clean", "benign", "linear"))


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C4 with runs."""
    return confronted_twice(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    parts = []
    for place, decisive in ((1, True), (2, True), (-1, False)):
        for name, (_, upper, lower, _) in GAINS.items():
            gain = values_of(groups, lambda run: attacked(run, place, *upper)
                             - attacked(run, place, *lower))
            parts.append(at_every_size(f"{name}, {when(place)}", gain, CLAIM,
                                       decisive=decisive, threshold=name))
    for dynamics in ("uncentred", "full"):
        whole = values_of(groups, lambda run: attacked(
            run, 1, "clean", "adversarial", dynamics=dynamics) - attacked(
                run, 1, "clean", "benign", dynamics=dynamics))
        parts.append(at_every_size("adversarial less benign training from the clean checkpoint, "
                                   f"{when(1)}, {dynamics}", whole, (0.0, np.inf),
                                   decisive=False))
    hidden = values_of(groups, lambda run: attacked(
        run, 1, "clean", "masked", "plain_attacked_accuracy")
        - attacked(run, 1, "clean", "masked"))
    parts.append(at_every_size("attacked accuracy that plain PGD overstates after training against "
                               f"plain gates, {when(1)}", hidden, (0.0, np.inf), decisive=False))
    return Evidence(parts, _picture(groups), [
        "phase 2 is trained against an attack that sees smoothed gates, and attacked through them: "
        "training against the true gates alone hides behind their jumps"])


def _picture(groups: Groups) -> Picture:
    """The three trainings over the time of the kernel, and the two differences that decide."""
    size = next(iter(groups))
    group = groups[size]
    times = group[0].config.regular_times

    def over_times(mode: str, data: str) -> np.ndarray:
        return np.array([[frozen(run, mode, time, data) for time in times] for run in group])

    x = np.array(times, float)
    return Picture(
        f"Centred frozen kernels at {size}, against the phase-1 time of the kernel. Left: attacked "
        "accuracy after benign or adversarial phase-2 training, and of the networks of phase 1 "
        "themselves. Right: the two differences that must not be negative at the first two times "
        "after the start (heavy line).",
        (Panel("phase-1 step of the kernel", r"attacked accuracy at $\tau$",
               tuple(Series(label, x, over_times(mode, data), role, joined=True)
                     for label, mode, data, role in COMPARED)
               + networks_themselves(group, "network itself"),
               ylim=(0.0, 1.05)),
         Panel("phase-1 step of the kernel", "difference in attacked accuracy",
               tuple(Series(label, x, over_times(*upper) - over_times(*lower), role, joined=True)
                     for label, upper, lower, role in GAINS.values()),
               (Curve("", (0.0, times[-1]), (0.0, 0.0), ":"),
                Curve("accepted from here", (times[1], times[2]), (0.0, 0.0), "-")))))
