"""Figures of a patch run: what was learned, what withstands what, and how it is attacked.

All are made for the width of a page; ``transition`` and ``spectrum`` for that of a column.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.structured_features.config import TRAININGS
from simulator.experiments.structured_features.experiment import of_classes
from theory.claim import Run
from theory.drawing.shares import (BAND, BAR, LIMIT_WORDS, SHARE_WORDS, history_band, limit_bars,
                                   share_bars)
from theory.drawing.style import (ADVERSARIAL, CLEAN, COLUMN, GUIDE, LINEAR, OTHER, PAGE, area, bar,
                                  is_narrow, legend, line, name_y, new_figure, one_panel,
                                  plain_numbers)
from theory.scaling import t_quantile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_figure", "correlation_figure", "figures", "perturbation_figure",
           "spectrum_figure", "training_figure", "transition_figure"]

ROBUST, NONROBUST, AGAINST, REST = ADVERSARIAL, CLEAN, OTHER, LINEAR
ORANGE, SKY = "#E69F00", "#56B4E9"
SHADES = {"standard": CLEAN, "one_step": ORANGE, "pgd": SKY, "multi_start": ADVERSARIAL}
HATCHES = {"standard": "", "one_step": "////", "pgd": "....", "multi_start": "xxxx"}
NAMES = {"standard": "standard", "one_step": "one ascent step", "pgd": "PGD",
         "multi_start": "multi-start PGD"}
LINES: dict[str, Any] = {"standard": "-", "one_step": "--", "pgd": ":", "multi_start": "-."}
SHORT = {"standard": "standard", "one_step": "ascent\nstep", "pgd": "PGD",
         "multi_start": "multi-start\nPGD"}
ATTACKS = {"accuracy": "none", "one_step_attack": "ascent\nstep",
           "full_length_step": "full\nstep", "pgd": "PGD",
           "along_v": "swap $v$", "along_u": "swap $u$", "mixed_features": "mixed\nfeatures",
           "patch_by_patch": "patch by\npatch", "erase_and_write": "erase $v_y$,\nwrite $v_t$",
           "attacked_accuracy": "strongest",
           "certified_accuracy": "ANY\n(certified)"}
LEARNED = (("u", ROBUST, "-", r"robust: $\max_r \langle w_{y,r}, u_y\rangle$"),
           ("v", NONROBUST, "--", r"non-robust: $\max_r \langle w_{y,r}, v_y\rangle$"),
           ("against_v", AGAINST, ":", r"held against it: $\min_r \langle w_{i,r}, v_y\rangle$"))
PARTS = ("$-u_y$", "$+u_j$", "$-v_y$", "$+v_j$", "rest")
PART_COLOURS = (ROBUST, SKY, NONROBUST, ORANGE, REST)
PART_HATCHES = (r"\\\\\\", "....", "////", "xxxx", "")


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    if run.config.races:
        return {"transition": transition_figure}
    if run.config.spectrum_points:
        return {"spectrum": spectrum_figure}
    return {"correlations": correlation_figure, "accuracy": accuracy_figure,
            "perturbation": perturbation_figure, "training": training_figure}


def training_figure(run: Run) -> "Figure":
    """Loss over each training, of what it is trained on; a column wide."""
    figure, axes = new_figure(size=(COLUMN, 2.8))
    panel, history = axes[0, 0], run.history
    for name in _shown(run):
        rows = history["training"] == name
        steps = history["step"][rows]
        panel.plot(steps, history["loss"][rows], color=SHADES[name], linestyle=LINES[name],
                   label=NAMES[name])
        history_band(panel, history, "loss", rows, SHADES[name])
    panel.set(xlabel="gradient step", ylabel="loss, of what is trained on", yscale="log")
    plain_numbers(panel.yaxis)
    handles = panel.get_legend_handles_labels()[0]
    if "loss_low" in history:
        handles.append(area(LIMIT_WORDS, color="black", alpha=BAND))
    legend(figure, handles, loc="outside lower center", ncols=2)
    return figure


def correlation_figure(run: Run) -> "Figure":
    """What the neurons learn of u and v under standard and under adversarial training.

    Curves are means over the classes; a bar at the end of a training spans all of them.
    """
    shown = _shown(run)
    figure, axes = new_figure(1, 2, sharey=True, width_ratios=(1, 1.6), size=(PAGE, 3.0))
    for panel, names, title in zip(axes[0], (shown[:1], shown[1:]),
                                   ("standard training", "adversarial training"
                                    + " against" * is_narrow())):
        _correlations(panel, run, names)
        panel.set_title(title, pad=24)
        panel.set_xlabel("gradient step")
        panel.axhline(0.0, **GUIDE)
    name_y(axes[0], "correlation, mean over classes")
    legend(figure, [*(line(label, color=colour, linestyle=dash)
                      for _, colour, dash, label in LEARNED), bar("all classes, at the end")],
           loc="outside lower center", ncols=2)
    return figure


def _shown(run: Run) -> list[str]:
    return [name for name in TRAININGS if name in run.summary]


def _correlations(axes: "Axes", run: Run, names: Sequence[str]) -> None:
    """The trainings one after the other, as they were done."""
    history = run.history
    chosen = np.isin(history["training"], names)
    for key, colour, dash, _ in LEARNED:
        axes.plot(history["step"][chosen], history[key][chosen], dash, color=colour)
    first = 0
    for name in names:
        last = int(history["step"][history["training"] == name].max())
        for (key, colour, _, _), (low, high) in zip(LEARNED, _over_classes(run, name)):
            axes.errorbar(last, low, ([0.0], [high - low]), color=colour, capsize=2.5,
                          linewidth=0.9, clip_on=False, zorder=3)
        if len(names) > 1:
            axes.axvline(last, **GUIDE)
            words = SHORT[name] if is_narrow() else "against\n" + NAMES[name]
            axes.text(0.5 * (first + last), 1.01, words, ha="center",
                      va="bottom", transform=axes.get_xaxis_transform())
        first = last
    if first:
        axes.set_xlim(0, first)


def _over_classes(run: Run, name: str) -> list[tuple[float, float]]:
    """Smallest and largest of what a training taught, over classes, in the order of LEARNED."""
    learned = of_classes(run.arrays[f"weights_{name}"], *np.split(run.arrays["features"], 2))
    return [(float(learned[key].min()), float(learned[key].max())) for key, *_ in LEARNED]


def accuracy_figure(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Accuracy of every training under every attack, on the same test samples, with limits."""
    figure, axes = one_panel(ax, (PAGE, 4.0 if is_narrow() else 2.9))
    shown = _shown(run)
    keys = [key for key in ATTACKS if key in run.summary[shown[0]]]
    width = 0.8 / len(shown)
    for number, name in enumerate(shown):
        place = np.arange(len(keys)) + width * (number - 0.5 * (len(shown) - 1))
        height = np.array([run.summary[name][key] for key in keys], float)
        axes.bar(place, height, 0.92 * width, color=SHADES[name], label=NAMES[name],
                 hatch=HATCHES[name], edgecolor="white", linewidth=0)
        for at, share, key in zip(place, height, keys):  # also of a bar of height zero
            share_bars(axes, at, share, _samples(run, name, key), "black")
    names = [ATTACKS[key] for key in keys]
    if is_narrow():
        axes.set_xticks(range(len(keys)), [name.replace("\n", " ") for name in names], rotation=90)
    else:
        axes.set_xticks(range(len(keys)), names)
    axes.set(ylabel=rf"accuracy, $\epsilon = {run.config.epsilon:g}$ a patch", ylim=(0.0, 1.02),
             xlim=(-0.5, len(keys) - 0.5), xlabel="attack")
    legend(axes, axes.get_legend_handles_labels()[0], loc="lower center",
           bbox_to_anchor=(0.5, 1.0), ncols=len(shown), title=f"training (bars: {SHARE_WORDS})")
    return figure


def _samples(run: Run, name: str, key: str) -> int:
    """How many samples an accuracy is of: certificates are for fewer than attacks."""
    kind = "certified" if key == "certified_accuracy" else "strongest"
    return len(run.arrays[f"margins_{name}_{kind}"])


def perturbation_figure(run: Run) -> "Figure":
    """The strongest perturbation of each network patch by patch: along u, along v, the rest.

    Above the means over samples with 95 % intervals, in a robust patch and in a non-robust one.
    Below shares of the squared length in the non-robust patches, which are ordered by their part
    orthogonal to the features. Parts are in the order of the legend, from left to right and from
    below to above.
    """
    shown, first = _shown(run), run.config.robust_patches
    figure, panels = new_figure(2, len(shown), sharey="row", size=(PAGE, 3.6), across=2)
    for (bars, shares), name in zip(panels.T, shown):
        parts = np.asarray(run.arrays[f"parts_{name}"], float)
        attacked = parts[parts.any(axis=(1, 2))]
        bars.set_title(NAMES[name])
        shares.set_xlabel("non-robust patch")
        if len(attacked) == 0:
            bars.text(0.5, 0.5, "no perturbation", ha="center", transform=bars.transAxes)
            continue
        _signed_bars(bars, attacked[:, :first].mean(axis=1), attacked[:, first:].mean(axis=1))
        squares = attacked[:, first:] ** 2
        share = squares.sum(axis=0) / squares.sum(axis=(0, 2))[:, None]
        share = share[np.argsort(share[:, 4])]
        shares.stackplot(np.arange(len(share)), share.T, colors=PART_COLOURS, linewidth=0,
                         hatch=PART_HATCHES, edgecolor="white")
        shares.set(xlim=(0, max(len(share) - 1, 1)), ylim=(0, 1))
    name_y(panels[0], r"mean component / $\epsilon$" if run.config.epsilon == 1.0
           else "mean component")
    name_y(panels[1], "share of $\\|\\delta_p\\|^2$")
    legend(figure, [area(label, facecolor=colour, hatch=hatch, edgecolor="white")
                    for colour, hatch, label in zip(PART_COLOURS, PART_HATCHES, PARTS)],
           loc="outside upper center", ncols=len(PARTS),
           title="component of the perturbation along")
    return figure


def _signed_bars(axes: "Axes", robust: np.ndarray, nonrobust: np.ndarray) -> None:
    """The mean components in a robust patch and in a non-robust one; a row of each a sample."""
    place = np.arange(len(PARTS))
    for middle, samples in ((0.0, robust), (6.0, nonrobust)):
        values = samples.mean(axis=0)
        if len(samples) > 1:
            error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
            axes.errorbar(middle + place, values, t_quantile(len(samples) - 1) * error,
                          ecolor="black", **BAR)
        axes.bar(middle + place, values, 0.85, color=PART_COLOURS, hatch=PART_HATCHES,
                 edgecolor="white", linewidth=0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_xticks((2.0, 8.0), ("robust", "non-robust"))
    axes.tick_params(axis="x", length=0)


def transition_figure(run: Run, ax: "Axes | None" = None) -> "Figure":
    """How often v wins against kappa in this run, what the starts predict, and the fit.

    Bars are 95 % limits of the share, over all classes of all races.
    """
    figure, axes = one_panel(ax, (COLUMN, 3.0))
    history, summary = run.history, run.summary
    kappa = history["kappa"]
    axes.plot(kappa, history["v_wins"], "o", color=NONROBUST, markersize=5, label="$v$ wins",
              markerfacecolor="white")
    share_bars(axes, kappa, history["v_wins"], int(summary["races"]), NONROBUST, zorder=1)
    axes.plot(kappa, history["v_should_win"], "x", color="black", markersize=4,
              label="predicted from the starts")
    if summary["midpoint"] and np.isfinite(summary["midpoint"]):
        fine = np.geomspace(kappa[0], kappa[-1], 200)
        slope = np.log(fine / summary["midpoint"]) / summary["width"]
        axes.plot(fine, 0.5 * (1.0 + np.tanh(0.5 * slope)), color=NONROBUST, linewidth=1.0,
                  label=f"logistic, midpoint {summary['midpoint']:.2f}")
    axes.axvline(1.0, **GUIDE)
    axes.set(xscale="log", xlabel=rf"$\kappa$, with $q = {run.config.q}$, "
             rf"$\sigma_0 = {run.config.init_scale:g}$", ylim=(-0.03, 1.03),
             ylabel="share of classes that learn $v$")
    ticks = [tick for tick in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
             if kappa[0] <= tick * 1.001 and tick <= kappa[-1] * 1.001]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def spectrum_figure(run: Run, ax: "Axes | None" = None) -> "Figure":
    """What one-step training learns of u and v at every radius; bars span the classes."""
    figure, axes = one_panel(ax, (COLUMN, 3.0))
    ratio = run.history["epsilon"] / run.config.beta
    for (key, colour, dash, label), mark in zip(LEARNED[:2], "os"):
        axes.plot(ratio, run.history[key], dash, marker=mark, color=colour, markersize=4,
                  label=label)
        if key in run.limits:
            limit_bars(axes, ratio, run.history[key], run.limits[key], colour, zorder=1)
    axes.axvline(1.0, **GUIDE)
    axes.set(xlabel=r"$\epsilon / \beta$", ylabel="correlation, mean over classes")
    axes.set_ylim(bottom=0.0)
    handles, _ = axes.get_legend_handles_labels()
    if run.limits:
        handles.append(bar("all classes"))
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
