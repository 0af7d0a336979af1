"""Figures of one ticket run: errors and accuracies against what is kept, where it lies, the bound.

All are made for the width of a page, a panel of errors alone for that of a column. Bands over
seeds are in the figures of the claims (:mod:`theory.winning_tickets`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.winning_tickets.config import FLOWS, MASKS, OTHERS, TICKETS, TRAINED
from theory.claim import Run
from theory.drawing.shares import (BAND, LIMIT_WORDS, SHARE_WORDS, history_band, limit_band,
                                   limit_bars, share_band, share_bars)
from theory.drawing.style import (COLUMN, PAGE, area, bar, every, legend, line, name_y, new_figure,
                                  one_panel, plain_numbers)
from theory.winning_tickets.quantities import best_ticket, percents, value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_figure", "accuracy_panel", "errors_figure", "errors_panel", "figures",
           "flow_figure", "training_figure", "where_figure"]

BLUE = "#0072B2"
# Okabe & Ito, told apart by every eye: all tickets are blue
COLOURS = {"random": "#009E73", "neurons": "#666666", "magnitude": "#D55E00", "snip": "#CC79A7",
           "saliency": "#E69F00", "lottery": "#56B4E9", TRAINED: "#000000"} | dict.fromkeys(
               TICKETS, BLUE)
# ... and in grey: a mark each for masks over the share kept, a dash each where shares are panels
MARKS = {"neuron-ticket": "D", "random": "o", "neurons": "^", "magnitude": "v", "snip": "P",
         "saliency": "X", "lottery": "*", "ticket": "s", TRAINED: "h"}
DASHES: dict[str, Any] = {"ticket": "-", "kernel-ticket": (0, (6, 1.5)), "random": (0, (1, 1)),
                          "magnitude": (0, (4, 1, 1, 1)), "snip": (0, (3, 2)),
                          "saliency": (0, (4, 1, 1, 1, 1, 1)), "lottery": (0, (2, 3)),
                          TRAINED: (0, (1, 2))}
SINGLE = tuple(name for name in TICKETS if name != "neuron-ticket")  # they choose single weights
LINES = ("neuron-ticket", *OTHERS, TRAINED)
MARKERS = ("o", "s", "^", "D", "v", "P")  # of the shares kept
WHERE = ("ticket", "kernel-ticket", "random", "magnitude", "snip", "saliency", "lottery", TRAINED)
ERRORS = {"kernel_error": "kernel error at initialisation",
          "trajectory_error": "trajectory error, common examples",
          "own_trajectory_error": "trajectory error, own attacks"}
ACCURACIES = {"accuracy": "clean accuracy", "attacked_accuracy": r"attacked accuracy at $\tau$"}


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    drawn: dict[str, Callable[[Run], Figure]] = {
        "errors": errors_figure, "accuracy": accuracy_figure, "where": where_figure,
        "flow": flow_figure}
    return drawn | ({"training": training_figure} if len(run.history) else {})


def training_figure(run: Run) -> "Figure":
    """Error of the outputs and loss along adversarial training against each mask's own attacks."""
    kept = percents([run])
    figure, axes = new_figure(2, len(kept), sharex=True, sharey="row", size=(PAGE, 4.4))
    names = [name for name in (*TICKETS, *OTHERS, TRAINED) if name in DASHES]
    for (upper, lower), percent in zip(axes.T, kept):
        upper.set_title(f"{percent} % kept")
        lower.set_xlabel("gradient step")
        for name in _known(run, tuple(names)):
            rows = (run.history["mask"] == name) & (run.history["keep"] == percent / 100.0)
            for panel, quantity in ((upper, "own_error"), (lower, "loss")):
                panel.plot(run.history["step"][rows], run.history[quantity][rows],
                           color=COLOURS[name], linestyle=DASHES[name])
                history_band(panel, run.history, quantity, rows, COLOURS[name])
    for row, words in zip(axes, ("error of the outputs", "loss")):
        row[0].set_yscale("log")
        plain_numbers(row[0].yaxis)
        name_y(row, words)
    handles = [line(name, color=COLOURS[name], linestyle=DASHES[name])
               for name in _known(run, tuple(names))]
    if "loss_low" in run.history:
        handles.append(area(LIMIT_WORDS, color="black", alpha=BAND))
    legend(figure, handles, loc="outside upper center", ncols=4, handlelength=2.6)
    return figure


def errors_figure(run: Run) -> "Figure":
    """Kernel error at initialisation and trajectory errors, against the share kept."""
    figure, axes = new_figure(1, len(ERRORS), size=(PAGE, 3.4))
    for panel, quantity in zip(axes[0], ERRORS):
        errors_panel(run, quantity, panel)
    handles = [line("the ticket", color=BLUE, linewidth=1.8, marker=MARKS["ticket"]),
               area("tickets of single weights", color=BLUE, alpha=0.25)]
    handles += [line(name, color=COLOURS[name], linestyle=_dash(name), marker=MARKS[name])
                for name in _known(run, LINES)]
    if run.limits:
        handles.append(bar(LIMIT_WORDS))
    legend(figure, handles, loc="outside upper center", ncols=4)
    return figure


def _known(run: Run, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in run.config.masks]


def errors_panel(run: Run, quantity: str = "kernel_error", ax: "Axes | None" = None) -> "Figure":
    """An error of every mask against the share of the weights that it keeps.

    The ticket is the search with the smallest objective; a band spans all searches for single
    weights. Bars are limits over the samples (jackknife), where the run has kept them.
    """
    figure, axes = one_panel(ax, (COLUMN, 3.0))
    kept = percents([run])
    family = np.array([[value(run, name, quantity, percent) for percent in kept]
                       for name in SINGLE])
    axes.fill_between(kept, family.min(axis=0), family.max(axis=0), color=BLUE, alpha=0.25,
                      linewidth=0)
    lines: list[tuple[list[str], dict[str, Any]]] = [
        ([name] * len(kept), {"linestyle": _dash(name), "color": COLOURS[name],
                              "marker": MARKS[name]}) for name in _known(run, LINES)]
    lines.append(([best_ticket(run, percent) for percent in kept],
                  {"color": BLUE, "linewidth": 1.8, "marker": MARKS["ticket"]}))
    for names, look in lines:
        values = [value(run, name, quantity, percent) for name, percent in zip(names, kept)]
        axes.plot(kept, values, **look)
        limits = [run.limits[f"{quantity}_{percent}"][:, run.config.masks.index(name)]
                  for name, percent in zip(names, kept) if f"{quantity}_{percent}" in run.limits]
        if limits:
            limit_bars(axes, kept, values, np.transpose(limits), look["color"], zorder=1)
    axes.set(xscale="log", yscale="log", xlabel="weights kept (%)", ylabel=ERRORS[quantity])
    axes.set_xticks(kept, [str(percent) for percent in kept])
    axes.set_xticks([], minor=True)
    plain_numbers(axes.yaxis)
    return figure


def _dash(name: str) -> str:
    return ":" if name in TICKETS else "-"


def accuracy_figure(run: Run) -> "Figure":
    """Accuracy of every mask after adversarial training; a line for the dense network."""
    figure, axes = new_figure(2, 1, sharex=True, size=(PAGE, 4.2))
    for panel, quantity in zip(axes[:, 0], ACCURACIES):
        accuracy_panel(run, quantity, panel)
    axes[0, 0].tick_params(axis="x", labelbottom=False)
    handles = [line(f"{percent} % kept", color="0.3", marker=marker, linestyle="none",
                    markersize=4) for percent, marker in zip(percents([run]), MARKERS)]
    handles += [line("dense network", color="black", linewidth=0.8),
                bar(SHARE_WORDS)]
    legend(figure, handles, loc="outside upper center", ncols=len(handles))
    return figure


def accuracy_panel(run: Run, quantity: str = "attacked_accuracy",
                   ax: "Axes | None" = None) -> "Figure":
    """An accuracy of every mask, a mark for each share kept, with its exact limits."""
    figure, axes = one_panel(ax, (PAGE, 2.6))
    kept, samples, names = percents([run]), run.config.test_samples, run.config.masks
    for number, percent in enumerate(kept):
        shift = 0.16 * (number - 0.5 * (len(kept) - 1))
        for place, name in enumerate(names):
            share = value(run, name, quantity, percent)
            axes.plot(place + shift, share, MARKERS[number], color=COLOURS[name], markersize=4,
                      markeredgewidth=0)
            share_bars(axes, place + shift, share, samples, COLOURS[name], zorder=1)
    dense = value(run, "dense", quantity, kept[0])
    axes.axhline(dense, color="black", linewidth=0.8, zorder=1)
    share_band(axes, (0.0, 1.0), (dense, dense), samples, "black", zorder=0,
               transform=axes.get_yaxis_transform())
    for place in np.arange(1, len(names)) - 0.5:
        axes.axvline(place, color="0.92", linewidth=0.6, zorder=0)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.set(ylabel=ACCURACIES[quantity], ylim=(-0.02, 1.04), xlim=(-0.5, len(names) - 0.5))
    return figure


def where_figure(run: Run) -> "Figure":
    """Where the kept weights lie: in large or small coefficients, in few or in all neurons.

    A neuron's coefficients in the dictionary are ranked by size; bands are the exact limits of
    the share over the neurons. Below: what a neuron keeps, the
    median and the range of 90 % of the neurons.
    """
    shown, names = percents([run])[:3], run.config.masks
    figure, axes = new_figure(2, len(shown), sharey="row", size=(PAGE, 5.2),
                              height_ratios=(1.0, 1.1))
    for (upper, lower), percent in zip(axes.T, shown):
        ranks, neurons = (np.asarray(run.arrays[f"per_{what}_{percent}"], float)
                          for what in ("rank", "neuron"))
        for name in _known(run, WHERE):
            rank, shares = np.arange(1, run.config.d + 1), ranks[names.index(name)]
            upper.plot(rank, shares, linestyle=DASHES[name], color=COLOURS[name], label=name)
            share_band(upper, rank, shares, run.config.m, COLOURS[name])
        upper.set(title=f"{percent} % kept", xlabel="rank of the coefficient",
                  ylim=(-0.02, 1.02))
        for place, (name, kept) in enumerate(zip(names, neurons / run.config.d)):
            low, middle, high = np.quantile(kept, (0.05, 0.5, 0.95))
            lower.hlines(place, low, high, color=COLOURS[name], linewidth=2.2, alpha=0.5)
            lower.plot(middle, place, "o", color=COLOURS[name], markersize=3.5)
        lower.axvline(percent / 100.0, color="0.75", linewidth=0.6, zorder=0)
        lower.set(xlabel="share kept of a neuron", xlim=(-0.02, 1.02))
    name_y(axes[0], "share kept")
    axes[1, 0].set_yticks(range(len(names)), names)
    axes[1, 0].invert_yaxis()
    handles, _ = axes[0, 0].get_legend_handles_labels()
    legend(figure, handles, loc="outside upper center", ncols=4, handlelength=2.6)
    return figure


def flow_figure(run: Run) -> "Figure":
    """Distance of the frozen flows (full) and its bound (dashed) for three masks, each its mark.

    In the norm of the inverse of each mask's kernel.
    """
    config, kept = run.config, percents([run])
    figure, axes = new_figure(1, len(kept), size=(PAGE, 2.9))
    for panel, percent in zip(axes[0], kept):
        flows = np.asarray(run.arrays[f"flow_{percent}"])
        times = np.linspace(0.0, config.learning_rate * config.steps, flows.shape[2])
        for name in FLOWS:
            distance, bound = flows[MASKS.index(name)]
            look: dict[str, Any] = {"color": COLOURS[name], "marker": MARKS[name],
                                    "markevery": every(flows.shape[2])}
            panel.plot(times, distance, **look)
            panel.plot(times, bound, "--", linewidth=0.9, **look)
            if f"flow_{percent}" in run.limits:
                for limits in run.limits[f"flow_{percent}"][:, MASKS.index(name)].swapaxes(0, 1):
                    if np.isfinite(limits).any():
                        limit_band(panel, times, limits, COLOURS[name])
        panel.set(title=f"{percent} % kept", xlabel=r"time $\eta t$", xlim=(0.0, times[-1]))
        if np.isfinite(flows[[MASKS.index(name) for name in FLOWS]]).any():
            panel.set_yscale("log")
            plain_numbers(panel.yaxis)
        else:
            panel.set_yticks([])
            panel.text(0.5, 0.5, "no kernel of these\ncan be inverted", ha="center", va="center",
                       transform=panel.transAxes)
    name_y(axes[0], r"$\|f_s - f_d\|$ and its bound")
    handles = [line(name, color=COLOURS[name], marker=MARKS[name]) for name in FLOWS]
    handles += [line("distance", color="black"),
                line("its bound", color="black", linestyle="--", linewidth=0.9)]
    if run.limits:
        handles.append(area(LIMIT_WORDS, color="black", alpha=BAND))
    legend(figure, handles, loc="outside upper center", ncols=3)
    return figure
