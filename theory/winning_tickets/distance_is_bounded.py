"""D3 (Shi et al., arXiv 2202.06488): on frozen kernels the distance of two flows is bounded.

A theorem: only the solver can break it. The number is the share of the bound that is used.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, at_most
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted
from theory.winning_tickets.plans import MASKS
from theory.winning_tickets.quantities import percents

__all__ = ["CLAIM", "RUNS", "confront"]

ROUNDING = 1e-6  # what the solver's error may add to a distance, relative to its bound
INVERTIBLE = Assumption("the bound exists: some mask's kernel can be inverted",
                        lambda run: bool(np.isfinite(_flows(run)).any()))

CLAIM = Claim(
    id="D3", title="a bound on the distance of the dynamics",
    statement="On frozen kernels the outputs of a masked and of the dense network part by no more "
              "than their distance at the start and the time integral of what the difference of "
              "the kernels does to the dense residual.",
    source="Shi et al., arXiv 2202.06488; the inequality in the norm of the inverse masked kernel "
           "is a reading, derived in simulator/ntk/frozen_flow.py.",
    assumptions=(INVERTIBLE,),
    quantity="distance over bound at the end, median over masks and keep fractions; the largest of "
             "all after the start, where both are equal, over times, masks, fractions and runs",
    law="at most 1 (and the solver's error) for every t > 0: a theorem, so only the solver can "
        "break it; the share used at the end is what is learned",
    expected=1.0,
    thresholds={"distance over bound less 1, largest of every t > 0": at_most(ROUNDING)},
    fixed="2026-11-27")
RUNS = MASKS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront D3 with runs."""
    return confronted(CLAIM, runs, _measure)


def _flows(run: Run) -> np.ndarray:
    """Distance over bound, shape (keep fractions, masks, times); NaN where K_s has no inverse.

    Infinite where there is a bound and the distance is no number.
    """
    arrays = run.arrays
    flows = np.array([arrays[f"flow_{percent}"] for percent in percents([run])])
    distance, bound = flows[:, :, 0], flows[:, :, 1]
    ratio = np.divide(distance, bound, out=np.where(distance == 0.0, 0.0, np.inf),
                      where=(bound > 0.0) | np.isnan(bound))
    ratio[np.isnan(distance) & np.isfinite(bound)] = np.inf
    return ratio


def _excess(ratios: Mapping[Size, Sequence[np.ndarray]]) -> Measurement:
    """The largest ratio after the start, where distance and bound are equal, less 1."""
    worst = float(np.max([np.nanmax(ratio[:, :, 1:]) for found in ratios.values()
                          for ratio in found])) - 1.0
    held = worst <= ROUNDING
    return Measurement("distance over bound less 1, largest of every t > 0", worst, worst,
                       worst, (-math.inf, ROUNDING), 0.0 if held else 1.0)


def _measure(groups: Mapping[Size, Sequence[Run]]) -> Evidence:
    ratios = {size: [_flows(run) for run in group] for size, group in groups.items()}
    used = {size: np.array([np.nanmedian(ratio[:, :, -1]) for ratio in found])
            for size, found in ratios.items()}
    parts = [at_every_size("share of the bound used at the end", used, (0.0, 1.0),
                           decisive=False), _excess(ratios)]
    caveats, series = [], []
    for number, (size, found) in enumerate(ratios.items()):
        ends = used[size]
        missing = np.mean([np.isnan(ratio[:, :, -1]) for ratio in found])
        caveats.append(f"{size.family} {size}: at the end the distance is {ends.mean():.2g} of its "
                       f"bound (median over masks): a factor {1.0 / ends.mean():.2g} of slack")
        if missing:
            caveats.append(f"{size.family} {size}: {missing:.0%} of the masks' kernels cannot be "
                           "inverted (an input opens no gate), there is no bound for them")
        median = np.array([np.nanmedian(ratio, axis=(0, 1)) for ratio in found])
        series.append(Series(f"{size.family} {size}", np.linspace(0.0, 1.0, median.shape[1]),
                             median, f"case {number % 7}", joined=True))
    picture = Picture(
        "Distance of the frozen flows over its bound, median over masks and keep fractions; the "
        "bound is used up at the start and grows slack.",
        (Panel("share of the training time", "distance / bound", tuple(series),
               (Curve("the bound", (0.0, 1.0), (1.0, 1.0)),), ylim=(0.0, 1.1)),))
    return Evidence(parts, picture, caveats)
