"""Figures: one message each, drawn from what a run stored. The only import of matplotlib."""

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # files only; a command must work without a screen

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from simulator.experiments.feature_purification.config import PurificationConfig  # noqa: E402
from simulator.features import decompose  # noqa: E402
from simulator.runs.run import Run  # noqa: E402

__all__ = ["accuracy_figure", "benchmark_figure", "coefficients_figure", "draw_benchmark",
           "draw_run", "history_figure", "perturbation_figure", "save_figures"]

COLUMN, PAGE = 3.3, 6.9  # inches: one column, the page
CLEAN, ADVERSARIAL, LINEAR = "#D55E00", "#0072B2", "#666666"  # Okabe & Ito: colour-blind safe
COLOURS = {"clean": CLEAN, "adversarial": ADVERSARIAL}
NAMES = {"clean": "after clean training", "adversarial": "after adversarial training"}
DASHES: dict[str, Any] = {"universal": ":", "fgm": "--", "pgd": "-"}
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7,
    "xtick.labelsize": 7, "ytick.labelsize": 7, "axes.spines.top": False,
    "axes.spines.right": False, "axes.linewidth": 0.6, "lines.linewidth": 1.3,
    "legend.frameon": False, "pdf.fonttype": 42, "ps.fonttype": 42, "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
}
# implementation -> marker, colour: the libraries by colour, by hand filled
PEERS = {"numpy": ("s", "#666666"), "torch-autograd": ("^", "#D55E00"),
         "torch-manual": ("v", "#D55E00"), "jax-autograd": ("<", "#0072B2"),
         "jax-manual": (">", "#0072B2")}
MOST_SHOWN = 150  # features in the coefficient figure; more cannot be told apart on paper


def draw_run(config: PurificationConfig, result: Run, folder: Path) -> list[Path]:
    """Draw the four figures of a run as PDF and PNG; return the files written."""
    figures = {"accuracy": accuracy_figure, "coefficients": coefficients_figure,
               "history": history_figure, "perturbation": perturbation_figure}
    return save_figures({name: partial(draw, config, result) for name, draw in figures.items()},
                        folder)


def draw_benchmark(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Draw the rows of ``purify benchmark`` as PDF and PNG; return the files written."""
    return save_figures({"benchmark": partial(benchmark_figure, rows)}, folder)


def save_figures(figures: Mapping[str, Callable[[], Figure]], folder: Path) -> list[Path]:
    """Draw each figure in the house style and write it as PDF and PNG; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in figures.items():
        with matplotlib.rc_context(STYLE):
            figure = draw()
            for suffix in ("pdf", "png"):
                path = folder / f"{name}.{suffix}"
                # without a date in it, equal runs give equal files
                figure.savefig(path, metadata={"CreationDate": None} if suffix == "pdf" else None)
                written.append(path)
            plt.close(figure)
    return written


def accuracy_figure(config: PurificationConfig, result: Run) -> Figure:
    """Accuracy against radius, before and after adversarial training, under three attacks.

    Where the run has a bracket, bars span certified to attacked accuracy on its own samples,
    and a band the exact binomial limits of the true robust accuracy.
    """
    arrays, radii = result.arrays, result.arrays["radii"]
    figure, axes = plt.subplots(figsize=(PAGE * 0.72, 2.9))
    bracketed = False
    for phase, colour in COLOURS.items():
        found = result.summary[phase].get("bracket") or []
        bracketed |= bool(found)
        at = [row["radius"] for row in found]
        certified, attacked = ([row[name] for row in found] for name in ("certified", "attacked"))
        axes.fill_between(at, [row["low"] for row in found], [row["high"] for row in found],
                          color=colour, alpha=0.13, linewidth=0)
        axes.fill_between(at, certified, attacked, color=colour, alpha=0.45, linewidth=0)
        axes.plot(at, certified, "^", color=colour, markersize=4, markeredgewidth=0)
    for phase, colour in COLOURS.items():
        for attack, dash in DASHES.items():
            axes.plot(radii, arrays[f"curve_{phase}_{attack}"], dash, color=colour)
    axes.plot(radii, arrays["curve_linear"], color=LINEAR, linewidth=1.0)
    axes.axhline(0.5, color="0.8", linewidth=0.6, zorder=0)
    marks = [(config.tau, r"$\tau$")]
    if config.norm == "l2":
        marks += [(config.d**-0.5, r"$1/\sqrt{d}$"), (config.k**-0.5, r"$1/\sqrt{k}$")]
    for radius, text in marks:
        axes.axvline(radius, color="0.75", linewidth=0.6, zorder=0)
        axes.text(radius, 1.04, text, ha="center", va="bottom", fontsize=7)
    norm = r"\ell_2" if config.norm == "l2" else r"\ell_\infty"
    axes.set(xlabel=rf"${norm}$ radius of the perturbation", ylabel="accuracy",
             xlim=(0, radii[-1]), ylim=(-0.02, 1.03))
    handles: list[Any] = [plt.Line2D([], [], color=COLOURS[phase], label=NAMES[phase])
                          for phase in COLOURS]
    handles += [plt.Line2D([], [], color=LINEAR, linewidth=1.0,
                           label="linear classifier (exact)")]
    words = {"universal": "universal direction", "fgm": "FGM", "pgd": "PGD"}
    handles += [plt.Line2D([], [], color="black", linestyle=DASHES[attack], label=words[attack])
                for attack in DASHES]
    if bracketed:
        samples = result.summary["clean"]["bracket"][0]["samples"]
        handles += [plt.Line2D([], [], color="black", linestyle="none", marker="^", markersize=4,
                               label=f"certified ({samples} samples)"),
                    plt.Rectangle((0, 0), 1, 1, color="black", alpha=0.45, linewidth=0,
                                  label="certified to attacked"),
                    plt.Rectangle((0, 0), 1, 1, color="black", alpha=0.13, linewidth=0,
                                  label="true accuracy (95 %)")]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def coefficients_figure(config: PurificationConfig, result: Run) -> Figure:
    """Coefficients of the strongest neuron of each feature: diagonal pure, background mixture.

    Entry (i, j) is ``s_i w*_j C_ij / |C_{i,j(i)}|``: positive where the neuron's part along
    feature j pushes towards the neuron's own label.
    """
    ratio = result.summary["clean"]["mixture_ratio"]
    limit = float(np.clip(3.0 * ratio, 0.02, 1.0)) if np.isfinite(ratio) else 1.0
    figure, panels = plt.subplots(1, 2, figsize=(PAGE, 3.3), sharex=True, sharey=True)
    image: Any = None
    for axes, phase in zip(panels, COLOURS):
        shown = _strongest_neurons(config, result, phase)
        ends = (-0.5, config.d - 0.5)
        image = axes.imshow(shown, cmap="RdBu_r", vmin=-limit, vmax=limit,
                            extent=(*ends, *ends[::-1]), interpolation="none")
        title = f"{NAMES[phase]}: mixture ratio {result.summary[phase]['mixture_ratio']:.3f}"
        axes.set_title(title, color=COLOURS[phase])
        axes.set_xlabel("feature $j$")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("strongest neuron of feature $j(i)$")
    bar = figure.colorbar(image, ax=panels, shrink=0.8, pad=0.02, extend="both")
    bar.set_label(r"$s_i w^\star_j C_{ij} \,/\, |C_{i,j(i)}|$")
    bar.outline.set_visible(False)
    return figure


def _strongest_neurons(config: PurificationConfig, result: Run, phase: str) -> np.ndarray:
    """One row a feature (evenly spaced ones if there are many); blank where none found it."""
    parts = decompose(result.arrays[f"weights_{phase}"], result.arrays.get("dictionary"),
                      result.arrays["labeler"])
    features = np.unique(np.linspace(0, config.d - 1, min(config.d, MOST_SHOWN)).astype(int))
    size = np.where(parts.is_feature_neuron, np.abs(parts.peaks), 0.0)
    rows = np.full((len(features), len(features)), np.nan)
    for place, feature in enumerate(features):
        candidates = np.where(parts.feature == feature, size, 0.0)
        best = int(candidates.argmax())
        if candidates[best] > 0.0:
            aligned = parts.signs[best] * np.sign(parts.labeler) * parts.coefficients[best]
            rows[place] = aligned[features] / candidates[best]
    return rows


def history_figure(config: PurificationConfig, result: Run) -> Figure:
    """Mixture ratio and purity over training: gathered in one phase, removed in the other."""
    steps = result.history["step"]
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(PAGE * 0.72, 3.6), sharex=True)
    for axes, name, label in ((upper, "mixture_ratio", "mixture ratio $r$"),
                              (lower, "purity", "purity $\\|p_i\\|^2/\\|w_i\\|^2$")):
        values = result.history[name]
        for phase, colour in COLOURS.items():
            first = steps <= config.clean_steps if phase == "clean" else (
                steps >= config.clean_steps)
            axes.plot(steps[first], values[first], color=colour)
        axes.axvline(config.clean_steps, color="0.75", linewidth=0.6, zorder=0)
        axes.set_ylabel(label)
    p = result.summary["p"]
    upper.axhline(p, color="black", linewidth=0.8, linestyle="--")
    upper.text(steps[-1], p, r"$p = P(z_j \neq 0)$", ha="right", va="bottom", fontsize=7)
    upper.set_ylim(bottom=min(0.0, upper.get_ylim()[0]))
    lower.set(xlabel="gradient step", ylim=(0, 1), xlim=(0, steps[-1]))
    halfway = ((config.clean_steps / 2, "clean training", CLEAN),
               (config.clean_steps + config.adversarial_steps / 2, "adversarial training",
                ADVERSARIAL))
    for place, text, colour in halfway:
        upper.text(place, 1.02, text, color=colour, ha="center", va="bottom", fontsize=8,
                   transform=upper.get_xaxis_transform())
    return figure


def perturbation_figure(config: PurificationConfig, result: Run) -> Figure:
    """One strongest perturbation of each network in dictionary coordinates."""
    figure, panels = plt.subplots(2, 1, figsize=(PAGE * 0.72, 3.4), sharex=True, sharey=True)
    both = [result.arrays[f"perturbation_{phase}"] for phase in COLOURS]
    attacked = np.flatnonzero(both[0].any(axis=1) & both[1].any(axis=1))
    sample = int(attacked[0]) if len(attacked) else 0
    for axes, phase, deltas in zip(panels, COLOURS, both):
        # signed so that positive means: towards the other label
        towards = -result.arrays["labels"][sample] * np.sign(result.arrays["labeler"])
        delta = towards * deltas[sample]
        axes.vlines(np.arange(config.d), 0.0, delta, color=COLOURS[phase], linewidth=1.0)
        axes.axhline(0.0, color="black", linewidth=0.5)
        axes.set_ylabel(r"$-y\,w^\star_j\,(M^\top\delta)_j$")
        features = _participation(deltas)
        axes.text(0.995, 0.94, f"{NAMES[phase]}: spread over {features:.0f} of {config.d} "
                  "features on average", transform=axes.transAxes, ha="right", va="top",
                  fontsize=7, color=COLOURS[phase])
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high + 0.18 * (high - low))
    panels[1].set(xlabel="feature $j$", xlim=(-1, config.d))
    return figure


def _participation(deltas: np.ndarray) -> float:
    """Mean participation ratio ``(sum delta_j^2)^2 / sum delta_j^4`` of the nonzero rows."""
    squares = np.asarray(deltas[deltas.any(axis=1)], np.float64) ** 2
    if len(squares) == 0:
        return 0.0
    return float(np.mean(squares.sum(axis=1) ** 2 / (squares**2).sum(axis=1)))


def benchmark_figure(rows: list[dict[str, Any]]) -> Figure:
    """How many times slower than ours each implementation is, by case and weights.

    One panel for each size and dtype; above the line ours is faster. Bars are interquartile
    ranges of the implementation itself.
    """
    sizes = list(dict.fromkeys(row["d"] for row in rows))
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    places = list(dict.fromkeys((row["case"], row["weights"]) for row in rows))
    figure, panels = plt.subplots(
        len(dtypes), len(sizes), sharex=True, sharey=True, squeeze=False,
        figsize=(max(COLUMN + 1.0, PAGE * len(sizes) / 3.0), 0.6 + 2.0 * len(dtypes)))
    for (line, dtype), (column, d) in itertools.product(enumerate(dtypes), enumerate(sizes)):
        axes = panels[line, column]
        time_of = {(row["case"], row["weights"], row["implementation"]):
                   (row["median_ms"], row["spread"])
                   for row in rows if row["d"] == d and row["dtype"] == dtype}
        for shift, (name, (marker, colour)) in enumerate(PEERS.items()):
            shown = [(at, *time_of[*place, name], time_of[*place, "ours"][0])
                     for at, place in enumerate(places) if (*place, name) in time_of]
            if shown:
                at, middle, spread, ours = np.array(shown).T
                axes.errorbar(at + 0.14 * (shift - 2), middle / ours, 0.5 * spread / ours,
                              fmt=marker, color=colour, markersize=3.5, elinewidth=0.6, label=name,
                              markerfacecolor=colour if name != "torch-autograd"
                              and name != "jax-autograd" else "white")
        axes.axhline(1.0, color="black", linewidth=0.8)
        axes.set(yscale="log", title=f"d = {d}, {dtype}")
        axes.set_xticks(range(len(places)), [
            case if case == "run" else f"{case} {weights}" for case, weights in places],
            rotation=60, ha="right", rotation_mode="anchor")
    for axes in panels[:, 0]:
        axes.set_ylabel("time / our time")
    panels[0, -1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
