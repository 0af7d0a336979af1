"""Figures of one kernel run, drawn from what it stored."""

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only; a command must work without a screen

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from simulator.experiments.ntk_evolution.config import NTKConfig  # noqa: E402
from simulator.runs.run import Run  # noqa: E402
from theory.feature_purification.figures import COLOURS, LINEAR, PAGE, save_figures  # noqa: E402

__all__ = ["distances_figure", "draw_run", "eigenvectors_figure", "frozen_figure",
           "movement_figure", "spectrum_figure"]

MODES = ("clean", "adversarial")
TRAINING = {mode: f"{mode} training" for mode in MODES}
DATA_STYLES: dict[str, Any] = {"benign": "-", "adversarial": "--", "masked": ":"}
DATA_WORDS = {"benign": "benign phase 2", "adversarial": "adversarial phase 2",
              "masked": "adversarial against plain gates"}


def draw_run(config: NTKConfig, result: Run, folder: Path) -> list[Path]:
    """Draw the five figures of a run as PDF and PNG; return the files written."""
    figures = {"movement": movement_figure, "distances": distances_figure,
               "frozen": frozen_figure, "spectrum": spectrum_figure,
               "eigenvectors": eigenvectors_figure}
    return save_figures({name: partial(draw, config, result) for name, draw in figures.items()},
                        folder)


def movement_figure(config: NTKConfig, result: Run) -> Figure:
    """Distance of the kernel from its start, and its velocity, over both kinds of training.

    Thin lines are the second, independent pair of runs.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.7))
    for mode in MODES:
        for run, width in ((1, 1.3), (2, 0.5)):
            steps = _column(result, mode, "step", run)
            words = TRAINING[mode] if run == 1 else None
            left.plot(steps, _column(result, mode, "distance_from_start", run),
                      color=COLOURS[mode], linewidth=width, label=words)
            right.plot(steps[1:], _column(result, mode, "velocity", run)[1:],
                       color=COLOURS[mode], linewidth=width, label=words)
    left.set(xlabel="phase-1 step", ylabel="distance from the start $S(K_0, K_t)$",
             xlim=(0, config.steps), ylim=(0, None))
    right.set(xlabel="phase-1 step", ylabel="velocity $S(K_t, K_{t+dt})/dt$", yscale="log",
              xlim=(0, config.steps))
    left.legend()
    return figure


def distances_figure(config: NTKConfig, result: Run) -> Figure:
    """Distance between every two frozen kernels of the four runs of phase 1."""
    moved = result.arrays["distances"]
    runs, times = moved.shape[:2]
    square = moved.reshape(runs * times, runs * times)
    figure, axes = plt.subplots(figsize=(PAGE * 0.66, PAGE * 0.56))
    image = axes.imshow(square, cmap="viridis", vmin=0.0, interpolation="none")
    middles = np.arange(runs) * times + (times - 1) / 2
    names = [f"{mode}, run {run}" for run in (1, 2) for mode in MODES]
    axes.set_xticks(middles, names)
    axes.set_yticks(middles, names, rotation=90, va="center")
    for edge in np.arange(1, runs) * times - 0.5:
        axes.axhline(edge, color="white", linewidth=1.0)
        axes.axvline(edge, color="white", linewidth=1.0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"kernels at steps {', '.join(map(str, result.arrays['times']))} of each run")
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    bar.set_label("kernel distance $S$")
    bar.outline.set_visible(False)
    return figure


def frozen_figure(config: NTKConfig, result: Run) -> Figure:
    """Attacked accuracy after phase 2 against the phase-1 time of the frozen kernel."""
    figure, panels = plt.subplots(1, 2, figsize=(PAGE, 3.1), sharey=True)
    for axes, centred in zip(panels, (True, False)):
        for mode in MODES:
            for data, dash in DATA_STYLES.items():
                rows = [row for row in result.summary["frozen"] if row["mode"] == mode
                        and row["data"] == data and bool(row["centred"]) == centred]
                axes.plot([row["time"] for row in rows],
                          [row["attacked_accuracy"] for row in rows], dash, color=COLOURS[mode],
                          marker=".", markersize=4)
            reached = result.summary[mode]["attacked_accuracy"]
            axes.axhline(reached, color=COLOURS[mode], linewidth=0.6, alpha=0.6, zorder=0)
        axes.axhline(result.summary["linear_attacked_accuracy"], color=LINEAR, linewidth=0.6,
                     zorder=0)
        axes.set(xlabel="phase-1 step of the frozen kernel", ylim=(-0.02, 1.02),
                 title="centred: the kernel alone" if centred
                 else "uncentred: with the network at that step")
    panels[0].set_ylabel(r"attacked accuracy at $\tau$ after phase 2")
    handles = [plt.Line2D([], [], color=COLOURS[mode], label=f"kernel of {TRAINING[mode]}")
               for mode in MODES]
    handles += [plt.Line2D([], [], color="black", linestyle=dash, label=DATA_WORDS[data])
                for data, dash in DATA_STYLES.items()]
    handles += [plt.Line2D([], [], color=COLOURS[mode], linewidth=0.6,
                           label=f"the {mode} network itself") for mode in MODES]
    handles.append(plt.Line2D([], [], color=LINEAR, linewidth=0.6, label="linear classifier"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def spectrum_figure(config: NTKConfig, result: Run) -> Figure:
    """Spectrum of the kernel at the start and after both trainings; effective rank over time."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.7))
    for name, colour, words in (("start", LINEAR, "at the start"),
                                *((mode, COLOURS[mode], f"after {TRAINING[mode]}")
                                  for mode in MODES)):
        values = result.arrays[f"spectrum_{name}"]
        left.plot(np.arange(1, len(values) + 1), values, color=colour, label=words)
    left.set(xlabel="eigenvalue", ylabel="share of the trace", yscale="log", xscale="log")
    largest = float(result.arrays["spectrum_start"][0])
    left.set_ylim(bottom=1e-4 * largest)
    left.legend(loc="lower left")
    for mode in MODES:
        steps = _column(result, mode, "step")
        right.plot(steps, _column(result, mode, "effective_rank"), color=COLOURS[mode],
                   label=TRAINING[mode])
        right.plot(steps, _column(result, mode, "participation"), "--", color=COLOURS[mode])
    right.plot([], [], color="black", label="entropy")
    right.plot([], [], "--", color="black", label="participation ratio")
    right.set(xlabel="phase-1 step", xlim=(0, config.steps), ylim=(0, None),
              ylabel=f"effective rank (of {config.probe_samples})")
    right.legend(loc="lower right", ncols=2)
    return figure


def eigenvectors_figure(config: NTKConfig, result: Run) -> Figure:
    """The leading eigenvectors of both final kernels, as directions among the features."""
    vectors = {mode: result.arrays[f"eigenvectors_{mode}"] for mode in MODES}
    count = len(vectors[MODES[0]])
    figure, panels = plt.subplots(count, 2, figsize=(PAGE, 0.85 * count + 0.6), sharex=True,
                                  sharey=True, squeeze=False)
    limit = 1.1 * max(np.abs(found).max() for found in vectors.values())
    for column, mode in enumerate(MODES):
        panels[0, column].set_title(f"after {TRAINING[mode]}", color=COLOURS[mode])
        for row, vector in enumerate(vectors[mode]):
            _features(panels[row, column], vector, COLOURS[mode])
            panels[row, 0].set_ylabel(f"$v_{row + 1}$", rotation=0, labelpad=10)
    panels[0, 0].set(xlim=(-1, config.d), ylim=(-limit, limit))
    for axes in panels[-1]:
        axes.set_xlabel("feature $j$")
    return figure


def _features(axes: Axes, vector: np.ndarray, colour: str) -> None:
    axes.vlines(np.arange(len(vector)), 0.0, vector, color=colour, linewidth=1.0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    spread = 1.0 / float(np.sum(vector**4))  # participation ratio of a unit vector
    dense = abs(float(vector.sum())) / np.sqrt(len(vector))
    axes.text(0.995, 0.04, f"over {spread:.0f} features; cosine with $w^\\star$ {dense:.2f}",
              transform=axes.transAxes, ha="right", va="bottom", fontsize=6)


def _column(result: Run, mode: str, name: str, run: int = 1) -> np.ndarray:
    return np.array([float(row[name]) for row in result.history.rows()
                     if row["mode"] == mode and int(row["run"]) == run])
