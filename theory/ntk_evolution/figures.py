"""Figures of one kernel run, drawn from what it stored.

All are made for the width of a page; a panel alone for that of a column.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.features import participation_ratio
from theory.claim import Run
from theory.drawing.shares import SHARE_WORDS, share_band, share_bars
from theory.drawing.style import (COLOURS, COLUMN, LINEAR, MARKERS, PAGE, bar, every, line,
                                  new_figure, one_panel)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distances_figure", "eigenvectors_figure", "figures", "frozen_figure", "frozen_panel",
           "movement_figure", "rank_panel", "spectrum_figure", "spectrum_panel"]

MODES = ("clean", "adversarial")
TRAINING = {mode: f"{mode} training" for mode in MODES}
DATA_STYLES: dict[str, Any] = {"benign": "-", "adversarial": "--", "masked": ":"}
DATA_WORDS = {"benign": "benign phase 2", "adversarial": "adversarial phase 2",
              "masked": "adversarial against plain gates"}
PANEL = (COLUMN, 2.7)  # inches


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    return {"movement": movement_figure, "distances": distances_figure, "frozen": frozen_figure,
            "spectrum": spectrum_figure, "eigenvectors": eigenvectors_figure}


def movement_figure(run: Run) -> "Figure":
    """Distance of the kernel from its start, and its velocity, over both kinds of training."""
    figure, axes = new_figure(1, 2, size=(PAGE, 3.0))
    left, right = axes[0]
    for mode in MODES:
        for number, width in ((1, 1.3), (2, 0.5)):  # the second is an independent run
            steps = _column(run, mode, "step", number)
            look: dict[str, Any] = {"color": COLOURS[mode], "linewidth": width,
                                    "marker": MARKERS[mode] if number == 1 else None,
                                    "markevery": every(len(steps))}
            left.plot(steps, _column(run, mode, "distance_from_start", number), **look)
            right.plot(steps[1:], _column(run, mode, "velocity", number)[1:], **look)
    ends = (0, run.config.steps)
    left.set(xlabel="phase-1 step", ylabel="distance from the start $S(K_0, K_t)$", xlim=ends,
             ylim=(0, None))
    right.set(xlabel="phase-1 step", ylabel="velocity $S(K_t, K_{t+dt})/dt$", yscale="log",
              xlim=ends)
    handles = [line(TRAINING[mode] + words, color=COLOURS[mode], linewidth=width,
                    marker=None if words else MARKERS[mode])
               for mode in MODES for words, width in (("", 1.3), (", independent run", 0.5))]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def distances_figure(run: Run) -> "Figure":
    """Distance between every two frozen kernels of the four runs of phase 1."""
    moved, times = run.arrays["distances"], run.arrays["times"]
    runs, count = moved.shape[:2]
    names = [f"{mode}, run {number}" for number in (1, 2) for mode in MODES]
    figure, panels = new_figure(size=(PAGE, 5.2))
    axes = panels[0, 0]
    image = axes.imshow(moved.reshape(runs * count, runs * count), cmap="viridis", vmin=0.0,
                        interpolation="none")
    every = -(-count // 4)  # labels beside each other, not over each other
    labels = [f"{step}" if place % every == 0 else "" for place, step in enumerate(times)] * runs
    places = np.arange(runs * count)
    axes.set_xticks(places, labels, rotation=90)
    axes.set_yticks(places, labels)
    axes.set(xlabel="phase-1 step of the kernel", ylabel="phase-1 step of the kernel")
    middles = np.arange(runs) * count + (count - 1) / 2
    for middle, name, mode in zip(middles, names, MODES * 2):
        axes.text(middle, -0.8, name, ha="center", va="bottom", color=COLOURS[mode])
        axes.text(runs * count - 0.2, middle, name, ha="left", va="center", rotation=270,
                  color=COLOURS[mode])
    for edge in np.arange(1, runs) * count - 0.5:
        axes.axhline(edge, color="white", linewidth=1.0)
        axes.axvline(edge, color="white", linewidth=1.0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.07)
    bar.set_label("kernel distance $S$")
    bar.outline.set_visible(False)
    return figure


def frozen_figure(run: Run) -> "Figure":
    """Attacked accuracy after phase 2 against the phase-1 time of the frozen kernel."""
    figure, axes = new_figure(1, 2, sharey=True, size=(PAGE, 3.2))
    for panel, centred in zip(axes[0], (True, False)):
        frozen_panel(run, centred, panel)
    axes[0, 1].set_ylabel("")
    handles = [line(f"kernel of {TRAINING[mode]}", color=COLOURS[mode], marker=MARKERS[mode])
               for mode in MODES]
    handles += [line(DATA_WORDS[data], color="black", linestyle=dash)
                for data, dash in DATA_STYLES.items()]
    handles += [line(words, color=colour, linewidth=0.8, linestyle=dash)
                for words, colour, dash in _levels().values()]
    handles.append(bar(SHARE_WORDS))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def frozen_panel(run: Run, centred: bool = True, ax: "Axes | None" = None) -> "Figure":
    """Attacked accuracy after phase 2, of the kernel alone or with the network at its step.

    Bars, and bands of the levels, are exact 95 % limits; bars stand beside each other.
    """
    figure, axes = one_panel(ax, PANEL)
    samples, apart = run.config.test_samples, 0.008 * run.config.steps
    for mode in MODES:
        for number, (data, dash) in enumerate(DATA_STYLES.items()):
            rows = [row for row in run.summary["frozen"] if row["mode"] == mode
                    and row["data"] == data and bool(row["centred"]) == centred]
            times = np.array([row["time"] for row in rows]) + apart * (
                2 * number - 2 + MODES.index(mode))
            shares = [row["attacked_accuracy"] for row in rows]
            axes.plot(times, shares, dash, color=COLOURS[mode], marker=MARKERS[mode])
            share_bars(axes, times, shares, samples, COLOURS[mode], zorder=1)
    heights = {"linear": run.summary["linear_attacked_accuracy"]} | {
        mode: run.summary[mode]["attacked_accuracy"] for mode in MODES}
    for name, (_, colour, dash) in _levels().items():
        axes.axhline(heights[name], color=colour, linewidth=0.8, linestyle=dash, zorder=0)
        share_band(axes, (0.0, 1.0), (heights[name],) * 2, samples, colour, alpha=0.08, zorder=0,
                   transform=axes.get_yaxis_transform())
    axes.set(xlabel="phase-1 step of the frozen kernel", ylim=(-0.02, 1.02),
             ylabel=r"attacked accuracy at $\tau$ after phase 2",
             title="centred: the kernel alone" if centred
             else "uncentred: with the network at that step")
    return figure


def _levels() -> dict[str, tuple[str, str, Any]]:
    """Words, colour and dash of the levels that the frozen kernels are held against."""
    return {"clean": ("the clean network itself", COLOURS["clean"], (0, (6, 1.5))),
            "adversarial": ("the adversarial network itself", COLOURS["adversarial"],
                            (0, (6, 1.5, 1, 1.5))),
            "linear": ("linear classifier", LINEAR, (0, (1, 1)))}


def spectrum_figure(run: Run) -> "Figure":
    """Spectrum of the kernel at the start and after both trainings; effective rank over time."""
    figure, axes = new_figure(1, 2, size=(PAGE, 3.0))
    spectrum_panel(run, axes[0, 0])
    rank_panel(run, axes[0, 1])
    return figure


def spectrum_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Eigenvalues of the kernel in descending order, as shares of its trace."""
    figure, axes = one_panel(ax, PANEL)
    for name, colour, marker, words in (
            ("start", LINEAR, "", "at the start"),
            *((mode, COLOURS[mode], MARKERS[mode], f"after {TRAINING[mode]}") for mode in MODES)):
        values = run.arrays[f"spectrum_{name}"]
        marks = np.unique(np.geomspace(1, len(values), 10).astype(int)) - 1
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, label=words, marker=marker,
                  markevery=list(marks))
    axes.set(xlabel="index of the eigenvalue", ylabel="eigenvalue / trace", yscale="log",
             xscale="log")
    axes.set_ylim(bottom=1e-4 * float(run.arrays["spectrum_start"][0]))
    axes.legend(loc="lower left")
    return figure


def rank_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Effective rank of the kernel over phase 1, by two measures; thin: an independent run."""
    figure, axes = one_panel(ax, PANEL)
    for mode in MODES:
        steps = _column(run, mode, "step")
        look: dict[str, Any] = {"color": COLOURS[mode], "marker": MARKERS[mode],
                                "markevery": every(len(steps))}
        axes.plot(steps, _column(run, mode, "effective_rank"), **look)
        axes.plot(steps, _column(run, mode, "participation"), "--", **look)
        for name, dash in (("effective_rank", "-"), ("participation", "--")):
            axes.plot(_column(run, mode, "step", 2), _column(run, mode, name, 2), dash,
                      color=COLOURS[mode], linewidth=0.5)
    axes.set(xlabel="phase-1 step", xlim=(0, run.config.steps), ylim=(0, None),
             ylabel=f"effective rank (of {run.config.probe_samples})")
    axes.legend(handles=[*(line(TRAINING[mode], color=COLOURS[mode], marker=MARKERS[mode])
                           for mode in MODES),
                         line("entropy", color="black"),
                         line("participation ratio", color="black", linestyle="--"),
                         line("independent run", color="black", linewidth=0.5)],
                loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def eigenvectors_figure(run: Run) -> "Figure":
    """The leading eigenvectors of both final kernels, as directions among the features."""
    vectors = {mode: run.arrays[f"eigenvectors_{mode}"] for mode in MODES}
    count = len(vectors[MODES[0]])
    figure, axes = new_figure(count, 2, sharex=True, sharey=True, size=(PAGE, 1.0 * count + 0.8))
    limit = 1.1 * max(np.abs(found).max() for found in vectors.values())
    for column, mode in enumerate(MODES):
        for row, vector in enumerate(vectors[mode]):
            _features(axes[row, column], vector, COLOURS[mode],
                      f"after {TRAINING[mode]}\n" if row == 0 else "")
            axes[row, 0].set_ylabel(f"$v_{row + 1}$", rotation=0, labelpad=10)
    axes[0, 0].set(xlim=(-1, run.config.d), ylim=(-limit, limit))
    for panel in axes[-1]:
        panel.set_xlabel("feature $j$")
    return figure


def _features(axes: "Axes", vector: np.ndarray, colour: str, heading: str) -> None:
    axes.vlines(np.arange(len(vector)), 0.0, vector, color=colour, linewidth=1.0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    spread = float(participation_ratio(vector[None])[0])
    dense = abs(float(vector.sum())) / np.sqrt(len(vector))
    axes.set_title(f"{heading}over {spread:.0f} features; cosine with $w^\\star$ {dense:.2f}",
                   loc="right", pad=2)


def _column(run: Run, mode: str, name: str, number: int = 1) -> np.ndarray:
    """A column of the history of one training of phase 1."""
    history = run.history
    return history[name][(history["mode"] == mode) & (history["run"] == number)].astype(float)
