"""D2 (Shi et al., arXiv 2202.06488): trained adversarially, the ticket is as accurate and robust.

Its clean and attacked accuracy, minus those of the dense network: a paired test of equivalence.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.experiments.winning_tickets.config import OTHERS, TRAINED
from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted
from theory.regime import by_size
from theory.scaling import MIN_SEEDS, TooFew, equivalence_power
from theory.winning_tickets.assumptions import LAZY, RESCALED
from theory.winning_tickets.plans import MASKS
from theory.winning_tickets.quantities import (SHOWN, always, best_ticket, kept_axis, percents,
                                               picture_of, value)

__all__ = ["CLAIM", "RUNS", "confront"]

ENOUGH = 20  # per cent kept, from which on a ticket must be as good as the dense network
MARGIN = 0.03
QUANTITIES = {"attacked_accuracy": "attacked", "accuracy": "clean"}

CLAIM = Claim(
    id="D2", title="the ticket is as accurate and as robust",
    statement="A dynamics-preserving ticket, trained adversarially from initialisation, matches "
              "the clean and the attacked accuracy of the dense network.",
    source="Shi et al., arXiv 2202.06488. The margin .03 and the keep fraction .2 are readings; a "
           "ticket that is more robust by more than the margin does not follow the dense network, "
           "and fails as one that is less robust.",
    assumptions=(LAZY, RESCALED),
    quantity="accuracy of the ticket minus that of the dense network, on the same samples",
    law="within -.03 and .03, clean and attacked, at every keep fraction from .2 on: paired, "
        "two one-sided t-tests (the whole 95 % interval within the margin)",
    expected=0.0,
    thresholds={f"{label} accuracy minus dense": Threshold(-MARGIN, MARGIN)
                for label in QUANTITIES.values()},
    fixed="2026-11-27")
RUNS = MASKS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront D2 with runs."""
    return confronted(CLAIM, runs, lambda groups: _measure(groups, runs))


def _gains(group: Sequence[Run], quantity: str, percent: int,
           mask: Callable[[Run, int], str] = best_ticket) -> np.ndarray:
    return np.array([value(run, mask(run, percent), quantity, percent)
                     - value(run, "dense", quantity, percent) for run in group])


def _measure(groups: Mapping[Size, Sequence[Run]], runs: Sequence[Run]) -> Evidence:
    parts = []
    for quantity, label in QUANTITIES.items():
        for percent in sorted({percent for group in groups.values() for percent
                               in percents(group) if percent >= ENOUGH}):
            values = {size: _gains(group, quantity, percent) for size, group in groups.items()
                      if percent in percents(group)}
            parts.append(at_every_size(f"{label} accuracy minus dense at {percent} %", values,
                                       CLAIM, threshold=f"{label} accuracy minus dense"))
    if not parts:
        raise TooFew(f"no run keeps {ENOUGH} % or more")
    caveats = [_power(size, group) for size, group in groups.items()
               if max(percents(group)) >= ENOUGH]
    for size, group in by_size(runs).items():
        if len(group) < MIN_SEEDS:
            continue
        parts += _told(size, group, size in groups)
        for percent in percents(group):
            equal = [name for name in group[0].config.masks if name in (*OTHERS, TRAINED)
                     and abs(_gains(group, "attacked_accuracy", percent, always(name)).mean())
                     <= MARGIN]
            caveats.append(f"{size.family} {size} at {percent} %: on average as robust as the "
                           f"dense network: {', '.join(equal) if equal else 'no other mask'}")
    return Evidence(parts, _picture(groups, runs), caveats)


def _power(size: Size, group: Sequence[Run]) -> str:
    """How likely the test finds equal what is equal, at the spread of the seeds there are."""
    words = []
    for quantity, label in QUANTITIES.items():
        spread = max(float(_gains(group, quantity, percent).std(ddof=1))
                     for percent in percents(group) if percent >= ENOUGH)
        power = equivalence_power(spread, len(group), MARGIN)
        words.append(f"{label} {power:.0%} (differences spread by {spread:.3g})")
    return (f"{size.family} {size}: power of the test with {len(group)} seeds, its chance to hold "
            f"where ticket and dense network are equal: {', '.join(words)}")


def _told(size: Size, group: Sequence[Run], inside: bool) -> list[Measurement]:
    """What decides nothing: fewer weights, and every fraction outside the regime."""
    return [at_every_size(f"{label} accuracy minus dense at {percent} %, {words}",
                          {size: _gains(group, quantity, percent, mask)},
                          (-MARGIN, MARGIN), decisive=False)
            for quantity, label in QUANTITIES.items() for percent in percents(group)
            for words, mask in (("the ticket", best_ticket), (TRAINED, always(TRAINED)))
            if (words == TRAINED or not inside or percent < ENOUGH)
            and (words != TRAINED or TRAINED in group[0].config.masks)]


def _picture(groups: Mapping[Size, Sequence[Run]], runs: Sequence[Run]) -> Picture:
    """What decides, in the regime: accuracies minus dense; then what they are, at every size."""
    decides = [_margin_panel(size, group, quantity, label) for size, group in groups.items()
               for quantity, label in QUANTITIES.items()]
    levels = picture_of([(size, group, "attacked_accuracy", "attacked accuracy")
                         for size, group in by_size(runs).items()], "", dense=True)
    return Picture(
        "Accuracy after adversarial training minus that of the dense network on the same samples, "
        f"with the margin of {MARGIN:g} within which the ticket's whole interval must lie where it "
        f"keeps {ENOUGH} % or more, and attacked accuracy as it is.",
        (*decides, *levels.panels))


def _margin_panel(size: Size, group: Sequence[Run], quantity: str, label: str) -> Panel:
    kept = percents(group)
    x = np.array(kept) / 100.0
    series = [Series(name, x, np.array([_gains(group, quantity, percent, mask)
                                        for percent in kept]).T, role, joined=True)
              for name, mask, role in SHOWN if name in ("ticket", *group[0].config.masks)]
    deciding = [percent / 100.0 for percent in kept if percent >= ENOUGH]
    ends = (0.93 * min(deciding, default=1.0), 1.07 * max(deciding, default=1.0))
    lowest = min(float(np.nanmin(entry.values)) for entry in series)
    highest = max(float(np.nanmax(entry.values)) for entry in series)
    return Panel(f"weights kept (%)\n{size.family} {size}", f"{label} accuracy minus dense",
                 tuple(series), (Curve("dense", (x.min(), x.max()), (0.0, 0.0)),
                                 Curve("ticket accepted between", ends, (-MARGIN, -MARGIN), "-"),
                                 Curve("", ends, (MARGIN, MARGIN), "-")),
                 log="x",
                 ylim=(min(1.15 * lowest, -2.5 * MARGIN), max(1.3 * highest, 1.5 * MARGIN)),
                 **kept_axis(kept))
