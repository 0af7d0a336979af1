"""The abstract in one picture: one radius that the clean network does not survive and the purified
one provably does.

Accuracy against radius of both networks on the same axes. Of the clean one it counts where hardly
a sample is left (r01), of the purified one up to where hardly one is lost, to attacks and, for ANY
perturbation, by certificates (r99). Between them, where the first is smaller, lies the window.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from theory.claim import Run
from theory.drawing.shares import BAND, SHARE_WORDS, share_band
from theory.drawing.style import (ADVERSARIAL, CLEAN, GUIDE, LINEAR, MARKERS, NAMES, PAGE, area,
                                  broken, every, legend, line, name_y, new_figure)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["has_window", "window_figure"]

WINDOW = "#F0E442"
LEARNER_MARKERS = "v^<>dp"


def has_window(run: Run) -> bool:
    """Whether the run certified enough samples together to draw the window."""
    return "certified_radii" in run.arrays and "r01" in run.summary["clean"]


def window_figure(run: Run) -> "Figure":
    """Accuracy against radius, all of it, and beside it the window itself; a page wide.

    Bands are exact binomial limits of the population's accuracy.
    """
    figure, axes = new_figure(1, 2, sharey=True, size=(PAGE, 3.3), width_ratios=(3, 2))
    whole, near = axes[0]
    ends = _window(run)
    top = float(run.arrays["radii"][-1])
    for panel, (low, high) in ((whole, (0.0, top)),
                               (near, (max(0.0, 0.75 * min(ends)), 1.3 * max(ends)))):
        _accuracies(run, panel)
        if ends[0] < ends[1]:
            panel.axvspan(*ends, color=WINDOW, alpha=0.5, linewidth=0, zorder=0)
        panel.axvline(run.config.tau, **(GUIDE | {"color": "black", "linestyle": ":"}))
        panel.text(run.config.tau, 1.04, r"$\tau$", ha="center", va="bottom")
        norm = r"\ell_2" if run.config.norm == "l2" else r"\ell_\infty"
        panel.set(xlabel=rf"${norm}$ radius of the perturbation", xlim=(low, high),
                  ylim=(-0.02, 1.03))
    near.locator_params(axis="x", nbins=5)
    name_y(axes[0], "accuracy")
    whole.set_title(broken(
        f"d = {run.config.d}, k = {run.config.k}: {run.config.test_samples} samples, "
        f"certificates for {len(run.arrays['certified_radii'])}"), loc="left", pad=18)
    near.set_title("the window" if ends[0] < ends[1] else "no window", loc="left", pad=18)
    legend(figure, _handles(run, ends), loc="outside lower center", ncols=3)
    return figure


def _window(run: Run) -> tuple[float, float]:
    """r01 of the clean network, certified r99 of the purified one."""
    return float(run.summary["clean"]["r01"]), float(run.summary["adversarial"]["r99_certified"])


def _accuracies(run: Run, axes: "Axes") -> None:
    radii, samples = run.arrays["radii"], run.config.test_samples
    for phase, colour, dash in (("clean", CLEAN, "-"), ("adversarial", ADVERSARIAL, "--")):
        left = run.arrays[f"curve_{phase}_strongest"]
        share_band(axes, radii, left, samples, colour)
        axes.plot(radii, left, dash, color=colour, marker=MARKERS[phase],
                  markevery=every(len(radii)))
    far = np.sort(run.arrays["certified_radii"])
    at = np.unique(np.concatenate([[0.0], far[np.isfinite(far)]]))
    held = 1.0 - np.searchsorted(far, at) / len(far)
    share_band(axes, at, held, len(far), ADVERSARIAL)
    axes.plot(at, held, color=ADVERSARIAL, linewidth=2.0)
    for number, (name, row) in enumerate(_learners(run).items()):
        axes.plot(run.summary["learners"]["radii"], row, ":", color=LINEAR, linewidth=1.0,
                  marker=LEARNER_MARKERS[number])


def _learners(run: Run) -> dict[str, np.ndarray]:
    """The best attacked accuracy of each class of low-complexity learners, at their radii."""
    best: dict[str, np.ndarray] = {}
    for entry in (run.summary.get("learners") or {"table": ()})["table"]:
        left = np.asarray(entry["attacked"])
        best[entry["learner"]] = np.maximum(best.get(entry["learner"], left), left)
    return best


def _handles(run: Run, ends: tuple[float, float]) -> list[Any]:
    handles = [line(f"{NAMES['clean']}, attacked", color=CLEAN, marker=MARKERS["clean"]),
               line(f"{NAMES['adversarial']}, attacked", color=ADVERSARIAL, linestyle="--",
                    marker=MARKERS["adversarial"]),
               line(f"{NAMES['adversarial']}, certified", color=ADVERSARIAL, linewidth=2.0)]
    handles += [line(name, color=LINEAR, linestyle=":", linewidth=1.0, marker=marker)
                for name, marker in zip(_learners(run), LEARNER_MARKERS)]
    if ends[0] < ends[1]:
        handles.append(area(r"window: $r_{01}$ clean to $r_{99}$ certified", facecolor=WINDOW,
                            alpha=0.5))
    handles.append(area(SHARE_WORDS, color="black", alpha=BAND))
    return handles
