"""D1 (Shi et al., arXiv 2202.06488): the ticket preserves the dynamics.

Errors of kernel and trajectory of every other mask, minus those of the ticket, paired over seeds.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from simulator.experiments.winning_tickets.config import OTHERS
from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold, at_least
from theory.evidence import Evidence, confronted
from theory.regime import by_size
from theory.scaling import MIN_SEEDS, holm, outside_probability, t_interval
from theory.winning_tickets.assumptions import LAZY, RESCALED
from theory.winning_tickets.plans import MASKS
from theory.winning_tickets.quantities import ERRORS, best_ticket, percents, picture_of, value

__all__ = ["CLAIM", "RUNS", "confront"]

LEVEL = 0.01  # after Holm, over all comparisons

CLAIM = Claim(
    id="D1", title="the ticket preserves the dynamics",
    statement="Among masks of equal size the one found by matching outputs and kernel at "
              "initialisation follows the adversarial dynamics of the dense network best.",
    source="Shi et al., arXiv 2202.06488. Wide and rescaled, the list of other masks, and the "
           "level .01 are readings; all masks are rescaled by the same rule, which is not the best "
           "one for whole neurons (preset better).",
    assumptions=(LAZY, RESCALED),
    quantity="error of another mask minus that of the ticket, of the kernel at initialisation and "
             "of the outputs along training on common adversarial examples; the ticket is the "
             "search with the smallest objective on validation samples",
    law="positive against every other mask at every keep fraction: paired one-sided t-tests, "
        "p < .01 after Holm's correction over all of them",
    expected=0.0,
    thresholds={**{f"{label}, closest other minus ticket": at_least(0.0)
                   for label in ERRORS.values()},
                "largest p of all comparisons, after Holm": Threshold(0.0, LEVEL)},
    fixed="2026-11-21")
RUNS = MASKS
Comparison = tuple[Size, str, str, int]  # size, error, other mask, percent kept


def confront(runs: Sequence[Run]) -> Finding:
    """Confront D1 with runs."""
    return confronted(CLAIM, runs, lambda groups: _measure(groups, runs))


def _excess(group: Sequence[Run], quantity: str, other: str, percent: int) -> np.ndarray:
    """Error of the other mask minus that of the ticket, one value a seed."""
    return np.array([value(run, other, quantity, percent)
                     - value(run, best_ticket(run, percent), quantity, percent)
                     for run in group])


def _measure(groups: Mapping[Size, Sequence[Run]], runs: Sequence[Run]) -> Evidence:
    found = {(size, quantity, other, percent): _excess(group, quantity, other, percent)
             for size, group in groups.items() for quantity in ERRORS for other in OTHERS
             for percent in percents(group)}
    p_values = dict(zip(found, holm([_p_value(values) for values in found.values()])))
    parts = [_closest(quantity, found, p_values) for quantity in ERRORS]
    worst = max(p_values.values())
    parts.append(Measurement(f"largest p of {len(found)} comparisons, after Holm", worst, worst,
                             worst, (0.0, LEVEL), worst,
                             threshold="largest p of all comparisons, after Holm"))
    caveats = [f"{size.family} {size}: the ticket is {_chosen(group)}; on its own attacks "
               f"instead of common examples its trajectory error is the smallest in "
               f"{_own_wins(group)}" for size, group in groups.items()]
    elsewhere = _elsewhere(runs, groups)
    shown = [(size, group, quantity, label) for size, group in groups.items()
             for quantity, label in ERRORS.items()]
    shown += [(size, group, *list(ERRORS.items())[1]) for size, group in by_size(runs).items()
              if size not in groups]
    return Evidence(parts, picture_of(shown, "Errors of the masks."), caveats + elsewhere)


def _p_value(values: np.ndarray) -> float:
    return outside_probability(values, (0.0, math.inf)) if np.isfinite(values).all() else 1.0


def _closest(quantity: str, found: Mapping[Comparison, np.ndarray],
             p_values: Mapping[Comparison, float]) -> Measurement:
    """The comparison that speaks least for the ticket."""
    size, _, other, percent = key = max((key for key in found if key[1] == quantity),
                                        key=lambda key: p_values[key])
    name = f"{ERRORS[quantity]}, {other} minus ticket at {percent} % ({size.family}), closest"
    threshold = f"{ERRORS[quantity]}, closest other minus ticket"
    if not np.isfinite(found[key]).all():
        return Measurement(name, *(math.nan,) * 3, (0.0, math.inf), 1.0, threshold=threshold)
    interval = t_interval(found[key])
    return Measurement(name, interval.mean, interval.low, interval.high, (0.0, math.inf),
                       p_values[key], threshold=threshold)


def _chosen(group: Sequence[Run]) -> str:
    return "; ".join(f"at {percent} % " + " or ".join(sorted({best_ticket(run, percent)
                                                              for run in group}))
                     for percent in percents(group))


def _own_wins(group: Sequence[Run]) -> str:
    """In how many seeds the ticket has the smallest error along its own adversarial training."""
    wins = {percent: sum(all(_excess([run], "own_trajectory_error", other, percent)[0] > 0.0
                             for other in OTHERS) for run in group)
            for percent in percents(group)}
    return ", ".join(f"{count} of {len(group)} seeds at {percent} %"
                     for percent, count in wins.items())


def _elsewhere(runs: Sequence[Run], groups: Mapping[Size, Sequence[Run]]) -> list[str]:
    """What the masks do at the sizes outside the regime: the ticket beside the best other mask."""
    notes = []
    for size, group in by_size(runs).items():
        if size in groups or len(group) < MIN_SEEDS:
            continue
        for percent in percents(group):
            words = []
            for quantity, label in (*ERRORS.items(), ("attacked_accuracy", "attacked accuracy")):
                sign = -1.0 if quantity == "attacked_accuracy" else 1.0
                means = {name: float(np.mean([value(run, name, quantity, percent)
                                              for run in group])) for name in OTHERS}
                best = min(means, key=lambda name: sign * means[name])
                ticket = np.mean([value(run, best_ticket(run, percent), quantity, percent)
                                  for run in group])
                words.append(f"{label} {ticket:.3g} against {means[best]:.3g} of {best}")
            notes.append(f"outside, {size.family} {size} at {percent} % "
                         f"({len(group)} seeds): the ticket's {', '.join(words)}")
    return notes
