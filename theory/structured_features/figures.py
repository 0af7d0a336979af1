"""Figures of a patch run: what was learned, what withstands what, and how it is attacked."""

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only; a command must work without a screen

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from simulator.experiments.structured_features.config import TRAININGS, PatchConfig  # noqa: E402
from simulator.runs.run import Run  # noqa: E402
from theory.feature_purification.figures import (ADVERSARIAL, CLEAN, LINEAR, PAGE,  # noqa: E402
                                                 save_figures)

__all__ = ["accuracy_figure", "correlation_figure", "draw_run", "perturbation_figure",
           "transition_figure"]

ROBUST, NONROBUST, AGAINST, REST = ADVERSARIAL, CLEAN, "#009E73", LINEAR
SHADES = {"standard": CLEAN, "one_step": "#E69F00", "pgd": "#56B4E9",
          "multi_start": ADVERSARIAL}
NAMES = {"standard": "standard", "one_step": "one ascent step", "pgd": "PGD",
         "multi_start": "multi-start PGD"}
ATTACKS = {"clean": "none", "one_step_attack": "one ascent\nstep",
           "full_length_step": "one step,\nfull length", "pgd": "PGD",
           "along_v": "swap $v$", "along_u": "swap $u$", "mixed_features": "mixed\nfeatures",
           "patch_by_patch": "patch by\npatch", "strongest_attack": "strongest",
           "certified": "ANY\n(certified)"}
PARTS = ("$-u_y$", "$+u_j$", "$-v_y$", "$+v_j$", "rest")
PART_COLOURS = (ROBUST, "#56B4E9", NONROBUST, "#E69F00", REST)


def draw_run(config: PatchConfig, result: Run, folder: Path) -> list[Path]:
    """Draw the figures of a run as PDF and PNG; return the files written."""
    figures = ({"transition": transition_figure} if config.races else
               {"correlations": correlation_figure, "accuracy": accuracy_figure,
                "perturbation": perturbation_figure})
    return save_figures({name: partial(draw, config, result) for name, draw in figures.items()},
                        folder)


def correlation_figure(config: PatchConfig, result: Run) -> Figure:
    """What the neurons learn of u and v under standard and under adversarial training."""
    shown = _shown(result)
    figure, panels = plt.subplots(1, 2, figsize=(PAGE, 2.7), sharey=True, width_ratios=(1, 1.6))
    for axes, names, title in ((panels[0], shown[:1], "standard training"),
                               (panels[1], shown[1:], "adversarial training")):
        _correlations(axes, result, names)
        axes.set_title(title, pad=24)
        axes.set_xlabel("gradient step")
        axes.axhline(0.0, color="0.75", linewidth=0.6, zorder=0)
    panels[0].set_ylabel("correlation, mean over classes")
    panels[0].legend(loc="lower left")  # the negative half is empty there
    return figure


def _shown(result: Run) -> list[str]:
    return [name for name in TRAININGS if name in result.summary]


def _correlations(axes: Axes, result: Run, names: list[str]) -> None:
    rows = [row for row in result.history.rows() if row["training"] in names]
    for key, colour, label in (("u", ROBUST, r"$\max_r \langle w_{y,r}, u_y\rangle$"),
                               ("v", NONROBUST, r"$\max_r \langle w_{y,r}, v_y\rangle$"),
                               ("against_v", AGAINST, r"$\min_r \langle w_{i,r}, v_y\rangle$")):
        axes.plot([row["step"] for row in rows], [row[key] for row in rows], color=colour,
                  label=label)
    first = 0
    for name in names:
        last = max(row["step"] for row in rows if row["training"] == name)
        if len(names) > 1:
            axes.axvline(last, color="0.75", linewidth=0.6, zorder=0)
            axes.text(0.5 * (first + last), 1.01, "against\n" + NAMES[name], fontsize=6.5,
                      ha="center", va="bottom", transform=axes.get_xaxis_transform())
        first = last
    if rows:
        axes.set_xlim(0, first)


def accuracy_figure(config: PatchConfig, result: Run) -> Figure:
    """Accuracy of every training under every attack, on the same test samples."""
    shown = _shown(result)
    figure, axes = plt.subplots(figsize=(PAGE, 2.6))
    keys = [key for key in ATTACKS if key in result.summary[shown[0]]]
    width = 0.8 / len(shown)
    for number, name in enumerate(shown):
        place = np.arange(len(keys)) + width * (number - 0.5 * (len(shown) - 1))
        height = np.array([result.summary[name][key] for key in keys], float)
        axes.bar(place, height, 0.92 * width, color=SHADES[name], label=NAMES[name])
        for x, y in zip(place, height):
            if y < 0.02:  # a bar of height zero is still an answer
                axes.text(x, 0.01, "0" if y == 0.0 else f"{y:.2f}".lstrip("0"), ha="center",
                          va="bottom", fontsize=6, color=SHADES[name])
    axes.set_xticks(range(len(keys)), [ATTACKS[key] for key in keys])
    axes.set(ylabel=rf"accuracy, $\epsilon = {config.epsilon:g}$ a patch", ylim=(0.0, 1.02),
             xlim=(-0.5, len(keys) - 0.5), xlabel="attack")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(shown),
                title="trained", title_fontsize=7)
    return figure


def perturbation_figure(config: PatchConfig, result: Run) -> Figure:
    """The strongest perturbation of each network patch by patch: along u, along v, the rest.

    Shares of the squared length, mean over samples: in the robust patches, and in the
    non-robust ones, which are ordered by their part orthogonal to the features.
    """
    shown = _shown(result)
    first = config.robust_patches
    figure, panels = plt.subplots(2, len(shown), figsize=(PAGE, 3.1), sharey="row",
                                  squeeze=False, height_ratios=(1.0, 1.0))
    for column, name in enumerate(shown):
        parts = np.asarray(result.arrays[f"parts_{name}"], float)
        attacked = parts[parts.any(axis=(1, 2))]
        bars, lines = panels[0, column], panels[1, column]
        bars.set_title(NAMES[name], color=SHADES[name])
        lines.set_xlabel("non-robust patches")
        if len(attacked) == 0:
            bars.text(0.5, 0.5, "no perturbation", ha="center", transform=bars.transAxes)
            continue
        _signed_bars(bars, attacked[:, :first].mean(axis=(0, 1)), attacked[:, first:].mean((0, 1)))
        squares = attacked[:, first:] ** 2
        shares = squares.sum(axis=0) / squares.sum(axis=(0, 2))[:, None]
        shares = shares[np.argsort(shares[:, 4])]
        lines.stackplot(np.arange(len(shares)), shares.T, colors=PART_COLOURS, linewidth=0)
        lines.set(xlim=(0, max(len(shares) - 1, 1)), ylim=(0, 1))
    panels[0, 0].set_ylabel(r"mean component / $\epsilon$" if config.epsilon == 1.0
                            else "mean component")
    panels[1, 0].set_ylabel("share of $\\|\\delta_p\\|^2$")
    handles: list[Any] = [plt.Rectangle((0, 0), 1, 1, color=colour, label=label)
                          for colour, label in zip(PART_COLOURS, PARTS)]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(PARTS),
                  title="component of the perturbation along")
    return figure


def _signed_bars(axes: Axes, robust: np.ndarray, nonrobust: np.ndarray) -> None:
    """The mean components in a robust patch and in a non-robust one."""
    place = np.arange(len(PARTS))
    for middle, values in ((0.0, robust), (6.0, nonrobust)):
        axes.bar(middle + place, values, 0.85, color=PART_COLOURS)
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set_xticks((2.0, 8.0), ("robust", "non-robust"))
    axes.tick_params(axis="x", length=0)


def transition_figure(config: PatchConfig, result: Run) -> Figure:
    """How often v wins against kappa in this run, what the starts predict, and the fit."""
    figure, axes = plt.subplots(figsize=(PAGE * 0.55, 2.7))
    rows, summary = result.history.rows(), result.summary
    kappa = np.array([row["kappa"] for row in rows])
    axes.plot(kappa, [row["v_wins"] for row in rows], "o", color=NONROBUST, markersize=4,
              label="v wins")
    axes.plot(kappa, [row["v_should_win"] for row in rows], "x", color="black", markersize=4,
              label="predicted from the starts")
    if summary["midpoint"] and np.isfinite(summary["midpoint"]):
        fine = np.geomspace(kappa[0], kappa[-1], 200)
        slope = np.log(fine / summary["midpoint"]) / summary["width"]
        axes.plot(fine, 0.5 * (1.0 + np.tanh(0.5 * slope)), color=NONROBUST, linewidth=1.0,
                  label=f"logistic, midpoint {summary['midpoint']:.2f}")
    axes.axvline(1.0, color="0.75", linewidth=0.6, zorder=0)
    axes.set(xscale="log", xlabel=rf"$\kappa$, with $q = {config.q}$, "
             rf"$\sigma_0 = {config.init_scale:g}$", ylim=(-0.03, 1.03),
             ylabel="share of classes that learn $v$")
    ticks = [tick for tick in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
             if kappa[0] <= tick * 1.001 and tick <= kappa[-1] * 1.001]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.legend(loc="upper left")
    return figure
