"""B3 (Li & Li, arXiv 2410.08503): kappa = sum beta^q / sum alpha^q decides which is learned.

Races of the two features from small random starts, over kappa from well below 1 to well above.
"""

import math
from collections.abc import Sequence

import numpy as np

from simulator.experiments.structured_features.races import (Transition, first_feature,
                                                             fit_transition)
from theory.claim import Claim, Finding, Run, Size, Threshold, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.structured_features.assumptions import QUIET, SOURCE, SUPERLINEAR
from theory.structured_features.plans import RACES
from theory.structured_features.quantities import Groups

__all__ = ["CLAIM", "RUNS", "confront"]

CLAIM = Claim(
    id="B3", title="kappa decides which feature is learned",
    statement="From a small start standard training learns v if kappa = sum beta^q / sum alpha^q "
              "is above 1, and u if it is below.",
    source=f"{SOURCE}That the transition is a smooth curve, its midpoint and its width are "
           "readings: derived in simulator/experiments/structured_features/races.py from the "
           "early growth, for a start that tends to zero. So the smallest start of each q decides, "
           "the others show how it is approached.",
    assumptions=(SUPERLINEAR, QUIET),
    quantity="kappa at which v wins half of the races (logistic fit for each seed); share of v's "
             "wins at the largest kappa minus that at the smallest",
    law="midpoint in [.75, 1.25] and difference at least .8, at the smallest start of every q",
    expected=1.0,
    thresholds={"midpoint": Threshold(0.75, 1.25), "rise of v's share": at_least(0.8)},
    fixed="2026-11-21")
RUNS = RACES


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B3 with runs that hold races."""
    return confronted(CLAIM, [run for run in runs if run.config.races], _measure)


def _wins(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """kappa (points,); where v won, and where its start says it should, (points, trials)."""
    kappa, races = run.arrays["kappas"], run.arrays["races"]
    won = races[..., 1] > races[..., 0]
    should = first_feature(kappa, races[..., 2:], run.config.q)
    return kappa, won.reshape(len(kappa), -1), should.reshape(len(kappa), -1)


def _fits(groups: Groups, which: int) -> dict[Size, list[Transition]]:
    return {size: [fit_transition(_wins(run)[0], _wins(run)[which]) for run in group]
            for size, group in groups.items()}


def _measure(groups: Groups) -> Evidence:
    found, expected = _fits(groups, 1), _fits(groups, 2)
    midpoint = {size: np.array([fit.midpoint for fit in fits]) for size, fits in found.items()}
    width = {size: np.array([fit.width for fit in fits]) for size, fits in found.items()}
    rise = values_of(groups, lambda run: float(_wins(run)[1][-1].mean()
                                               - _wins(run)[1][0].mean()))
    deciding = _smallest_starts(groups)
    parts = [at_every_size("midpoint", {size: midpoint[size] for size in deciding}, CLAIM),
             at_every_size("rise of v's share", {size: rise[size] for size in deciding}, CLAIM)]
    rightly = {}
    for size, group in groups.items():
        name = f"q = {group[0].config.q}, sigma_0 = {group[0].config.init_scale:g}"
        should = np.array([fit.width for fit in expected[size]])
        rightly[size] = np.array([np.mean(_wins(run)[1] == _wins(run)[2]) for run in group])
        for label, values in (("midpoint", midpoint[size]), ("width", width[size]),
                              ("width expected from the starts", should)):
            parts.append(at_every_size(f"{label}, {name}", {size: values},
                                       (-math.inf, math.inf), decisive=False))
    caveats = ["the start alone, log kappa + (q - 2) log(v_0 / u_0) > 0 (a reading), predicts "
               + ", ".join(f"{values.mean():.2f} of the outcomes of {size.family}"
                           for size, values in rightly.items())]
    return Evidence(parts, _transition_picture(groups), caveats)


def _smallest_starts(groups: Groups) -> list[Size]:
    """The runs of each q with the smallest initial scale."""
    smallest: dict[int, Size] = {}
    for size, group in groups.items():
        q = group[0].config.q
        if q not in smallest or (group[0].config.init_scale
                                 < groups[smallest[q]][0].config.init_scale):
            smallest[q] = size
    return list(smallest.values())


def _transition_picture(groups: Groups) -> Picture:
    panels = []
    for q in sorted({group[0].config.q for group in groups.values()}):
        chosen = sorted((group for group in groups.values() if group[0].config.q == q),
                        key=lambda group: group[0].config.init_scale)
        kappa = _wins(chosen[0][0])[0]
        series = tuple(Series(
            rf"$\sigma_0 = {group[0].config.init_scale:g}$", kappa,
            np.array([_wins(run)[1].mean(axis=1) for run in group]), f"case {number % 7}",
            joined=True) for number, group in enumerate(chosen))
        should = np.array([_wins(run)[2].mean(axis=1) for group in chosen for run in group])
        panels.append(Panel(
            rf"$\kappa$, with $q = {q}$", "share of classes in which $v$ wins",
            (*series, Series("from the starts", kappa, should, "linear", joined=True, dash="--")),
            (Curve(r"$\kappa = 1$", (1.0, 1.0), (0.0, 1.0), ":"),),
            log="x", ylim=(-0.03, 1.05)))
    return Picture("How often standard training learns the non-robust feature, against kappa, for "
                   "each exponent q and start sigma_0; dashed: what the random starts alone "
                   "predict.", tuple(panels))
