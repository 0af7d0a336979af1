"""D1 (Shi et al., arXiv 2202.06488): the ticket preserves the dynamics.

Errors of kernel and trajectory of every other mask, minus those of the ticket, paired over seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simulator.experiments.winning_tickets.config import OTHERS, TRAINED
from theory.claim import Claim, Finding, Measurement, Run, Size, Threshold, at_least
from theory.evidence import Evidence, at_every_size, confronted
from theory.regime import by_size
from theory.scaling import MIN_SEEDS
from theory.winning_tickets.assumptions import LAZY, RESCALED
from theory.winning_tickets.plans import MASKS
from theory.winning_tickets.quantities import (ERRORS, best_ticket, compared, least_clear, percents,
                                               picture_of, value)

__all__ = ["CLAIM", "RUNS", "confront"]

LEVEL = 0.01  # after Holm, over all comparisons

CLAIM = Claim(
    id="D1", title="the ticket preserves the dynamics",
    statement="Among masks of equal size the one found by matching outputs and kernel at "
              "initialisation follows the adversarial dynamics of the dense network best.",
    source="Shi et al., arXiv 2202.06488. Wide and rescaled, the list of other masks, and the "
           "level .01 are readings. Each mask is rescaled by whichever of two rules suits it best "
           "(the smaller objective): by one rule for all, whole neurons are compared where they "
           "are worst (preset one-rule).",
    assumptions=(LAZY, RESCALED),
    quantity="error of another mask minus that of the ticket: of the kernel at initialisation, of "
             "the outputs along training on common adversarial examples, and along adversarial "
             "training itself; the ticket is the search over fixed weights with the smallest "
             "objective on validation samples",
    law="positive against every other mask at every keep fraction: paired one-sided t-tests, "
        "p < .01 after Holm's correction over all of them",
    expected=0.0,
    thresholds={**{f"{label}, closest other minus ticket": at_least(0.0)
                   for label in ERRORS.values()},
                "largest p of all comparisons, after Holm": Threshold(0.0, LEVEL)},
    fixed="2026-11-27")
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
    p_values = compared(found)
    parts = [least_clear(label, {key: values for key, values in found.items()
                                 if key[1] == quantity}, p_values, _words,
                         f"{label}, closest other minus ticket")
             for quantity, label in ERRORS.items()]
    worst = max(p_values.values())
    parts.append(Measurement(f"largest p of {len(found)} comparisons, after Holm", worst, worst,
                             worst, (0.0, LEVEL), worst,
                             threshold="largest p of all comparisons, after Holm"))
    parts += _trained_too(groups)
    caveats = [f"{size.family} {size}: the ticket is {_chosen(group)}; not beaten: "
               f"{_unbeaten(size, p_values)}" for size, group in groups.items()]
    elsewhere = _elsewhere(runs, groups)
    shown = [(size, group, quantity, label) for size, group in groups.items()
             for quantity, label in ERRORS.items()]
    shown += [(size, group, *list(ERRORS.items())[1]) for size, group in by_size(runs).items()
              if size not in groups]
    return Evidence(parts, picture_of(shown, "Errors of the masks."), caveats + elsewhere)


def _words(key: Comparison) -> str:
    size, _, other, percent = key
    return f"{other} minus ticket at {percent} % ({size.family})"


def _trained_too(groups: Mapping[Size, Sequence[Run]]) -> list[Measurement]:
    """Errors of the ticket whose weights are trained, minus those of the ticket."""
    with_it = {size: group for size, group in groups.items() if TRAINED in group[0].config.masks}
    return [at_every_size(f"{label}, {TRAINED} minus ticket at {percent} %",
                          {size: _excess(group, quantity, TRAINED, percent)
                           for size, group in with_it.items()}, (-np.inf, np.inf), decisive=False)
            for quantity, label in ERRORS.items() if with_it
            for percent in percents(next(iter(with_it.values())))]


def _unbeaten(size: Size, p_values: Mapping[Comparison, float]) -> str:
    """Which masks the ticket does not beat, by which error and where."""
    lost: dict[tuple[str, str], list[int]] = {}
    for (where, quantity, other, percent), p_value in p_values.items():
        if where == size and not p_value <= LEVEL:
            lost.setdefault((quantity, other), []).append(percent)
    return "; ".join(f"{other} by the {ERRORS[quantity]} at {', '.join(map(str, kept))} %"
                     for (quantity, other), kept in lost.items()) or "none"


def _chosen(group: Sequence[Run]) -> str:
    return "; ".join(f"at {percent} % " + " or ".join(sorted({best_ticket(run, percent)
                                                              for run in group}))
                     for percent in percents(group))


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
