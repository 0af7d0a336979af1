"""D4 (Liu & Zenke 2020; Shi et al., arXiv 2202.06488): with trained weights the ticket wins.

Where features are learned: attacked accuracy of the ticket whose surviving weights are trained too,
minus that of every mask over fixed weights, paired over seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simulator.experiments.winning_tickets.config import MASKS as FIXED
from simulator.experiments.winning_tickets.config import TRAINED
from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted
from theory.scaling import TooFew
from theory.winning_tickets.assumptions import LEARNING, TRANSFERRED
from theory.winning_tickets.plans import MASKS
from theory.winning_tickets.quantities import compared, least_clear, percents, value

__all__ = ["CLAIM", "RUNS", "confront"]

LEVEL = 0.01  # after Holm, over all masks
KEPT = 10  # per cent

CLAIM = Claim(
    id="D4", title="with trained weights the ticket wins where features are learned",
    statement="A ticket that is found by training the surviving weights as well as the mask "
              "towards outputs and kernel of the dense network is, trained adversarially, more "
              "robust than every mask over fixed weights.",
    source="A question, not a statement of a paper: Liu & Zenke (ICML 2020), the likely ancestor "
           "of Shi et al. (arXiv 2202.06488), train weights and mask; whether Shi et al. do is not "
           "known. That one tenth of the weights is kept, in the regime where the magnitude mask "
           "had won over all tickets, and the level .01 are readings.",
    assumptions=(LEARNING, TRANSFERRED),
    quantity="attacked accuracy of the ticket with trained weights minus that of each other mask "
             "at keep .1, after adversarial training on the same samples",
    law="positive against every mask: paired one-sided t-tests, p < .01 after Holm's correction "
        "over all of them",
    expected=0.0,
    thresholds={"attacked accuracy, ticket with trained weights minus closest other": at_least(0.0),
                "largest p of all masks, after Holm": Threshold(0.0, LEVEL)},
    fixed="2026-11-27")
RUNS = MASKS
NAME = "attacked accuracy, ticket with trained weights minus closest other"


def confront(runs: Sequence[Run]) -> Finding:
    """Confront D4 with runs."""
    return confronted(CLAIM, runs, _measure)


def _gain(group: Sequence[Run], other: str, percent: int) -> np.ndarray:
    """Attacked accuracy more than that of another mask, one value a seed."""
    return np.array([value(run, TRAINED, "attacked_accuracy", percent)
                     - value(run, other, "attacked_accuracy", percent) for run in group])


def _measure(groups: Mapping[Size, Sequence[Run]]) -> Evidence:
    groups = {size: group for size, group in groups.items() if KEPT in percents(group)}
    if not groups:
        raise TooFew(f"no run keeps {KEPT} %")
    found = {(size, other): _gain(group, other, KEPT) for size, group in groups.items()
             for other in FIXED}
    p_values = compared(found)
    parts = [least_clear(f"attacked accuracy at {KEPT} %", found, p_values,
                         lambda key: f"{TRAINED} minus {key[1]} ({key[0].family})", NAME)]
    worst = max(p_values.values())
    parts.append(Measurement(f"largest p of {len(found)} masks, after Holm", worst, worst, worst,
                             (0.0, LEVEL), worst, threshold="largest p of all masks, after Holm"))
    parts += [at_every_size(f"attacked accuracy minus that of {other}", {
        size: found[size, other] for size in groups}, (-np.inf, np.inf), decisive=False)
        for other in FIXED]
    caveats = [f"{size.family} {size}: more robust than "
               + (", ".join(other for other in FIXED if p_values[size, other] <= LEVEL)
                  or "no other mask") + f" (p < {LEVEL:g} after Holm)" for size in groups]
    return Evidence(parts, _picture(groups), caveats)


def _picture(groups: Mapping[Size, Sequence[Run]]) -> Picture:
    """The differences that decide, mask by mask."""
    panels = []
    for size, group in groups.items():
        values = np.array([_gain(group, other, KEPT) for other in FIXED]).T
        x = np.arange(len(FIXED), dtype=float)
        panels.append(Panel(
            f"minus that of ({size.family} {size})", f"attacked accuracy at {KEPT} % kept",
            (Series("ticket with trained weights", x, values, "adversarial"),),
            (Curve("no difference", (-0.5, len(FIXED) - 0.5), (0.0, 0.0)),), ticks=FIXED))
    return Picture("Attacked accuracy of the ticket whose weights are trained, minus that of each "
                   "mask over fixed weights.", tuple(panels))
