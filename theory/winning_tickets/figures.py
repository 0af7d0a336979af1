"""Figures of one ticket run: errors and accuracies against what is kept, where it lies, the bound.

Bands over seeds are in the figures of the claims (:mod:`theory.winning_tickets`).
"""

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only; a command must work without a screen

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

from simulator.experiments.winning_tickets.config import MASKS, TICKETS, TicketConfig  # noqa: E402
from simulator.runs.run import Run  # noqa: E402
from theory.feature_purification.figures import PAGE, save_figures  # noqa: E402

__all__ = ["accuracy_figure", "draw_run", "errors_figure", "flow_figure", "where_figure"]

# Okabe & Ito, colour-blind safe: tickets share a colour and differ in dash
COLOURS = {"random": "#009E73", "neurons": "#666666", "magnitude": "#D55E00", "snip": "#CC79A7",
           "saliency": "#E69F00", "lottery": "#56B4E9"} | dict.fromkeys(TICKETS, "#0072B2")
DASHES = dict.fromkeys(MASKS, "-") | dict(zip(TICKETS, ("-", ":", "--", "-.", (0, (1, 3)))))
MARKERS = dict.fromkeys(MASKS, "o") | {name: "s" for name in TICKETS}
FLOWS = ("ticket", "random", "magnitude")
WHERE = ("ticket", "kernel-ticket", "random", "magnitude", "snip", "saliency", "lottery")


def draw_run(config: TicketConfig, result: Run, folder: Path) -> list[Path]:
    """Draw the figures of a run as PDF and PNG; return the files written."""
    figures = {"errors": errors_figure, "accuracy": accuracy_figure, "where": where_figure,
               "flow": flow_figure}
    return save_figures({name: partial(draw, config, result) for name, draw in figures.items()},
                        folder)


def errors_figure(config: TicketConfig, result: Run) -> Figure:
    """Kernel error at initialisation and trajectory errors, against the share kept."""
    figure, panels = plt.subplots(1, 3, figsize=(PAGE, 3.4))
    for axes, quantity, label in zip(
            panels, ("kernel_error", "trajectory_error", "own_trajectory_error"),
            ("kernel error at initialisation", "trajectory error, common examples",
             "trajectory error, own attacks")):
        _against_keep(axes, config, result, quantity)
        axes.set(yscale="log", ylabel=label)
        _plain_numbers(axes)
    _legend(figure, panels[0])
    return figure


def accuracy_figure(config: TicketConfig, result: Run) -> Figure:
    """Accuracy after adversarial training, against the share kept; a line for the dense network."""
    figure, panels = plt.subplots(1, 2, figsize=(PAGE, 3.4), sharey=True)
    for axes, quantity, label in zip(panels, ("accuracy", "attacked_accuracy"),
                                     ("clean accuracy", r"attacked accuracy at $\tau$")):
        _against_keep(axes, config, result, quantity)
        dense = result.summary["dense"][f"{quantity}_{config.percents[0]}"]
        axes.axhline(dense, color="black", linewidth=0.8, zorder=1, label="dense")
        axes.set(ylabel=label, ylim=(-0.02, 1.03))
    _legend(figure, panels[0])
    return figure


def _against_keep(axes: Axes, config: TicketConfig, result: Run, quantity: str) -> None:
    for name in MASKS:
        values = [result.summary[name][f"{quantity}_{percent}"] for percent in config.percents]
        axes.plot(config.percents, values, linestyle=DASHES[name], marker=MARKERS[name],
                  markersize=3, color=COLOURS[name], label=name)
    axes.set(xscale="log", xlabel="weights kept (%)")
    axes.set_xticks(config.percents, [str(percent) for percent in config.percents])
    axes.minorticks_off()


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, handlelength=2.6)


def where_figure(config: TicketConfig, result: Run) -> Figure:
    """Where the kept weights lie: in large or small coefficients, in few or in all neurons.

    A neuron's coefficients in the dictionary are ranked by size. Right: neurons in the order of
    what they keep.
    """
    shown = config.percents[:3]
    figure, panels = plt.subplots(2, len(shown), figsize=(PAGE, 4.6), squeeze=False)
    for column, percent in enumerate(shown):
        ranks, neurons = (np.asarray(result.arrays[f"per_{what}_{percent}"], float)
                          for what in ("rank", "neuron"))
        upper, lower = panels[:, column]
        for name in WHERE:
            row, style = MASKS.index(name), _line(name)
            upper.plot(np.arange(1, config.d + 1), ranks[row], label=name, **style)
            lower.plot(np.linspace(0.0, 1.0, config.m), neurons[row] / config.d, **style)
        upper.set(title=f"{percent} % kept", xlabel="rank of the coefficient in its neuron",
                  ylim=(-0.02, 1.02))
        lower.set(xlabel="neurons, ascending", ylim=(-0.02, 1.02))
    panels[0, 0].set_ylabel("share kept")
    panels[1, 0].set_ylabel("share of its weights kept")
    _legend(figure, panels[0, 0])
    return figure


def flow_figure(config: TicketConfig, result: Run) -> Figure:
    """Distance of the frozen flows (full) and its bound (dashed) for three masks.

    In the norm of the inverse of each mask's kernel.
    """
    figure, panels = plt.subplots(1, len(config.percents), figsize=(PAGE, 2.7), squeeze=False)
    for axes, percent in zip(panels[0], config.percents):
        flows = np.asarray(result.arrays[f"flow_{percent}"])
        times = np.linspace(0.0, config.learning_rate * config.steps, flows.shape[2])
        for name in FLOWS:
            distance, bound = flows[MASKS.index(name)]
            axes.plot(times, distance, color=COLOURS[name], label=name)
            axes.plot(times, bound, "--", color=COLOURS[name], linewidth=0.9)
        axes.set(title=f"{percent} % kept", xlabel=r"time $\eta t$")
        if np.isfinite(flows[[MASKS.index(name) for name in FLOWS]]).any():
            axes.set_yscale("log")
            _plain_numbers(axes)
        else:
            axes.text(0.5, 0.5, "no kernel of these\ncan be inverted", ha="center", va="center",
                      transform=axes.transAxes)
    panels[0, 0].set_ylabel(r"$\|f_s - f_d\|$ and its bound")
    _legend(figure, panels[0, 0])
    return figure


def _plain_numbers(axes: Axes) -> None:
    """1, 2, 5, 10 on a logarithmic axis."""
    axes.yaxis.set_major_locator(LogLocator(10.0, (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _line(name: str) -> dict[str, Any]:
    return {"linestyle": DASHES[name], "color": COLOURS[name]}
