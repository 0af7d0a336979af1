"""B5 (Li & Li, arXiv 2410.08503): adversarial training learns v first, then u overtakes it.

Read off the history of the one-step training, which starts from the random network.
"""

import math
from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Finding, Run, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.structured_features.assumptions import DENSE, QUIET, SOURCE, SUPERLINEAR, WEAK
from theory.structured_features.plans import CHANGED, NETWORKS
from theory.structured_features.quantities import Groups, history_of, overtaking_step, trained

__all__ = ["CLAIM", "RUNS", "confront"]

LEARNED, LATER, AHEAD = 10.0, 2.0, 1.2  # at least

CLAIM = Claim(
    id="B5", title="adversarial training learns the non-robust feature first",
    statement="Under adversarial training the non-robust feature is learned first; then the "
              "robust one overtakes it.",
    source=f"{SOURCE}A review of the paper tells of these two phases in its simulation. "
           "\"Adversarial training\" is here the one-step training, from the random network. That "
           "v is learned when it is 10 times its start, and the factors 2 and 1.2, are readings.",
    assumptions=(WEAK, DENSE, SUPERLINEAR, QUIET),
    quantity="<w, v> where <w, u> overtakes it, over its start; the step of overtaking over the "
             "step at which v has half of its largest value; <w, u> over <w, v> at the end",
    law="v at least 10 times its start, overtaken at least 2 times as late as half learned, u at "
        "least 1.2 times v at the end, at every size",
    expected=2.0,
    thresholds={"overtaking step over v's half-way step": at_least(LATER),
                "v where it is overtaken, over its start": at_least(LEARNED),
                "<w, u> over <w, v> at the end": at_least(AHEAD)},
    fixed="2026-11-27", changed=CHANGED)
RUNS = NETWORKS
TRAINING = "one_step"


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B5 with runs that hold the one-step training."""
    return confronted(CLAIM, [run for run in trained(runs, TRAINING)
                              if TRAINING in set(run.history["training"])], _measure)


def _crossing(run: Run) -> tuple[float, float, float]:
    """Step of overtaking over v's half-way step, v there over its start, u over v at the end."""
    step, u, v = history_of(run, TRAINING)
    overtaken = overtaking_step(step, u, v)
    half = step[np.argmax(v >= 0.5 * v.max())]
    if not np.isfinite(overtaken):
        return 0.0, float(v[-1] / v[0]), float(u[-1] / v[-1])
    return (float(overtaken / max(half, step[1])), float(np.interp(overtaken, step, v) / v[0]),
            float(u[-1] / v[-1]))


def _measure(groups: Groups) -> Evidence:
    later, learned, ahead = (
        {size: np.array([_crossing(run)[place] for run in group])
         for size, group in groups.items()} for place in range(3))
    steps = values_of(groups, lambda run: overtaking_step(*history_of(run, TRAINING)))
    parts = [
        at_every_size("overtaking step over v's half-way step", later, CLAIM),
        at_every_size("v where it is overtaken, over its start", learned, CLAIM, logarithms=True),
        at_every_size("<w, u> over <w, v> at the end", ahead, CLAIM, logarithms=True),
        at_every_size("step of overtaking", steps, (-math.inf, math.inf), decisive=False)]
    panels = []
    for size, group in groups.items():
        lines = [history_of(run, TRAINING) for run in group]
        length = min(len(step) for step, _, _ in lines)
        step = lines[0][0][:length]
        u, v = (np.array([line[place][:length] for line in lines]) for place in (1, 2))
        middle = float(np.nanmean(steps[size])) if np.isfinite(steps[size]).any() else math.nan
        panels.append(Panel(
            "step of the one-step training", r"largest correlation $\max_r \langle w_r, "
            r"\cdot\,\rangle$", (Series("robust $u$", step, u, "adversarial", joined=True),
                                 Series("non-robust $v$", step, v, "clean", joined=True)),
            (Curve("overtaken, mean", (middle, middle), (0.0, float(u.max()))),)
            if math.isfinite(middle) else ()))
    picture = Picture("Largest correlations of a neuron with the two features along the one-step "
                      "training; the line is where the robust feature overtakes, in the mean over "
                      "seeds.", tuple(panels))
    return Evidence(parts, picture, [])
