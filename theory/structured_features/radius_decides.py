"""B6 (a question about Li & Li, arXiv 2410.08503): which feature wins at which radius?

The one-step training at epsilon from 0 to 2 beta, from one start and on one set of samples.
"""

from collections.abc import Sequence

import numpy as np

from simulator.experiments.structured_features.spectrum import COLUMNS
from theory.claim import Claim, Finding, Run, Threshold, at_least, at_most
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import Evidence, at_every_size, confronted, values_of
from theory.structured_features.assumptions import DENSE, QUIET, SOURCE, SUPERLINEAR
from theory.structured_features.plans import SPECTRUM
from theory.structured_features.quantities import Groups

__all__ = ["CLAIM", "RUNS", "confront"]

BEHIND, AHEAD = 0.2, 1.2  # u over v: at most without an adversary, at least at 2 beta

CLAIM = Claim(
    id="B6", title="the radius decides which feature adversarial training learns",
    statement="At epsilon = 0 the non-robust feature is learned, at epsilon = 2 beta the robust "
              "one; between them one overtakes the other where the radius reaches the strength "
              "beta of the weak feature.",
    source=f"{SOURCE}The theorems leave epsilon between 0 and their own open; a reviewer asked for "
           "this spectrum. That the change lies at beta is a reading: an adversary who can erase "
           "the weak feature leaves nothing of it to learn.",
    assumptions=(DENSE, SUPERLINEAR, QUIET),
    quantity="<w, u> over <w, v> after the one-step training at epsilon = 0 and 2 beta; epsilon / "
             "beta from which on u is above v",
    law="ratio at most .2 at 0 and at least 1.2 at 2 beta; the change in [.75, 1.1]",
    expected=1.0,
    thresholds={"epsilon / beta from which u is above v": Threshold(0.75, 1.1),
                "<w, u> over <w, v> at epsilon = 0": at_most(BEHIND, 0.0),
                "<w, u> over <w, v> at epsilon = 2 beta": at_least(AHEAD)},
    fixed="2026-11-27")
RUNS = SPECTRUM


def confront(runs: Sequence[Run]) -> Finding:
    """Confront B6 with runs of spectrum points."""
    return confronted(CLAIM, [run for run in runs if run.config.spectrum_points], _measure)


def _column(run: Run, name: str) -> np.ndarray:
    """One number for each radius, shape (points,)."""
    return np.asarray(run.arrays["spectrum"], np.float64)[:, COLUMNS.index(name)]


def _ratio(run: Run) -> np.ndarray:
    return _column(run, "u") / _column(run, "v")


def _from(run: Run) -> float:
    """Where u is above v for good: infinity where it never is, 0 where it always is."""
    found = run.summary["overtaken_from"]
    if found is None:
        return np.inf if _ratio(run)[-1] < 1.0 else 0.0
    return float(found)


def _measure(groups: Groups) -> Evidence:
    start = values_of(groups, lambda run: float(_ratio(run)[0]))
    end = values_of(groups, lambda run: float(_ratio(run)[-1]))
    change = values_of(groups, _from)
    parts = [at_every_size("epsilon / beta from which u is above v", change, CLAIM),
             at_every_size("<w, u> over <w, v> at epsilon = 0", start, CLAIM, logarithms=True),
             at_every_size("<w, u> over <w, v> at epsilon = 2 beta", end, CLAIM, logarithms=True)]
    panels: list[Panel] = []
    for group in groups.values():
        x = np.asarray(group[0].arrays["epsilons"]) / group[0].config.beta
        learned = [(np.array([_column(run, name) for run in group]), role, label)
                   for name, role, label in (("u", "adversarial", "robust $u$"),
                                             ("v", "clean", "non-robust $v$"))]
        top = max(float(values.max()) for values, _, _ in learned)
        panels += [
            Panel(r"$\epsilon / \beta$", r"largest correlation $\max_r \langle w_r, "
                  r"\cdot\,\rangle$", tuple(Series(label, x, values, role, joined=True)
                                            for values, role, label in learned),
                  (Curve(r"$\epsilon = \beta$", (1.0, 1.0), (0.0, top)),)),
            Panel(r"$\epsilon / \beta$", "accuracy", tuple(
                Series(label, x, np.array([_column(run, name) for run in group]), role, joined=True)
                for name, role, label in (("on_robust", "adversarial", "on $D_R$"),
                                          ("on_nonrobust", "clean", "on $D_{NR}$"))),
                  ylim=(0.0, 1.05))]
    picture = Picture("After the one-step training at every radius: largest correlations of a "
                      "neuron with the two features, and accuracy on the robust or the non-robust "
                      "patches alone.", tuple(panels))
    return Evidence(parts, picture, [])
