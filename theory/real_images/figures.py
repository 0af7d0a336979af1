"""Figures of one run on real images: those of the article, and what it measured.

Figures 4, 5 and 6 of the article by Allen-Zhu & Li about arXiv 2005.10190 are "reconstruction",
"perturbations" and "neurons"; beside them "parts", ``w = beta w' + v`` as images, "features", the
learned dictionary, and "accuracy". Differences are shown from blue (negative) to red (positive),
images in grey; all are made for the width of a page.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.experiments.real_images.config import PHASES
from simulator.experiments.real_images.experiment import SHARES
from simulator.experiments.real_images.measured import parts_of_neurons
from theory.claim import Run
from theory.drawing.shares import LIMIT_WORDS, SHARE_WORDS, history_band, share_band, share_bars
from theory.drawing.style import (ADVERSARIAL, CLEAN, OTHER, PAGE, area, every, is_narrow, legend,
                                  line, new_figure, plain_numbers)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_figure", "chosen_neurons", "features_figure", "figures", "neurons_figure",
           "parts_figure", "perturbations_figure", "reconstruction_figure", "training_figure"]

COLUMNS = 10  # images of a row; on a phone half of them
NEURONS = 16  # of each network in figure 6: four by four
FEATURES = (5, 12)
LOOKS = {"clean": (CLEAN, "-", "o"), "longer": (OTHER, ":", "^"),
         "adversarial": (ADVERSARIAL, "-", "s")}
WORDS = {"clean": "after clean training", "longer": "after longer clean training",
         "adversarial": "after adversarial training"}


def figures(run: Run) -> "dict[str, Callable[[Run], Figure]]":
    """Return the functions that draw the run, by the name of the figure."""
    drawn: dict[str, Callable[[Run], Figure]] = {
        "reconstruction": reconstruction_figure, "perturbations": perturbations_figure,
        "neurons": neurons_figure, "parts": parts_figure, "features": features_figure,
        "accuracy": accuracy_figure}
    return drawn | ({"training": training_figure} if "loss" in run.history else {})


def training_figure(run: Run) -> "Figure":
    """Accuracy on held-out images and loss over training; both go on from clean training."""
    figure, axes = new_figure(1, 2, size=(PAGE, 2.8))
    history, samples = run.history, int(run.summary["test_images"])
    for phase in PHASES:
        colour, dash, mark = LOOKS[phase]
        rows = history["phase"] == phase
        steps = history["step"][rows]
        for panel, name in zip(axes[0], ("accuracy", "loss")):
            panel.plot(steps, history[name][rows], dash, color=colour, marker=mark,
                       markevery=every(len(steps)))
        share_band(axes[0, 0], steps, history["accuracy"][rows], samples, colour)
        history_band(axes[0, 1], history, "loss", rows, colour)
    axes[0, 0].set(xlabel="gradient step", ylabel="accuracy without attack", ylim=(-0.02, 1.03))
    axes[0, 1].set(xlabel="gradient step", ylabel="loss, of what is trained on", yscale="log")
    plain_numbers(axes[0, 1].yaxis)
    legend(figure, [*(line(WORDS[phase].removeprefix("after "), color=LOOKS[phase][0],
                           linestyle=LOOKS[phase][1], marker=LOOKS[phase][2]) for phase in PHASES),
                    area(LIMIT_WORDS, color="0.5", alpha=0.3)],
           loc="outside lower center", ncols=4)
    return figure


def reconstruction_figure(run: Run) -> "Figure":
    """Figure 4: photographs rebuilt from few features of a learned dictionary, with PSNR in dB."""
    pictures, rebuilt = run.arrays["pictures"], run.arrays["rebuilt"]
    psnr = run.summary["sparsity"]["psnr"]
    columns = 1 + len(SHARES)
    figure, axes = new_figure(len(pictures), columns, across=columns,
                              size=(PAGE, (0.8 if is_narrow() else 1.33) * len(pictures)))
    for row, (picture, found) in enumerate(zip(pictures, rebuilt)):
        for column, image in enumerate((picture, *found)):
            panel = axes[row, column]
            _show(panel, image[..., None])
            if column:
                panel.set_xlabel(f"{psnr[row][column - 1]:.1f}" + " dB" * (not is_narrow()),
                                 labelpad=2.0)
    axes[0, 0].set_title("whole" if is_narrow() else "photograph")
    for panel, share in zip(axes[0, 1:], SHARES):
        panel.set_title(f"{100.0 * share:.1f} %" if is_narrow() else f"{100.0 * share:.2f} %")
    figure.suptitle("rebuilt from so many non-zero coefficients" + ", PSNR in dB" * is_narrow(),
                    fontsize=8)
    return figure


def perturbations_figure(run: Run) -> "Figure":
    """Figure 5: held-out images, what breaks the clean network, and what breaks the robust one."""
    arrays, shape = run.arrays, _shape(run)
    images = run.summary["scale"] * arrays["X"] + arrays["mean"]
    chosen = _both_labels(arrays["y"], _columns())
    figure, axes = new_figure(3, len(chosen), size=(PAGE, 2.35), across=len(chosen))
    rows = (images, arrays["delta_clean"], arrays["delta_adversarial"])
    for row, (pictures, panels) in enumerate(zip(rows, axes)):
        for picture, panel in zip(pictures[chosen], panels):
            _show(panel, picture.reshape(shape), difference=row > 0)
    _told(axes, ("images", "clean\nnetwork", "adversarially\ntrained"))
    return figure


def chosen_neurons(run: Run, count: int = NEURONS) -> np.ndarray:
    """Return the neurons that are shown: the longest after adversarial training."""
    lengths = np.linalg.norm(run.arrays["weights_adversarial"], axis=1)
    return np.argsort(-lengths, kind="stable")[:count]


def neurons_figure(run: Run) -> "Figure":
    """Figure 6: the same neurons after clean and after adversarial training."""
    chosen, shape = chosen_neurons(run), _shape(run)
    across = 4
    down = -(-len(chosen) // across)
    gap = 1  # an empty column, for the arrow
    side = 0.43 if is_narrow() else 0.76
    figure, axes = new_figure(down, 2 * across + gap, size=(PAGE, side * down + 0.35),
                              across=2 * across + gap,
                              width_ratios=[1.0] * across + [0.9] + [1.0] * across)
    for panel in axes.ravel():
        panel.set_axis_off()
    for first, phase in ((0, "clean"), (across + gap, "adversarial")):
        weights = run.arrays[f"weights_{phase}"]
        for place, neuron in enumerate(chosen):
            panel = axes[place // across, first + place % across]
            panel.set_axis_on()
            _show(panel, weights[neuron].reshape(shape), difference=True)
    first = 0 if is_narrow() else 1
    for panel, phase in ((axes[0, first], "clean"), (axes[0, across + gap + first], "adversarial")):
        # over several columns, which are not to grow with it
        panel.set_title(phase if is_narrow() else WORDS[phase], loc="left").set_in_layout(
            not is_narrow())
    axes[down // 2, across].annotate("", (0.95, 1.05), (0.05, 1.05), xycoords="axes fraction",
                                     arrowprops={"arrowstyle": "-|>", "color": "0.3"})
    return figure


def parts_figure(run: Run) -> "Figure":
    """Neurons of the clean network: what adversarial training keeps, and what it removes."""
    arrays, shape = run.arrays, _shape(run)
    marked, kept, removed = parts_of_neurons(arrays["weights_clean"],
                                             arrays["weights_adversarial"])
    places = np.flatnonzero(marked)
    chosen = [neuron for neuron in chosen_neurons(run, len(marked)) if marked[neuron]]
    chosen = chosen[:_columns()]
    rows = np.searchsorted(places, chosen)
    figure, axes = new_figure(3, len(chosen), size=(PAGE, 2.35), across=len(chosen))
    for pictures, panels in zip((arrays["weights_clean"][chosen], kept[rows], removed[rows]), axes):
        for picture, panel in zip(pictures, panels):
            _show(panel, picture.reshape(shape), difference=True)
    for panel, over in zip(axes[2], np.linalg.norm(kept[rows], axis=1)
                           / np.linalg.norm(removed[rows], axis=1)):
        panel.set_xlabel(f"{over:.2g}", labelpad=2.0)
    _told(axes, ("clean\nneuron w", "kept\n$\\beta w'$", "removed\n$v$"))
    figure.supxlabel("$\\|\\beta w'\\|\\, /\\, \\|v\\|$", fontsize=8)
    return figure


def features_figure(run: Run) -> "Figure":
    """Features of a dictionary learned from patches of photographs, the strongest first."""
    atoms = run.arrays["atoms"]
    order = np.argsort(-np.linalg.norm(atoms, axis=1), kind="stable")
    down, across = FEATURES[::-1] if is_narrow() else FEATURES
    figure, axes = new_figure(down, across, size=(PAGE, 0.6 * down), across=across)
    side = int(round(atoms.shape[1]**0.5))
    for panel in axes.ravel():
        panel.set_axis_off()
    for panel, feature in zip(axes.ravel(), order):
        panel.set_axis_on()
        _show(panel, atoms[feature].reshape(side, side, 1), difference=True, colours="gray")
    return figure


def accuracy_figure(run: Run) -> "Figure":
    """Accuracy on held-out images against radius: attacked as a line, certified below it."""
    figure, axes = new_figure(1, 1, size=(PAGE, 3.6 if is_narrow() else 2.6))
    panel = axes[0, 0]
    for phase in PHASES:
        colour, dash, mark = LOOKS[phase]
        radii, curve = run.arrays["radii"], run.arrays[f"curve_{phase}"]
        panel.plot(radii, curve, dash, color=colour, marker=mark,
                   label=f"attacked, {WORDS[phase]}")
        share_band(panel, radii, curve, int(run.summary["test_images"]), colour)
        entries = run.summary[phase].get("bracket", [])
        if entries:
            panel.plot([entry["radius"] for entry in entries],
                       [entry["certified"] for entry in entries], linestyle="none", marker="_",
                       markersize=11, markeredgewidth=1.6, color=colour,
                       label=f"certified, {WORDS[phase]}")
            share_bars(panel, [entry["radius"] for entry in entries],
                       [entry["certified"] for entry in entries], int(entries[0]["samples"]),
                       colour)
    panel.axvline(run.config.tau, color="0.75", linewidth=0.6, zorder=0)
    panel.set(xlabel="$\\ell_2$ radius (an image is 1 long); the line is $\\tau$",
              ylabel="accuracy", ylim=(-0.03, 1.05))
    handles = panel.get_legend_handles_labels()[0]
    handles.append(area(SHARE_WORDS, color="0.5", alpha=0.3))
    legend(figure, handles, ncols=1,
           loc="outside lower center" if is_narrow() else "outside right center")
    return figure


def _columns() -> int:
    """How many images stand in a row."""
    return COLUMNS // 2 if is_narrow() else COLUMNS


def _shape(run: Run) -> tuple[int, int, int]:
    """Height, width and channels."""
    height, width, channels = map(int, run.arrays["shape"])
    return height, width, channels


def _both_labels(y: np.ndarray, count: int) -> np.ndarray:
    """Return places of images of both labels in turn."""
    negative, positive = np.flatnonzero(y < 0.0), np.flatnonzero(y > 0.0)
    pairs = min(count // 2, len(negative), len(positive))
    return np.stack([negative[:pairs], positive[:pairs]], axis=1).ravel()


def _show(panel: "Axes", image: np.ndarray, difference: bool = False,
          colours: str = "RdBu_r") -> None:
    """Show pixels (height, width, channels): images from 0 to 1, differences around 0."""
    largest = float(np.abs(image).max()) or 1.0
    if image.shape[2] == 3:
        shown = 0.5 + 0.5 * image / largest if difference else np.clip(image, 0.0, 1.0)
        panel.imshow(shown, interpolation="nearest")
    else:
        looks: dict[str, Any] = ({"cmap": colours, "vmin": -largest, "vmax": largest}
                                 if difference else {"cmap": "gray", "vmin": 0.0, "vmax": 1.0})
        panel.imshow(image[..., 0], interpolation="nearest", **looks)
    panel.set_xticks([])
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set(visible=True, color="0.7", linewidth=0.4)


def _told(axes: np.ndarray, words: Sequence[str]) -> None:
    for panel, word in zip(axes[:, 0], words):
        panel.set_ylabel(word, rotation=0, ha="right", va="center", labelpad=4.0)
