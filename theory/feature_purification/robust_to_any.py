"""A7: after adversarial training the network is robust to ANY perturbation of that radius.

An attack bounds robust accuracy from above only, so "any" needs the bracket
``certified <= true <= attacked`` of :mod:`simulator.robustness.bracket`. The clean network is
not robust in the same sense if its attacked accuracy lies below what is certified for the robust
one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from theory.claim import Assumption, Claim, Finding, Run, Size, Threshold, at_least
from theory.drawing.picture import Curve, Panel, Picture
from theory.evidence import (Evidence, at_every_size, confronted, difference_at_every_size,
                             series_over_sizes, size_names, values_of)
from theory.feature_purification.assumptions import (ABOVE_CUBE_ROOT, BELOW_SQUARE_ROOT, EUCLIDEAN,
                                                     LEARNED, PURIFIED)
from theory.feature_purification.plans import PERTURBATIONS

__all__ = ["CLAIM", "RUNS", "bracket_at", "bracket_at_tau", "confront"]


def bracket_at(run: Run, phase: str, radius: float) -> Mapping[str, Any] | None:
    """Return the entry of a network's bracket at a radius, or None if there is none.

    Parameters
    ----------
    run : Run
    phase : "clean" or "adversarial"
    radius : float
    """
    for entry in run.summary[phase].get("bracket") or ():
        if abs(entry["radius"] - radius) <= 1e-6 * radius:
            return dict(entry)
    return None


def bracket_at_tau(run: Run, phase: str) -> Mapping[str, Any] | None:
    """Return the entry at radius tau; see :func:`bracket_at`."""
    return bracket_at(run, phase, run.config.tau)


BRACKETED = Assumption(
    "the summary holds a bracket certified <= true <= attacked at radius tau for both networks",
    lambda run: all(bracket_at_tau(run, phase) for phase in ("clean", "adversarial")))

CLAIM = Claim(
    id="A7", title="robust to any perturbation of the radius",
    statement="The adversarially trained network, though it only ever saw the perturbations of "
              "one attack, is right on almost every sample under every perturbation of radius "
              "tau, where the clean network is not.",
    source="Allen-Zhu & Li, arXiv 2005.10190, the result on adversarial training. At finite "
           "size \"almost every\" becomes one half, as in r50; the reading is r50 ~ 1/sqrt(k), "
           "of which tau is a fixed share.",
    assumptions=(BELOW_SQUARE_ROOT, ABOVE_CUBE_ROOT, EUCLIDEAN, LEARNED, PURIFIED, BRACKETED),
    quantity="certified accuracy of the robust network at tau; its distance above the attacked "
             "accuracy of the clean network at tau",
    law="certified accuracy at least 0.5, distance at least 0, at every size",
    expected=1.0,
    thresholds={"certified accuracy at tau": Threshold(0.5, 1.0),
                "certified robust minus attacked clean accuracy": at_least(0.0)},
    fixed="2026-11-28",
    changed="The interval of the distance was t over seeds alone, for which seeds that agree are "
            "certain: two networks of one accuracy would have held. The exact binomial limits of "
            "both accuracies belong to it now. The thresholds are those of before.")
RUNS = PERTURBATIONS


def confront(runs: Sequence[Run]) -> Finding:
    """Confront the claim with runs."""
    return confronted(CLAIM, runs, _measure)


def _of(run: Run, phase: str, name: str) -> float:
    entry = bracket_at_tau(run, phase)
    return float(entry[name]) if entry else float("nan")


def _measure(groups: dict[Size, list[Run]]) -> Evidence:
    values = {(phase, name): values_of(groups, lambda run: _of(run, phase, name))
              for phase in ("clean", "adversarial") for name in ("certified", "attacked")}
    samples = {phase: {size: int(min(_of(run, phase, "samples") for run in group))
                       for size, group in groups.items()} for phase in ("clean", "adversarial")}
    parts = [at_every_size("certified accuracy at tau", values["adversarial", "certified"],
                           CLAIM, samples["adversarial"].__getitem__),
             difference_at_every_size(
                 "certified robust minus attacked clean accuracy",
                 values["adversarial", "certified"], values["clean", "attacked"], CLAIM,
                 lambda size: (samples["adversarial"][size], samples["clean"][size]))]
    order = list(groups)
    names = {"clean": "clean", "adversarial": "robust"}
    picture = Picture(
        "The bracket at radius tau: certified accuracy (no perturbation at all can do worse) and "
        "attacked accuracy (one was found) of both networks.",
        tuple(Panel("$d, k$", rf"accuracy at $\tau$, {names[phase]} network",
                    (series_over_sizes("attacked", values[phase, "attacked"], "other", order),
                     series_over_sizes("certified", values[phase, "certified"], phase, order)),
                    (Curve("one half", (-0.4, len(order) - 0.6), (0.5, 0.5)),),
                    ticks=size_names(order), ylim=(0.0, 1.05)) for phase in names))
    return Evidence(parts, picture, [])
