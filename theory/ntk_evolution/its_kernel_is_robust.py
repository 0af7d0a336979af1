"""C3 (Loo et al., arXiv 2210.12030): the kernel of adversarial training is robust by itself.

Benign training on the frozen kernels of both trainings, attacked.
"""

from collections.abc import Sequence

from theory.claim import Claim, Finding, Run, Threshold, at_most
from theory.evidence import Evidence
from theory.ntk_evolution.assumptions import HARDENED, INTERMEDIATE, LEARNED, SOURCE
from theory.ntk_evolution.mixed import confronted_twice
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import Groups, over_time, share_of

__all__ = ["CLAIM", "RUNS", "confront"]

CLAIM = Claim(
    id="C3", title="its kernel is robust by itself",
    statement="Benign training on the frozen kernel of an adversarially trained network gives a "
              "robust classifier; on the frozen kernel of a cleanly trained one it does not.",
    source=f"{SOURCE}. The accuracies, and the phase-1 times (the first two regular checkpoints "
           "after the start), are readings.",
    assumptions=(LEARNED, HARDENED, INTERMEDIATE),
    quantity="accuracy and attacked accuracy at tau of the centred linearised network after "
             "benign phase-2 training",
    law="on the adversarial kernel accuracy at least 0.9 and attacked accuracy at least 0.5, on "
        "the clean kernel attacked accuracy at most 0.2, at both times and every size",
    expected=0.5,
    thresholds={"accuracy of benign training on the adversarial kernel": Threshold(0.9, 1.0),
                "attacked accuracy of benign training on the adversarial kernel":
                    Threshold(0.5, 1.0),
                "attacked accuracy of benign training on the clean kernel": at_most(0.2, 0.0)},
    fixed="2026-11-21")
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C3 with runs."""
    return confronted_twice(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    parts = []
    for place, decisive in ((1, True), (2, True), (-1, False)):
        parts += [share_of(groups, place, mode, "benign", CLAIM, decisive)
                  for mode in ("adversarial", "clean")]
        parts.append(share_of(groups, place, "adversarial", "benign", CLAIM, decisive,
                              name="accuracy"))
    parts += [share_of(groups, 1, mode, "benign", CLAIM, False, dynamics)
              for dynamics in ("uncentred", "full") for mode in ("adversarial", "clean")]
    return Evidence(parts, over_time(groups, "benign", "Benign phase-2 training"), [])
