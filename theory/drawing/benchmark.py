"""The figure of ``purify benchmark``: of one size for the width of a column, else of a page."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theory.drawing.style import (ADVERSARIAL, CLEAN, COLUMN, LINEAR, PAGE, new_figure,
                                  plain_numbers, save_figures)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["benchmark_figure", "draw_benchmark"]

MOST_ACROSS = 3  # panels of one dtype beside each other
# implementation -> marker, colour, filled: the libraries by colour, gradients by hand filled
PEERS = {"numpy": ("s", LINEAR, True), "torch-autograd": ("^", CLEAN, False),
         "torch-manual": ("v", CLEAN, True), "torch-compiled": ("D", CLEAN, True),
         "jax-autograd": ("<", ADVERSARIAL, False), "jax-manual": (">", ADVERSARIAL, True)}


def draw_benchmark(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw the rows of ``purify benchmark`` as PDF and PNG; return the files written."""
    return save_figures({"benchmark": lambda: benchmark_figure(rows)}, folder)


def benchmark_figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    """How many times slower than ours each implementation is, by case and weights.

    One panel for each size and dtype; above the line ours is faster. Bars are interquartile
    ranges of the implementation itself.
    """
    sizes = list(dict.fromkeys((row["d"], row["k"]) for row in rows))
    dtypes = list(dict.fromkeys(row["dtype"] for row in rows))
    places = list(dict.fromkeys((row["case"], row["weights"]) for row in rows))
    across = min(MOST_ACROSS, len(sizes))
    deep = -(-len(sizes) // across)
    figure, panels = new_figure(
        len(dtypes) * deep, across, sharex=True, sharey=True,
        size=(COLUMN if across == 1 else PAGE, 1.4 + 2.1 * len(dtypes) * deep))
    for (row, dtype), (place, (d, k)) in itertools.product(enumerate(dtypes), enumerate(sizes)):
        axes = panels[row * deep + place // across, place % across]
        time_of = {(found["case"], found["weights"], found["implementation"]):
                   (found["median_ms"], found["spread"])
                   for found in rows
                   if (found["d"], found["k"], found["dtype"]) == (d, k, dtype)}
        for shift, (name, (marker, colour, filled)) in enumerate(PEERS.items()):
            shown = [(at, *time_of[*place, name], time_of[*place, "ours"][0])
                     for at, place in enumerate(places) if (*place, name) in time_of]
            if shown:
                at, middle, spread, ours = np.array(shown).T
                axes.errorbar(at + 0.14 * (shift - 2), middle / ours, 0.5 * spread / ours,
                              fmt=marker, color=colour, markersize=3.5, elinewidth=0.6, label=name,
                              markerfacecolor=colour if filled else "white")
        axes.axhline(1.0, color="black", linewidth=0.8)
        axes.set(yscale="log", title=f"d = {d}, k = {k}, {dtype}")
        plain_numbers(axes.yaxis)
        axes.set_xticks(range(len(places)), [
            "training" if case == "run" else f"{case} {weights}" for case, weights in places],
            rotation=60, ha="right", rotation_mode="anchor")
    for row, place in itertools.product(range(len(dtypes)), range(len(sizes), deep * across)):
        panels[row * deep + deep - 1, place % across].set_axis_off()
        panels[row * deep + deep - 2, place % across].tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("time / our time")
    handles = {label: handle for axes in panels.flat
               for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center",
                  ncols=2 if across == 1 else 3)
    return figure
