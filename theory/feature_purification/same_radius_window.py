"""A0: one radius at which the clean network fails and the purified one does not.

The abstract in one run. Of the clean network the radius ``r01`` counts, at which hardly a sample
is left; of the robust one ``r99``, up to which hardly a sample is lost, to attacks and, for "ANY
perturbation", by certificates. Between them lies the window: open if ``r01 < r99``. Ratios of the
radii at which half of the samples are lost (r50) say nothing of it: the samples with the largest
margin decide r01, those with the smallest r99. What the abstract says of models of low complexity
at this radius is A8; where learners were trained their best is told beside.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.experiments.feature_purification.summary import r99_certified
from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, Threshold, at_least
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, of_slopes, series_over_sizes,
                             size_names, values_of)
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     PURIFIED)
from theory.feature_purification.plans import WINDOW
from theory.feature_purification.robust_to_any import bracket_at_tau
from theory.regime import largest_family, same_seeds
from theory.scaling import TooFew, fit_exponent

__all__ = ["CLAIM", "RUNS", "confront", "learner_at_tau", "window"]

CERTIFIED = 300  # samples: fewer could not tell .99 from .98
NEEDED = {"clean": ("r01",), "adversarial": ("r99",)}

SEARCHED = Assumption(
    "the summary has a positive r01 of the clean network, and r99 of the robust one",
    lambda run: all(math.isfinite(run.summary[phase].get(name, math.nan))
                    for phase, names in NEEDED.items() for name in names)
    and run.summary["clean"]["r01"] > 0.0)

CLAIM = Claim(
    id="A0", title="one radius separates the two trainings",
    statement="At one and the same radius the clean network is right on almost all clean samples "
              "and on almost no attacked one, and the adversarially trained network is right "
              "under ANY perturbation.",
    source="Allen-Zhu & Li, arXiv 2005.10190, abstract; \"more than 99 %\" and \"less than 1 %\" "
           "are numbers of the authors' talk, of which the second is a reading. That it is "
           "judged at the largest d is one too.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, PURIFIED, SEARCHED),
    quantity="at the largest size with at least 300 certified samples: certified r99 of the "
             "robust network over r01 of the clean one; at radius tau the clean network's clean "
             "and attacked accuracy, and the robust network's certified accuracy",
    law="r99/r01 above 1; clean accuracy at least 0.99, attacked at most 0.01, certified at least "
        "0.99",
    expected=1.0,
    thresholds={"width r99/r01, certified": at_least(1.0),
                "clean accuracy of the clean network": Threshold(0.99, 1.0),
                "its attacked accuracy at tau": Threshold(0.0, 0.01),
                "certified accuracy of the robust network at tau": Threshold(0.99, 1.0)},
    fixed="2026-11-27")
RUNS = WINDOW


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def window(run: Run, kind: str) -> float:
    """Return r99 of the robust network over r01 of the clean one.

    Parameters
    ----------
    run : Run
    kind : "attacked", "certified" or "limits"
        What r99 is by; "limits": attacked, both at the ends of their limits within the run that
        are nearest to each other.
    """
    clean, robust = run.summary["clean"], run.summary["adversarial"]
    if kind == "limits":
        return float(robust.get("r99_low", math.nan) / clean.get("r01_high", math.nan))
    return (robust["r99"] if kind == "attacked" else _certified_radius(run)) / float(clean["r01"])


def learner_at_tau(run: Run) -> float:
    """Return the attacked accuracy at tau of the best low-complexity learner, NaN without any."""
    learners: Mapping[str, Any] = run.summary.get("learners") or {"radii": [], "table": []}
    places = [place for place, radius in enumerate(learners["radii"])
              if abs(radius - run.config.tau) <= 1e-6 * run.config.tau]
    return max((float(entry["attacked"][place]) for place in places
                for entry in learners["table"]), default=math.nan)


def _certified_radius(run: Run) -> float:
    robust = run.summary["adversarial"]
    found = robust.get("r99_certified")
    return r99_certified(robust.get("bracket") or ()) if found is None else float(found)


def _certified_samples(group: Sequence[Run]) -> int:
    """The fewest of the runs at tau."""
    return min(_certified_share(run)[0] for run in group)


def _certified_at_tau(run: Run) -> float:
    return _certified_share(run)[1]


def _certified_share(run: Run) -> tuple[int, float]:
    """How many samples were asked for a certificate at tau, and the share that has one."""
    tail = run.summary["adversarial"].get("certified_tail")
    if tail:
        return int(tail["samples"]), float(tail["at_tau"])
    entry = bracket_at_tau(run, "adversarial")
    return (int(entry["samples"]), float(entry["certified"])) if entry else (0, math.nan)


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    runs, caveats = largest_family([run for group in groups.values() for run in group])
    own = {size: group for size, group in groups.items() if size.family == runs[0].size.family}
    qualified = [size for size, group in own.items() if _certified_samples(group) >= CERTIFIED]
    if not qualified:
        raise TooFew(f"at no size are at least {CERTIFIED} samples certified at tau in every "
                     "seed (tail_samples)")
    judged = max(qualified, key=lambda size: (size.d, size.k))
    larger = [str(size) for size in own if (size.d, size.k) > (judged.d, judged.k)]
    if larger:
        caveats.append(f"not judged, for want of {CERTIFIED} certified samples: "
                       f"{', '.join(larger)}")
    growth, reasons = _growth(own)
    return Evidence([*_abstract({judged: own[judged]}), *growth], _picture(own),
                    reasons + caveats, own[judged])


def _abstract(group: dict[Size, list[Run]]) -> list[Measurement]:
    """What the abstract says, at one size."""
    ((_, runs),) = group.items()
    tested, certified = runs[0].config.test_samples, _certified_samples(runs)
    parts = [at_every_size("width r99/r01, certified", values_of(
        group, lambda run: window(run, "certified")), CLAIM, logarithms=True)]
    for name, value, samples in (
            ("clean accuracy of the clean network", lambda run: run.summary["clean"]["accuracy"],
             tested),
            ("its attacked accuracy at tau",
             lambda run: run.summary["clean"]["attacked_accuracy"], tested),
            ("certified accuracy of the robust network at tau", _certified_at_tau, certified)):
        parts.append(at_every_size(name, values_of(group, value), CLAIM, lambda size: samples))
    if all(run.summary.get("learners") for run in runs):
        parts.append(at_every_size("attacked accuracy at tau of the best low-complexity learner",
                                   values_of(group, learner_at_tau), (0.0, 0.5),
                                   lambda size: tested, decisive=False))
    for name, kind in (("width r99/r01, attacked,", "attacked"),
                       ("the same between 95 % limits within each run", "limits")):
        parts.append(at_every_size(name, values_of(group, lambda run: window(run, kind)),
                                   (1.0, math.inf), logarithms=True, decisive=False))
    return parts


def _growth(groups: dict[Size, list[Run]]) -> tuple[list[Measurement], list[str]]:
    """Exponents of the window's width in d, and why there are none."""
    table = same_seeds([run for group in groups.values() for run in group])
    parts, reasons = [], []
    for kind in ("attacked", "certified"):
        rows = {size: [window(run, kind) for run in group] for size, group in table.items()
                if kind == "attacked" or _certified_samples(group) >= CERTIFIED}
        try:
            fit = fit_exponent([size.d for size in rows], np.array(list(rows.values())).T)
            parts.append(of_slopes(f"width r99/r01, {kind}, exponent in d", fit, (0.0, math.inf),
                                   decisive=False))
        except (TooFew, ValueError) as reason:
            reasons.append(f"no exponent of the width by {kind} accuracy: {reason}")
    return parts, reasons


def _picture(groups: dict[Size, list[Run]]) -> Picture:
    order = list(groups)
    certified = {size: group for size, group in groups.items() if _certified_samples(group)}
    taught = all(run.summary.get("learners") for group in groups.values() for run in group)
    ends = (-0.4, len(order) - 0.6)
    radii = [_over("clean network, 1 % left", groups, lambda run: run.summary["clean"]["r01"],
                   "clean", order),
             _over("purified network, 99 % left", groups,
                   lambda run: run.summary["adversarial"]["r99"], "other", order)]
    widths = [_over("attacked", groups, lambda run: window(run, "attacked"), "other", order)]
    shares = [_over("clean, no attack", groups, lambda run: run.summary["clean"]["accuracy"],
                    "case 0", order),
              _over("clean, attacked", groups,
                    lambda run: run.summary["clean"]["attacked_accuracy"], "clean", order)]
    if certified:
        radii.append(_over("the same, certified", certified,
                           lambda run: _positive(_certified_radius(run)), "adversarial", order))
        widths.append(_over("certified", certified,
                            lambda run: _positive(window(run, "certified")), "adversarial",
                            order))
        shares.append(_over("purified, certified", certified, _certified_at_tau, "adversarial",
                            order))
    if taught:
        shares.append(_over("best learner, attacked", groups, learner_at_tau, "linear", order))
    names = size_names(order)
    tau = Curve(r"$\tau$", np.arange(len(order)), [groups[size][0].config.tau for size in order],
                ":")
    return Picture(
        "Left: the radius at which the clean network keeps 1 % of the samples, and up to which "
        "the purified one keeps 99 %. Middle: their ratio; the window is open above 1. Right: "
        "accuracies at radius tau.",
        (Panel("$d, k$", "radius", tuple(radii), (tau,), ticks=names, log="y"),
         Panel("$d, k$", "width $r_{99}/r_{01}$", tuple(widths),
               (Curve("open above", ends, (1.0, 1.0)),), ticks=names, log="y"),
         Panel("$d, k$", r"accuracy at $\tau$", tuple(shares), ticks=names, ylim=(-0.02, 1.05),
               possible=(0.0, 1.0))))


def _over(label: str, groups: Mapping[Size, Sequence[Run]], value: Callable[[Run], float],
          role: str, order: Sequence[Size]) -> Series:
    """A number over the sizes."""
    return series_over_sizes(label, values_of(groups, value), role, order)


def _positive(value: float) -> float:
    """A radius for a logarithmic axis: 0 is not on it."""
    return value if value > 0.0 else math.nan
