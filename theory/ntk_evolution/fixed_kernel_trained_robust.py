"""C4 (Loo et al., arXiv 2210.12030): a fixed kernel can be trained robust, in part.

Adversarial training on the frozen kernel of clean training, against benign training there and on
the kernel of adversarial training.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.ntk_evolution.assumptions import HARDENED, INTERMEDIATE, LEARNED, SOURCE
from theory.ntk_evolution.plans import KERNELS
from theory.ntk_evolution.quantities import Groups, attacked, over_time, when

__all__ = ["CLAIM", "RUNS", "confront"]

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
    expected=0.0)
RUNS = KERNELS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront C4 with runs."""
    return confronted(CLAIM, runs, _measure)


def _measure(groups: Groups) -> Evidence:
    parts = []
    for place, decisive in ((1, True), (2, True), (-1, False)):
        for name, upper, lower in (
                ("adversarial less benign training on the clean kernel",
                 ("clean", "adversarial"), ("clean", "benign")),
                ("benign training on the adversarial kernel less adversarial on the clean one",
                 ("adversarial", "benign"), ("clean", "adversarial"))):
            gain = values_of(groups, lambda run: attacked(run, place, *upper)
                             - attacked(run, place, *lower))
            parts.append(at_every_size(f"{name}, {when(place)}", gain, (0.0, np.inf),
                                       decisive=decisive))
    whole = values_of(groups, lambda run: attacked(run, 1, "clean", "adversarial", centred=False)
                      - attacked(run, 1, "clean", "benign", centred=False))
    parts.append(at_every_size("adversarial less benign training on the clean kernel, "
                               f"{when(1)}, uncentred", whole, (0.0, np.inf), decisive=False))
    hidden = values_of(groups, lambda run: attacked(
        run, 1, "clean", "masked", "plain_attacked_accuracy")
        - attacked(run, 1, "clean", "masked"))
    parts.append(at_every_size("attacked accuracy that plain PGD overstates after training against "
                               f"plain gates, {when(1)}", hidden, (0.0, np.inf), decisive=False))
    return Evidence(parts, over_time(groups, "adversarial", "Adversarial phase-2 training"), [
        "phase 2 is trained against an attack that sees smoothed gates, and attacked through them: "
        "training against the true gates alone hides behind their jumps"])
