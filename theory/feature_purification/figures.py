"""Figures of a purification run, one message each, drawn from what the run stored.

Made for the width of a page, but for ``history`` and for panels alone: for that of a column.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.feature_purification.measured import HISTORY_SAMPLES
from simulator.features import decompose, participation_ratio, strongest_neurons
from theory.claim import Run
from theory.drawing.shares import BAND, SHARE_WORDS, share_band
from theory.drawing.style import (ADVERSARIAL, CLEAN, COLOURS, COLUMN, GUIDE, LINEAR, MARKERS,
                                  NAMES, PAGE, area, bar, broken, every, is_narrow, legend, line,
                                  moved, name_y, new_figure, one_panel)
from theory.feature_purification.window_figure import has_window, window_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_figure", "bracket_panel", "coefficients_figure", "colour_end", "curves_panel",
           "figures", "history_figure", "perturbation_figure"]

DASHES: dict[str, Any] = {"universal": ":", "fgm": "--", "pgd": "-"}
WORDS = {"universal": "universal direction", "fgm": "FGM", "pgd": "PGD"}
PANEL = (COLUMN, 2.8)  # inches
BESIDE = 2.6  # points from a radius to the marks of either network
MIDDLE = (0.1, 0.9)  # quantiles over neurons
PALE = 0.4  # of what all but one entry in fifty reach: below, colours do not go up to 1
RING: dict[str, Any] = {"marker": "o", "markersize": 5.0, "markerfacecolor": "none",
                        "color": "black", "markeredgewidth": 0.7, "linestyle": "none"}
MOST_SHOWN = 150  # features in the coefficient figure; more cannot be told apart on paper


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    first: dict[str, Callable[[Run], Figure]] = (
        {"window": window_figure} if has_window(run) else {})
    return first | {"accuracy": accuracy_figure, "coefficients": coefficients_figure,
                    "history": history_figure, "perturbation": perturbation_figure}


def accuracy_figure(run: Run) -> "Figure":
    """Accuracy against radius: what attacks leave of it, and between which bounds it lies.

    The two panels do not share their samples: certificates take long, and are for fewer. For the
    width of a page; without certificates for that of a column.
    """
    if not _bracket(run, "clean"):
        figure, axes = new_figure(size=(COLUMN, 3.6))
        curves_panel(run, axes[0, 0])
    else:
        figure, axes = new_figure(1, 2, sharey=True, size=(PAGE, 3.4))
        curves_panel(run, axes[0, 0])
        bracket_panel(run, axes[0, 1])
    handles = [line(NAMES[phase], color=COLOURS[phase], marker=MARKERS[phase])
               for phase in COLOURS]
    handles.append(line("linear classifier (exact)", color=LINEAR, linewidth=1.0))
    handles += [line(WORDS[attack], color="black", linestyle=DASHES[attack]) for attack in DASHES]
    if not _bracket(run, "clean"):
        handles.append(area(SHARE_WORDS, color="black", alpha=BAND))
    else:
        marks: dict[str, Any] = {"color": "black", "linestyle": "none", "markersize": 4}
        handles.insert(3, line("open marks: clean, filled: adversarial", marker="D",
                               fillstyle="left", markerfacecoloralt="white", **marks))
        handles += [line("strongest attack found", marker="v", **marks),
                    line("certified against any", marker="^", **marks),
                    area("95 % limits of the accuracy", color="black", alpha=BAND)]
    legend(figure, handles, loc="outside lower center", ncols=3 if _bracket(run, "clean") else 1)
    return figure


def curves_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Accuracy of both networks under three attacks, on all test samples, with its limits."""
    figure, axes = one_panel(ax, PANEL)
    radii, samples = run.arrays["radii"], run.config.test_samples
    for phase, colour in COLOURS.items():
        for attack, dash in DASHES.items():
            curve = run.arrays[f"curve_{phase}_{attack}"]
            axes.plot(radii, curve, dash, color=colour, marker=MARKERS[phase],
                      markevery=every(len(radii)))
            share_band(axes, radii, curve, samples, colour)
    axes.plot(radii, run.arrays["curve_linear"], color=LINEAR, linewidth=1.0)
    share_band(axes, radii, run.arrays["curve_linear"], samples, LINEAR)
    _radius_axis(run, axes, 1.02 * float(radii[-1]))
    axes.set_title(f"under attack ({run.config.test_samples} samples)", pad=18)
    axes.set_ylabel("accuracy")
    return figure


def bracket_panel(run: Run, ax: "Axes | None" = None) -> "Figure":
    """Bounds of the accuracy of both networks: certified, and attacked on the same samples.

    A bar spans what lies between them; a band the exact binomial limits of the true accuracy. The
    marks of the clean network are open, and stand a little to the left of their radius, the others
    to the right: equal accuracies hide nothing.
    """
    figure, axes = one_panel(ax, PANEL)
    for (phase, colour), shift in zip(COLOURS.items(), (-BESIDE, BESIDE)):
        beside = moved(axes, shift)
        rows = _bracket(run, phase)
        at = [row["radius"] for row in rows]
        certified, attacked, low, high = ([row[name] for row in rows] for name in
                                          ("certified", "attacked", "low", "high"))
        axes.fill_between(at, low, high, color=colour, alpha=BAND, linewidth=0)
        axes.vlines(at, certified, attacked, color=colour, linewidth=0.9, transform=beside)
        look: dict[str, Any] = {"color": colour, "transform": beside, "markersize": 4.0,
                                "markeredgewidth": 0.8,
                                "markerfacecolor": "white" if phase == "clean" else colour}
        axes.plot(at, attacked, "v", **look)
        axes.plot(at, certified, "^", **look)
    largest = max((row["radius"] for phase in COLOURS for row in _bracket(run, phase)), default=1.0)
    _radius_axis(run, axes, 1.06 * largest)
    samples = max((row["samples"] for row in _bracket(run, "clean")), default=0)
    axes.set_title(f"between proof and attack ({samples} samples)", pad=18)
    if is_narrow():
        axes.set_ylabel("accuracy")
    return figure


def _bracket(run: Run, phase: str) -> list[dict[str, Any]]:
    return run.summary[phase].get("bracket") or []


def _radius_axis(run: Run, axes: "Axes", end: float) -> None:
    """The radius, with those that theory names."""
    config = run.config
    marks = [(config.tau, r"$\tau$")]
    if config.norm == "l2":
        marks += [(config.d**-0.5, r"$1/\sqrt{d}$"), (config.k**-0.5, r"$1/\sqrt{k}$")]
    for radius, text in marks:
        if 0.0 < radius <= end:
            axes.axvline(radius, **GUIDE)
            axes.text(radius, 1.04, text, ha="center", va="bottom")
    axes.axhline(0.5, **GUIDE)
    norm = r"\ell_2" if config.norm == "l2" else r"\ell_\infty"
    axes.set(xlabel=rf"${norm}$ radius of the perturbation", xlim=(0, end), ylim=(-0.02, 1.03))


def coefficients_figure(run: Run) -> "Figure":
    """Coefficients of the strongest neuron of each feature: the mixture is all but the diagonal.

    Entry (i, j) is ``s_i w*_j C_ij / |C_{i,j(i)}|``: positive where the neuron's part along
    feature j pushes towards the neuron's own label. The neuron's own feature, where that is 1, is
    black; the colours are for what else it holds: the darker, the larger, and red or blue for its
    sign. Of the adversarial network a ring marks what is larger than half of that: a second
    feature. Beside a dense mixture, where many are, it would say nothing. For the width of a page.
    """
    shown = {phase: _strongest_neurons(run, phase) for phase in COLOURS}
    limit = colour_end(shown["clean"])
    figure, axes = new_figure(1, 2, sharex=True, sharey=True, size=(PAGE, 4.1),
                              tallest=3.6)
    ends = (-0.5, run.config.d - 0.5)
    for panel, (phase, rows) in zip(axes[0], shown.items()):
        others = rows.copy()
        np.fill_diagonal(others, np.nan)
        image = panel.imshow(others, cmap="RdBu_r", vmin=-limit, vmax=limit,
                             extent=(*ends, *ends[::-1]), interpolation="none")
        own = np.where(np.eye(len(rows), dtype=bool) & np.isfinite(rows), 0.0, np.nan)
        panel.imshow(own, cmap="gray", vmin=0.0, vmax=1.0, extent=(*ends, *ends[::-1]),
                     interpolation="none")
        ratio = run.summary[phase]["mixture_ratio"]
        panel.set_title(f"{NAMES[phase]}\nmixture ratio {ratio:.3f}", color=COLOURS[phase])
        panel.set_xlabel("feature $j$")
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
    second = _second_features(shown["adversarial"])
    step = run.config.d / len(shown["adversarial"])
    axes[0, 1].plot((second[1] + 0.5) * step - 0.5, (second[0] + 0.5) * step - 0.5,
                    clip_on=False, **RING)
    few = len(shown["clean"])
    name_y(axes[0], "strongest neuron of feature $j(i)$" + (
        "" if few == run.config.d else f",\n{few} of {run.config.d} are shown"))
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02,
                          extend="both" if limit < 1.0 else "neither",
                          location="bottom" if is_narrow() else "right")
    bar.set_label(r"$s_i w^\star_j C_{ij} \,/\, |C_{i,j(i)}|$")
    bar.outline.set_visible(False)
    handles = [area("its own feature: 1", color="black")]
    if any(np.isnan(rows).all(axis=1).any() for rows in shown.values()):
        handles.append(area("white row: no neuron has the feature", facecolor="white",
                            edgecolor="0.6", linewidth=0.5))
    if len(second[0]):
        handles.append(line("over half its own: a second feature", **RING))
    legend(figure, handles, loc="outside lower center", ncols=len(handles))
    return figure


def _second_features(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns where a neuron holds another feature larger than half its own."""
    row, column = np.nonzero((np.abs(rows) > 0.5) & ~np.eye(len(rows), dtype=bool))
    return row, column


def colour_end(rows: np.ndarray) -> float:
    """Where the colours end: at 1, beyond which there is nothing, or, where that would leave the
    mixture too pale, so that one entry in fifty beside the diagonal is beyond it.
    """
    others = np.abs(rows[~np.eye(len(rows), dtype=bool)])
    others = others[np.isfinite(others)]
    end = float(np.quantile(others, 0.98)) if len(others) else 1.0
    return max(0.02, end) if end < PALE else 1.0


def _strongest_neurons(run: Run, phase: str) -> np.ndarray:
    """One row a feature (evenly spaced ones if there are many); NaN where none found it."""
    arrays, d = run.arrays, run.config.d
    parts = decompose(arrays[f"weights_{phase}"], arrays.get("dictionary"), arrays["labeler"])
    features = np.unique(np.linspace(0, d - 1, min(d, MOST_SHOWN)).astype(int))
    strongest = strongest_neurons(parts)[features]
    found = np.flatnonzero(strongest >= 0)
    few = parts.of(strongest[found])
    aligned = few.signs[:, None] * np.sign(few.labeler) * few.coefficients
    rows = np.full((len(features), len(features)), np.nan)
    rows[found] = aligned[:, features] / np.abs(few.peaks)[:, None]
    return rows


def history_figure(run: Run) -> "Figure":
    """Mixture ratio, purity and accuracy over training: what is gathered in one phase, removed in
    the other.

    A bar at the end of a phase spans the middle 80 % of its feature neurons; a band the limits of
    an accuracy. For the width of a column.
    """
    config, steps = run.config, run.history["step"]
    figure, axes = new_figure(3, 1, sharex=True, size=(COLUMN, 5.5))
    upper, lower, last = axes[:, 0]
    of_neurons = {phase: _of_neurons(run, phase) for phase in COLOURS}
    for panel, name, label in ((upper, "mixture_ratio", "mixture ratio $r$"),
                               (lower, "purity", "purity $\\|p_i\\|^2/\\|w_i\\|^2$")):
        for phase, colour in COLOURS.items():
            of_phase = steps <= config.clean_steps if phase == "clean" else (
                steps >= config.clean_steps)
            panel.plot(steps[of_phase], run.history[name][of_phase], color=colour)
        panel.axvline(config.clean_steps, **GUIDE)
        panel.set_ylabel(label)
        for phase, end in (("clean", config.clean_steps), ("adversarial", steps[-1])):
            low, high = np.quantile(of_neurons[phase][name], MIDDLE)
            panel.errorbar(end, low, ([0.0], [high - low]), color=COLOURS[phase], capsize=2.5,
                           linewidth=0.9, clip_on=False)
    p = run.summary["p"]
    upper.axhline(p, color="black", linewidth=0.8, linestyle="--")
    upper.annotate(r"$p = P(z_j \neq 0)$", (1.0, p), (-2, 2), ha="right", va="bottom",
                   xycoords=upper.get_yaxis_transform(), textcoords="offset points")
    upper.set_ylim(bottom=min(0.0, upper.get_ylim()[0]))
    lower.set(ylim=(0, 1))
    _accuracies_over_training(run, last)
    last.set(xlabel="gradient step of clean, then adversarial training", xlim=(0, steps[-1]))
    legend(figure, [bar("middle 80 % of the neurons"), line("without attack", color="black"),
                    line(r"FGM at $\tau$", color="black", linestyle=DASHES["fgm"]),
                    area(SHARE_WORDS, color="black", alpha=BAND)],
           loc="outside lower center", ncols=1)
    halfway = ((config.clean_steps / 2, "clean", CLEAN),
               (config.clean_steps + config.adversarial_steps / 2, "adversarial", ADVERSARIAL))
    for place, text, colour in halfway:
        upper.text(place, 1.02, text, color=colour, ha="center", va="bottom",
                   transform=upper.get_xaxis_transform())
    return figure


def _accuracies_over_training(run: Run, axes: "Axes") -> None:
    steps, clean = run.history["step"], run.config.clean_steps
    samples = min(HISTORY_SAMPLES, run.config.test_samples)
    for phase, colour in COLOURS.items():
        rows = steps <= clean if phase == "clean" else steps >= clean
        for name, dash in (("accuracy", "-"), ("fgm_accuracy", DASHES["fgm"])):
            axes.plot(steps[rows], run.history[name][rows], dash, color=colour)
            share_band(axes, steps[rows], run.history[name][rows], samples, colour)
    axes.axvline(clean, **GUIDE)
    axes.set(ylabel="accuracy", ylim=(-0.02, 1.03))


def _of_neurons(run: Run, phase: str) -> dict[str, np.ndarray]:
    """Return what the history has the means of, for each feature neuron at the end of a phase."""
    arrays = run.arrays
    parts = decompose(arrays[f"weights_{phase}"], arrays.get("dictionary"), arrays["labeler"])
    chosen = parts.is_feature_neuron & (parts.peaks != 0.0)
    if not chosen.any():
        return dict.fromkeys(("mixture_ratio", "purity"), np.array([np.nan]))
    along, beside = (np.concatenate(columns) for columns in zip(*(
        (few.signs * (few.mixture @ few.labeler), (few.mixture**2).sum(axis=1))
        for few in parts.blocks(chosen))))
    peaks = np.abs(parts.peaks[chosen])
    return {"mixture_ratio": along / (max(len(parts.labeler) - 1, 1) * peaks.mean()),
            "purity": peaks**2 / (peaks**2 + beside)}


def perturbation_figure(run: Run) -> "Figure":
    """One strongest perturbation of each network in dictionary coordinates; a page wide."""
    arrays, d = run.arrays, run.config.d
    figure, axes = new_figure(2, 1, sharex=True, sharey=True, size=(PAGE, 3.6))
    both = [arrays[f"perturbation_{phase}"] for phase in COLOURS]
    attacked = np.flatnonzero(both[0].any(axis=1) & both[1].any(axis=1))
    sample = int(attacked[0]) if len(attacked) else 0
    for panel, phase, deltas in zip(axes[:, 0], COLOURS, both):
        # signed so that positive means: towards the other label
        towards = -arrays["labels"][sample] * np.sign(arrays["labeler"])
        panel.vlines(np.arange(d), 0.0, towards * deltas[sample], color=COLOURS[phase],
                     linewidth=1.0)
        panel.axhline(0.0, color="black", linewidth=0.5)
        panel.set_ylabel(r"$-y\,w^\star_j\,(M^\top\delta)_j$")
        spread = participation_ratio(deltas[deltas.any(axis=1)])
        words = f"spread over {spread.mean():.0f} of {d} features on average" if len(spread) else (
            "no perturbation was found")
        panel.set_title(broken(f"{NAMES[phase]}: {words}"), loc="right", color=COLOURS[phase])
    axes[1, 0].set(xlabel="feature $j$", xlim=(-1, d))
    return figure
