"""The claims of Shi et al., "Adversarial Winning Tickets" (arXiv 2202.06488).

    D1  a dynamics-preserving mask keeps kernel and trajectory better than other masks do
    D2  trained adversarially it is as accurate and as robust as the dense network
    D3  on frozen kernels the distance of the two flows stays below a Gronwall bound

The paper was not at hand in full: ranges, tests and the inequality in its exact form are
readings. D1 and D2 speak about wide networks whose survivors are rescaled and whose kernel hardly
turns; what the masks do elsewhere is measured all the same, and told in the caveats. They compare
masks under one rule, "weights" (:class:`simulator.tickets.masks.Rescaling`). It is not the best for all:
whole neurons drawn at random and rescaled by their outputs follow the dense network more closely
than a ticket of single weights does (``purify simulate --model tickets --preset better``).
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.experiments.winning_tickets.config import OTHERS
from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, Theorem
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted
from theory.regime import by_size
from theory.scaling import MIN_SEEDS, TooFew, holm, outside_probability, t_interval

__all__ = ["CLAIMS", "CLAIM_D1", "CLAIM_D2", "CLAIM_D3", "MODEL", "TITLE", "best_ticket",
           "confront_d1", "confront_d2", "confront_d3"]

TITLE = "Adversarial winning tickets"
MODEL = "tickets"

LEVEL_D1 = 0.01  # after Holm, over all comparisons
ENOUGH = 20  # per cent kept, from which on a ticket must be as good as the dense network
MARGIN = 0.03
ROUNDING = 1e-6  # what the solver's error may add to a distance, relative to its bound
ERRORS = {"kernel_error": "kernel error", "trajectory_error": "trajectory error"}

# Wide runs of 1000 neurons turn their kernel by .008, those that learn features by .05.
LAZY = Assumption("the dense network's kernel hardly turns (1 - cos at most .02)",
                  lambda run: run.summary["kernel_distance"] <= 0.02)
RESCALED = Assumption("the surviving weights are rescaled by 1/sqrt(keep)",
                      lambda run: run.config.rescaling == "weights")
INVERTIBLE = Assumption("the bound exists: some mask's kernel can be inverted",
                        lambda run: bool(np.isfinite(_flows(run)).any()))

CLAIM_D1 = Claim(
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
    expected=0.0)
CLAIM_D2 = Claim(
    id="D2", title="the ticket is as accurate and as robust",
    statement="A dynamics-preserving ticket, trained adversarially from initialisation, reaches "
              "the clean and the attacked accuracy of the dense network.",
    source="Shi et al., arXiv 2202.06488. The margin .03 and the keep fraction .2 are readings.",
    assumptions=(LAZY, RESCALED),
    quantity="accuracy of the ticket minus that of the dense network, on the same samples",
    law="at least -.03, clean and attacked, at every keep fraction from .2 on",
    expected=0.0)
CLAIM_D3 = Claim(
    id="D3", title="a bound on the distance of the dynamics",
    statement="On frozen kernels the outputs of a masked and of the dense network part by no more "
              "than their distance at the start and the time integral of what the difference of "
              "the kernels does to the dense residual.",
    source="Shi et al., arXiv 2202.06488; the inequality in the norm of the inverse masked kernel "
           "is a reading, derived in simulator/ntk/frozen_flow.py.",
    assumptions=(INVERTIBLE,),
    quantity="distance over bound, the largest over all recorded times, masks and keep fractions",
    law="at most 1 (and the solver's error) in every run",
    expected=1.0)


def best_ticket(run: Run, percent: int) -> str:
    """Return the ticket with the smallest objective on validation samples."""
    return str(run.summary[f"best_ticket_{percent}"])


def _value(run: Run, mask: str, quantity: str, percent: int) -> float:
    return float(run.summary[mask][f"{quantity}_{percent}"])


def _percents(group: Sequence[Run]) -> tuple[int, ...]:
    return tuple(sorted(group[0].config.percents, reverse=True))  # type: ignore[attr-defined]


# --- D1 -------------------------------------------------------------------------------------


def confront_d1(runs: Sequence[Run]) -> Finding:
    """Confront D1 with runs."""
    return confronted(CLAIM_D1, runs, lambda groups: _measure_d1(groups, runs))


def _excess(group: Sequence[Run], quantity: str, other: str, percent: int) -> np.ndarray:
    """Error of the other mask minus that of the ticket, one value a seed."""
    return np.array([_value(run, other, quantity, percent)
                     - _value(run, best_ticket(run, percent), quantity, percent)
                     for run in group])


def _measure_d1(groups: Mapping[Size, Sequence[Run]], runs: Sequence[Run]) -> Evidence:
    found = {(size, quantity, other, percent): _excess(group, quantity, other, percent)
             for size, group in groups.items() for quantity in ERRORS for other in OTHERS
             for percent in _percents(group)}
    p_values = dict(zip(found, holm([_p_value(values) for values in found.values()])))
    parts = [_closest(quantity, found, p_values) for quantity in ERRORS]
    worst = max(p_values.values())
    parts.append(Measurement(f"largest p of {len(found)} comparisons, after Holm", worst, worst,
                             worst, (0.0, LEVEL_D1), worst))
    caveats = [f"{size.family} {size}: the ticket is {_chosen(group)}; on its own attacks "
               f"instead of common examples its trajectory error is the smallest in "
               f"{_own_wins(group)}" for size, group in groups.items()]
    elsewhere = _elsewhere(runs, groups)
    shown = [(size, group, quantity, label) for size, group in groups.items()
             for quantity, label in ERRORS.items()]
    shown += [(size, group, *list(ERRORS.items())[1]) for size, group in by_size(runs).items()
              if size not in groups]
    return Evidence(parts, _picture(shown, "Errors of the masks."), caveats + elsewhere)


def _p_value(values: np.ndarray) -> float:
    return outside_probability(values, (0.0, math.inf)) if np.isfinite(values).all() else 1.0


def _closest(quantity: str, found: Mapping[tuple, np.ndarray],
             p_values: Mapping[tuple, float]) -> Measurement:
    """The comparison that speaks least for the ticket."""
    size, _, other, percent = key = max((key for key in found if key[1] == quantity),
                                        key=lambda key: p_values[key])
    name = f"{ERRORS[quantity]}, {other} minus ticket at {percent} % ({size.family}), closest"
    if not np.isfinite(found[key]).all():
        return Measurement(name, *(math.nan,) * 3, (0.0, math.inf), 1.0)
    interval = t_interval(found[key])
    return Measurement(name, interval.mean, interval.low, interval.high, (0.0, math.inf),
                       p_values[key])


def _chosen(group: Sequence[Run]) -> str:
    return "; ".join(f"at {percent} % " + " or ".join(sorted({best_ticket(run, percent)
                                                              for run in group}))
                     for percent in _percents(group))


def _own_wins(group: Sequence[Run]) -> str:
    """In how many seeds the ticket has the smallest error along its own adversarial training."""
    wins = {percent: sum(all(_excess([run], "own_trajectory_error", other, percent)[0] > 0.0
                             for other in OTHERS) for run in group)
            for percent in _percents(group)}
    return ", ".join(f"{count} of {len(group)} seeds at {percent} %"
                     for percent, count in wins.items())


def _elsewhere(runs: Sequence[Run], groups: Mapping[Size, Sequence[Run]]) -> list[str]:
    """What the masks do at the sizes outside the regime: the ticket beside the best other mask."""
    notes = []
    for size, group in by_size(runs).items():
        if size in groups or len(group) < MIN_SEEDS:
            continue
        for percent in _percents(group):
            words = []
            for quantity, label in (*ERRORS.items(), ("attacked_accuracy", "attacked accuracy")):
                sign = -1.0 if quantity == "attacked_accuracy" else 1.0
                means = {name: float(np.mean([_value(run, name, quantity, percent)
                                              for run in group])) for name in OTHERS}
                best = min(means, key=lambda name: sign * means[name])
                ticket = np.mean([_value(run, best_ticket(run, percent), quantity, percent)
                                  for run in group])
                words.append(f"{label} {ticket:.3g} against {means[best]:.3g} of {best}")
            notes.append(f"outside, {size.family} {size} at {percent} % "
                         f"({len(group)} seeds): the ticket's {', '.join(words)}")
    return notes


# --- D2 -------------------------------------------------------------------------------------


def confront_d2(runs: Sequence[Run]) -> Finding:
    """Confront D2 with runs."""
    return confronted(CLAIM_D2, runs, lambda groups: _measure_d2(groups, runs))


def _gains(group: Sequence[Run], quantity: str, percent: int,
           mask: Callable[[Run, int], str] = best_ticket) -> np.ndarray:
    return np.array([_value(run, mask(run, percent), quantity, percent)
                     - _value(run, "dense", quantity, percent) for run in group])


def _measure_d2(groups: Mapping[Size, Sequence[Run]], runs: Sequence[Run]) -> Evidence:
    parts, caveats = [], []
    for quantity, label in (("attacked_accuracy", "attacked"), ("accuracy", "clean")):
        for percent in sorted({percent for group in groups.values() for percent
                               in _percents(group) if percent >= ENOUGH}):
            values = {size: _gains(group, quantity, percent) for size, group in groups.items()
                      if percent in _percents(group)}
            parts.append(at_every_size(f"{label} accuracy minus dense at {percent} %", values,
                                       (-MARGIN, math.inf)))
    if not parts:
        raise TooFew(f"no run keeps {ENOUGH} % or more")
    for size, group in groups.items():
        for percent in _percents(group):
            gain = _gains(group, "attacked_accuracy", percent).mean()
            if gain > MARGIN:
                caveats.append(f"{size.family} {size} at {percent} %: the ticket is more robust "
                               f"than the dense network, by {gain:.3f} on average: it reaches "
                               "the dense accuracy, but does not keep within .03 of it")
            equal = [name for name in OTHERS if _gains(
                group, "attacked_accuracy", percent, _always(name)).mean() >= -MARGIN]
            caveats.append(f"{size.family} {size} at {percent} %: so do {', '.join(equal)}"
                           if equal else f"{size.family} {size} at {percent} %: no other mask does")
    shown = [(size, group, "accuracy", "clean accuracy") for size, group in groups.items()]
    shown += [(size, group, "attacked_accuracy", "attacked accuracy")
              for size, group in by_size(runs).items()]
    return Evidence(parts, _picture(shown, "Accuracy after adversarial training.", dense=True),
                    caveats)


# --- D3 -------------------------------------------------------------------------------------


def confront_d3(runs: Sequence[Run]) -> Finding:
    """Confront D3 with runs."""
    return confronted(CLAIM_D3, runs, _measure_d3)


def _flows(run: Run) -> np.ndarray:
    """Distance over bound, shape (keep fractions, masks, times); NaN where K_s has no inverse."""
    arrays = run.arrays
    flows = np.array([arrays[f"flow_{percent}"] for percent in _percents([run])])
    distance, bound = flows[:, :, 0], flows[:, :, 1]
    return np.divide(distance, bound, out=np.where(distance == 0.0, 0.0, np.inf),
                     where=(bound > 0.0) | np.isnan(bound))


def _measure_d3(groups: Mapping[Size, Sequence[Run]]) -> Evidence:
    ratios = {size: [_flows(run) for run in group] for size, group in groups.items()}
    largest = {size: np.array([np.nanmax(ratio) for ratio in found])
               for size, found in ratios.items()}
    worst = {size: np.full(len(values), values.max()) for size, values in largest.items()}
    parts = [at_every_size("distance over bound, largest of all", worst, (0.0, 1.0 + ROUNDING))]
    caveats, series = [], []
    for (size, found), role in zip(ratios.items(), ("adversarial", "clean", "other", "linear")):
        ends = np.array([np.nanmedian(ratio[:, :, -1]) for ratio in found])
        missing = np.mean([np.isnan(ratio[:, :, -1]) for ratio in found])
        caveats.append(f"{size.family} {size}: at the end the distance is {ends.mean():.2g} of its "
                       f"bound (median over masks): a factor {1.0 / ends.mean():.2g} of slack")
        if missing:
            caveats.append(f"{size.family} {size}: {missing:.0%} of the masks' kernels cannot be "
                           "inverted (an input opens no gate), there is no bound for them")
        median = np.array([np.nanmedian(ratio, axis=(0, 1)) for ratio in found])
        series.append(Series(f"{size.family} {size}", np.linspace(0.0, 1.0, median.shape[1]),
                             median, role, joined=True))
    picture = Picture(
        "Distance of the frozen flows over its bound, median over masks and keep fractions; the "
        "bound is used up at the start and grows slack.",
        (Panel("share of the training time", "distance / bound", tuple(series),
               (Curve("the bound", (0.0, 1.0), (1.0, 1.0)),), ylim=(0.0, 1.1)),))
    return Evidence(parts, picture, caveats)


# --- figures --------------------------------------------------------------------------------


def _picture(chosen: Sequence[tuple[Size, Sequence[Run], str, str]], caption: str,
             dense: bool = False) -> Picture:
    """A panel for each (size, runs, quantity, label): ticket, three other masks, dense network."""
    panels = []
    for size, group, quantity, label in chosen:
        percents = _percents(group)
        x = np.array(percents) / 100.0

        def values(mask: Callable[[Run, int], str]) -> np.ndarray:
            return np.array([[_value(run, mask(run, percent), quantity, percent)
                              for percent in percents] for run in group])

        series = [Series("ticket", x, values(best_ticket), "adversarial", joined=True)]
        series += [Series(name, x, values(_always(name)), role, joined=True) for name, role in
                   (("random", "other"), ("magnitude", "clean"), ("lottery", "linear"))]
        curves = (Curve("dense", x, values(_always("dense")).mean(axis=0)),) if dense else ()
        panels.append(Panel(f"share of weights kept\n({size.family})", label, tuple(series), curves,
                            log="x" if dense else "xy", ylim=(0.0, 1.02) if dense else None))
    return Picture(caption + " Bands: 95 % over seeds.", tuple(panels))


def _always(name: str) -> Callable[[Run, int], str]:
    return lambda run, percent: name


CLAIMS: tuple[Theorem, ...] = (Theorem(CLAIM_D1, confront_d1), Theorem(CLAIM_D2, confront_d2),
                               Theorem(CLAIM_D3, confront_d3))
