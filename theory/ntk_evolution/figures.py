"""Figures of one kernel run, drawn from what it stored.

All are made for the width of a page; a panel alone for that of a column.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.ntk_evolution.experiment import DYNAMICS
from simulator.experiments.ntk_evolution.summary import first_phase
from simulator.features import participation_ratio
from theory.claim import Run
from theory.drawing.shares import (BAND, LIMIT_WORDS, SHARE_WORDS, history_band, limit_band,
                                   share_band, share_bars)
from theory.drawing.style import (COLOURS, COLUMN, LINEAR, MARKERS, OTHER, PAGE, area, bar, every,
                                  is_narrow, legend, line, name_y, new_figure, one_panel,
                                  plain_numbers)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distances_figure", "dynamics_panel", "eigenvectors_figure", "figures", "frozen_figure",
           "frozen_panel", "movement_figure", "rank_panel", "seen_figure", "spectrum_figure",
           "spectrum_panel", "training_figure", "transfer_figure"]

MODES = ("clean", "adversarial")
TRAINING = {mode: f"{mode} training" for mode in (*MODES, "mixed")} | {
    "flip": "flip: clean, then adversarial"}
LOOKS = COLOURS | {"mixed": OTHER, "flip": "#CC79A7"}
MARKS = MARKERS | {"mixed": "D", "flip": "^"}
SECOND = ("benign", "adversarial", "mixed", "masked")  # phase 2, at most three of them are shown
SEEN = ("the labels", "the features", r"$M w^\star$")
PANEL = (COLUMN, 2.7)  # inches
WIDTHS = {1: 1.3, 2: 0.5}  # of lines: the second is an independent run


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    drawn: dict[str, Callable[[Run], Figure]] = {"training": training_figure} if (
        "fgm_accuracy" in run.history) else {}
    drawn |= {
        "movement": movement_figure, "distances": distances_figure, "frozen": frozen_figure,
        "spectrum": spectrum_figure, "eigenvectors": eigenvectors_figure}
    if "seen_start" in run.arrays:
        drawn["seen"] = seen_figure
    if run.summary.get("transfer"):
        drawn["transfer"] = transfer_figure
    return drawn


def training_figure(run: Run) -> "Figure":
    """Accuracy without attack, under FGM, and the loss, over phase 1; thin: an independent run."""
    names = {"accuracy": "accuracy without attack", "fgm_accuracy": r"accuracy under FGM at $\tau$",
             "loss": "loss, of what is trained on"}
    figure, axes = new_figure(1, len(names), size=(PAGE, 3.2))
    for panel, (name, words) in zip(axes[0], names.items()):
        for mode, number in first_phase(run.config):
            steps, values = (_column(run, mode, each, number) for each in ("step", name))
            panel.plot(steps, values, color=LOOKS[mode], linewidth=WIDTHS[number],
                       marker=MARKS[mode] if number == 1 else None, markevery=every(len(steps)))
            if name != "loss" and number == 1:
                share_band(panel, steps, values, run.config.test_samples, LOOKS[mode])
            elif number == 1:
                history_band(panel, run.history, name, _rows(run, mode), LOOKS[mode])
        panel.set(xlabel="phase-1 step", ylabel=words, xlim=(0, run.config.steps))
        if name == "loss":
            panel.set_yscale("log")
            plain_numbers(panel.yaxis)
        else:
            panel.set_ylim(-0.02, 1.03)
    legend(figure, [*_runs_told(run), area(LIMIT_WORDS, color="black", alpha=BAND)],
           loc="outside lower center", ncols=3)
    return figure


def movement_figure(run: Run) -> "Figure":
    """Distance of the kernel from its start and to its end, and its velocity, over phase 1."""
    names = {"distance_from_start": "distance from the start $S(K_0, K_t)$",
             "distance_to_last": "distance to the end $S(K_t, K_T)$",
             "velocity": "velocity $S(K_t, K_{t+dt})/dt$"}
    shown = [name for name in names if name in run.history.rows()[0]]
    figure, axes = new_figure(1, len(shown), size=(PAGE, 3.2))
    for panel, name in zip(axes[0], shown):
        for mode, number in first_phase(run.config):
            steps, values = (_column(run, mode, each, number) for each in ("step", name))
            told = slice(1, None) if name == "velocity" else slice(
                -1) if name == "distance_to_last" else slice(None)
            panel.plot(steps[told], values[told], color=LOOKS[mode], linewidth=WIDTHS[number],
                       marker=MARKS[mode] if number == 1 else None, markevery=every(len(steps)))
        panel.set(xlabel="phase-1 step", ylabel=names[name], xlim=(0, run.config.steps))
        if name == "distance_from_start":
            panel.set_ylim(bottom=0)
        else:
            panel.set_yscale("log")
    legend(figure, _runs_told(run), loc="outside lower center", ncols=3)
    return figure


def _runs_told(run: Run) -> "list[Artist]":
    """Entries of a legend for the runs of phase 1."""
    return [line(TRAINING[mode] if number == 1 else f"{mode}, independent run",
                 color=LOOKS[mode], linewidth=WIDTHS[number],
                 marker=MARKS[mode] if number == 1 else None)
            for mode, number in first_phase(run.config)]


def distances_figure(run: Run) -> "Figure":
    """Distance between every two frozen kernels of the runs of phase 1."""
    moved, times = run.arrays["distances"], run.arrays["times"]
    runs, count = moved.shape[:2]
    figure, panels = new_figure(size=(PAGE, 5.2))
    axes = panels[0, 0]
    image = axes.imshow(moved.reshape(runs * count, runs * count), cmap="viridis", vmin=0.0,
                        interpolation="none")
    most = 9 if is_narrow() else 20  # labels beside each other, not over each other
    step = -(-runs * count // most)
    labels = [f"{time}" if place % step == 0 and place + step <= count else ""
              for place, time in enumerate(times)] * runs
    places = np.arange(runs * count)
    axes.set_xticks(places, labels, rotation=90)
    axes.set_yticks(places, labels)
    words = "phase-1 step of the kernel" + f", 0 to {times[-1]}" * is_narrow()
    axes.set(xlabel=words, ylabel=words)
    middles = np.arange(runs) * count + (count - 1) / 2
    for middle, (mode, number) in zip(middles, first_phase(run.config)):
        name = f"{mode},\nrun {number}"
        axes.text(middle, -0.8, name, ha="center", va="bottom", color=LOOKS[mode],
                  rotation=90 if is_narrow() else 0)
        if is_narrow():
            continue
        axes.text(runs * count - 0.2, middle, name, ha="left", va="center", rotation=270,
                  color=LOOKS[mode])
    for edge in np.arange(1, runs) * count - 0.5:
        axes.axhline(edge, color="white", linewidth=1.0)
        axes.axvline(edge, color="white", linewidth=1.0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scale = figure.colorbar(image, ax=axes, shrink=0.85, **(
        {"location": "bottom"} if is_narrow() else {"pad": 0.09}))
    scale.set_label("kernel distance $S$")
    scale.outline.set_visible(False)
    return figure


def frozen_figure(run: Run) -> "Figure":
    """Attacked accuracy after phase 2: over the time of the kernel, and by what was trained."""
    known = {row["data"] for row in run.summary["frozen"]}
    shown = [data for data in SECOND if data in known][:3]
    figure, axes = new_figure(2, len(shown), sharey=True, size=(PAGE, 5.2))
    for (upper, lower), data in zip(axes.T, shown):
        frozen_panel(run, data, upper)
        dynamics_panel(run, data, lower)
    for panel in () if is_narrow() else axes[:, 1:].ravel():
        panel.set_ylabel("")
    handles = [line(f"checkpoint of {TRAINING[mode]}", color=LOOKS[mode], marker=MARKS[mode])
               for mode in run.config.modes]
    handles += [line(words, color=colour, linewidth=0.8, linestyle=dash)
                for words, colour, dash in _levels().values()]
    handles.append(bar(SHARE_WORDS))
    legend(figure, handles, loc="outside lower center", ncols=2)
    return figure


def frozen_panel(run: Run, data: str = "benign", ax: "Axes | None" = None) -> "Figure":
    """Attacked accuracy after phase 2 on centred kernels, against their phase-1 time.

    Bars, and bands of the levels, are exact 95 % limits; bars stand beside each other.
    """
    figure, axes = one_panel(ax, PANEL)
    samples, apart = run.config.test_samples, 0.008 * run.config.steps
    for number, mode in enumerate(run.config.modes):
        rows = [row for row in run.summary["frozen"] if row["mode"] == mode
                and row["data"] == data and row["dynamics"] == "centred"]
        times = np.array([row["time"] for row in rows]) + apart * number
        shares = [row["attacked_accuracy"] for row in rows]
        axes.plot(times, shares, color=LOOKS[mode], marker=MARKS[mode])
        share_bars(axes, times, shares, samples, LOOKS[mode], zorder=1)
    _draw_levels(run, axes)
    axes.set(xlabel="phase-1 step of the frozen kernel", ylim=(-0.02, 1.02),
             ylabel=r"attacked accuracy at $\tau$", title=f"{data} phase 2, centred")
    return figure


def dynamics_panel(run: Run, data: str = "benign", ax: "Axes | None" = None) -> "Figure":
    """Attacked accuracy after phase 2 from one checkpoint, linearised and in full."""
    figure, axes = one_panel(ax, PANEL)
    time = run.config.regular_times[1]
    for number, mode in enumerate(run.config.modes):
        rows = {row["dynamics"]: row["attacked_accuracy"] for row in run.summary["frozen"]
                if (row["mode"], row["data"], row["time"]) == (mode, data, time)}
        shift = 0.12 * (number - 0.5 * (len(run.config.modes) - 1))
        places, shares = [DYNAMICS.index(each) + shift for each in rows], list(rows.values())
        axes.plot(places, shares, color=LOOKS[mode], marker=MARKS[mode], linestyle="none")
        share_bars(axes, places, shares, run.config.test_samples, LOOKS[mode], zorder=1)
    _draw_levels(run, axes)
    axes.set_xticks(range(len(DYNAMICS)), DYNAMICS)
    axes.set(xlabel="what phase 2 trains", ylim=(-0.02, 1.02), xlim=(-0.5, len(DYNAMICS) - 0.5),
             ylabel=r"attacked accuracy at $\tau$", title=f"{data} phase 2, from step {time}")
    return figure


def _draw_levels(run: Run, axes: "Axes") -> None:
    heights = {"linear": run.summary["linear_attacked_accuracy"]} | {
        mode: run.summary[mode]["attacked_accuracy"] for mode in MODES}
    for name, (_, colour, dash) in _levels().items():
        axes.axhline(heights[name], color=colour, linewidth=0.8, linestyle=dash, zorder=0)
        share_band(axes, (0.0, 1.0), (heights[name],) * 2, run.config.test_samples, colour,
                   alpha=0.08, zorder=0, transform=axes.get_yaxis_transform())


def _levels() -> dict[str, tuple[str, str, Any]]:
    """Words, colour and dash of the levels that the frozen kernels are held against."""
    return {"clean": ("the clean network itself", COLOURS["clean"], (0, (6, 1.5))),
            "adversarial": ("the adversarial network itself", COLOURS["adversarial"],
                            (0, (6, 1.5, 1, 1.5))),
            "linear": ("linear classifier", LINEAR, (0, (1, 1)))}


def transfer_figure(run: Run) -> "Figure":
    """Accuracy of every network under the adversarial examples made on every other one."""
    rows = run.summary["transfer"]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    targets = list(dict.fromkeys(row["target"] for row in rows))
    table = np.array([row["accuracy"] for row in rows]).reshape(len(sources), len(targets))
    figure, panels = new_figure(size=(PAGE, 0.28 * len(sources) + 1.9))
    axes = panels[0, 0]
    image = axes.imshow(table, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto",
                        interpolation="none")
    for (row, column), share in np.ndenumerate(table):
        if not is_narrow():
            axes.text(column, row, f"{share:.2f}", ha="center", va="center",
                      color="white" if share < 0.6 else "black")
    if is_narrow():  # a letter each, told beside the rows
        letters = dict(zip(targets, "abcdefghijklmnopqrstuvwxyz"))
        axes.set_xticks(range(len(targets)), [letters.get(name, "") for name in targets])
        sources = [f"{name}  {letters.get(name, '')}" for name in sources]
    else:
        axes.set_xticks(range(len(targets)), targets, rotation=40, ha="right",
                        rotation_mode="anchor")
    axes.set_yticks(range(len(sources)), sources)
    axes.set(xlabel="shown to", ylabel="examples made on")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scale = figure.colorbar(image, ax=axes, **(
        {"location": "bottom"} if is_narrow() else {"pad": 0.02}))
    scale.set_label(f"accuracy ({run.config.transfer_samples} samples)")
    scale.outline.set_visible(False)
    return figure


def seen_figure(run: Run) -> "Figure":
    """What the leading eigenvectors of the kernels see: labels, features, the direction M w*."""
    figure, axes = new_figure(1, len(SEEN), sharey=True, size=(PAGE, 3.0))
    kernels = {"start": ("at the start", LINEAR, "v")} | {
        mode: (f"after {TRAINING[mode]}", LOOKS[mode], MARKS[mode]) for mode in run.config.modes}
    for place, (panel, words) in enumerate(zip(axes[0], SEEN)):
        for name, (_, colour, marker) in kernels.items():
            share = run.arrays[f"seen_{name}"][place]
            marks = np.unique(np.geomspace(1, len(share), 7).astype(int)) - 1
            panel.plot(np.arange(1, len(share) + 1), share, color=colour, marker=marker,
                       markevery=list(marks))
            limits = run.limits.get(f"seen_{name}")
            if limits is not None:
                low, high = limits[:, place]
                limit_band(panel, np.arange(1, len(low) + 1), (low, high), colour)
        index = np.arange(1, len(share) + 1)
        panel.plot(index, index / run.config.spectrum_samples, color="0.6", linewidth=0.8,
                   linestyle=":")
        panel.set(xscale="log", xlabel="first eigenvectors", ylim=(0.0, 1.02), title=words)
    name_y(axes[0], "share in their span")
    handles = [line(words, color=colour, marker=marker)
               for words, colour, marker in kernels.values()]
    handles.append(line("directions drawn at random", color="0.6", linewidth=0.8, linestyle=":"))
    if run.limits:
        handles.append(area(LIMIT_WORDS, color="black", alpha=BAND))
    legend(figure, handles, loc="outside lower center", ncols=3)
    return figure


def spectrum_figure(run: Run) -> "Figure":
    """Spectrum of the kernel at the start and after both trainings; effective rank over time."""
    figure, axes = new_figure(1, 2, size=(PAGE, 3.0))
    spectrum_panel(run, axes[0, 0])
    rank_panel(run, axes[0, 1])
    return figure


def spectrum_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Eigenvalues of the kernel in descending order, as shares of its trace, with their limits
    over the samples (infinitesimal jackknife).
    """
    figure, axes = one_panel(ax, PANEL)
    for name, colour, marker, words in (
            ("start", LINEAR, "", "at the start"),
            *((mode, LOOKS[mode], MARKS[mode], f"after {TRAINING[mode]}")
              for mode in run.config.modes)):
        values = run.arrays[f"spectrum_{name}"]
        marks = np.unique(np.geomspace(1, len(values), 10).astype(int)) - 1
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, label=words, marker=marker,
                  markevery=list(marks))
        if f"spectrum_{name}" in run.limits:
            limit_band(axes, np.arange(1, len(values) + 1), run.limits[f"spectrum_{name}"], colour)
    axes.set(xlabel="index of the eigenvalue", ylabel="eigenvalue / trace", yscale="log",
             xscale="log")
    axes.set_ylim(bottom=1e-4 * float(run.arrays["spectrum_start"][0]))
    handles, _ = axes.get_legend_handles_labels()
    if run.limits:
        handles.append(area(LIMIT_WORDS, color="black", alpha=BAND))
    axes.legend(handles=handles, loc="lower left")
    return figure


def rank_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Effective rank of the kernel over phase 1, by two measures; thin: an independent run."""
    figure, axes = one_panel(ax, PANEL)
    for mode in run.config.modes:
        steps = _column(run, mode, "step")
        look: dict[str, Any] = {"color": LOOKS[mode], "marker": MARKS[mode],
                                "markevery": every(len(steps))}
        axes.plot(steps, _column(run, mode, "effective_rank"), **look)
        axes.plot(steps, _column(run, mode, "participation"), "--", **look)
        for name, dash in (("effective_rank", "-"), ("participation", "--")):
            axes.plot(_column(run, mode, "step", 2), _column(run, mode, name, 2), dash,
                      color=LOOKS[mode], linewidth=0.5)
    axes.set(xlabel="phase-1 step", xlim=(0, run.config.steps), ylim=(0, None),
             ylabel=f"effective rank (of {run.config.probe_samples})")
    axes.legend(handles=[*(line(mode, color=LOOKS[mode], marker=MARKS[mode])
                           for mode in run.config.modes),
                         line("entropy", color="black"),
                         line("participation", color="black", linestyle="--"),
                         line("independent run", color="black", linewidth=0.5)],
                loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def eigenvectors_figure(run: Run) -> "Figure":
    """The leading eigenvectors of the final kernels, as directions among the features."""
    shown = [mode for mode in run.config.modes if mode != "flip"]  # which ends as adversarial
    vectors = {mode: run.arrays[f"eigenvectors_{mode}"] for mode in shown}
    count = len(vectors[MODES[0]])
    figure, axes = new_figure(count, len(shown), sharex=True, sharey=True,
                              size=(PAGE, 1.15 * count + 0.8))
    limit = 1.1 * max(np.abs(found).max() for found in vectors.values())
    for column, mode in enumerate(shown):
        for row, vector in enumerate(vectors[mode]):
            _features(axes[row, column], vector, LOOKS[mode],
                      f"after {TRAINING[mode]}\n" if row == 0 else "")
            if column == 0 or is_narrow():
                axes[row, column].set_ylabel(f"$v_{row + 1}$", rotation=0, labelpad=10)
    axes[0, 0].set(xlim=(-1, run.config.d), ylim=(-limit, limit))
    for panel in axes[-1]:
        panel.set_xlabel("feature $j$")
    return figure


def _features(axes: "Axes", vector: np.ndarray, colour: str, heading: str) -> None:
    axes.vlines(np.arange(len(vector)), 0.0, vector, color=colour, linewidth=1.0)
    axes.axhline(0.0, color="black", linewidth=0.5)
    spread = float(participation_ratio(vector[None])[0])
    dense = abs(float(vector.sum())) / np.sqrt(len(vector))
    axes.set_title(f"{heading}over {spread:.0f} features,\ncosine with $w^\\star$ {dense:.2f}",
                   loc="right", pad=2)


def _column(run: Run, mode: str, name: str, number: int = 1) -> np.ndarray:
    """A column of the history of one training of phase 1."""
    return run.history[name][_rows(run, mode, number)].astype(float)


def _rows(run: Run, mode: str, number: int = 1) -> np.ndarray:
    return (run.history["mode"] == mode) & (run.history["run"] == number)
