"""What the claims of Shi et al. (arXiv 2202.06488) measure, and the picture they share.

They compare masks under one rescaling rule, "weights"
(:class:`simulator.tickets.masks.Rescaling`). It is not the best for all: whole neurons drawn at
random and rescaled by their outputs follow the dense network more closely than a ticket of single
weights does (``purify simulate --paper winning_tickets --preset better``).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from theory.claim import Run, Size
from theory.drawing.picture import Panel, Picture, Series

__all__ = ["ERRORS", "SHOWN", "always", "best_ticket", "kept_axis", "percents", "picture_of",
           "value"]

ERRORS = {"kernel_error": "kernel error", "trajectory_error": "trajectory error"}


def best_ticket(run: Run, percent: int) -> str:
    """Return the ticket with the smallest objective on validation samples."""
    return str(run.summary["best_ticket"][str(percent)])


def value(run: Run, mask: str, quantity: str, percent: int) -> float:
    """Return what the summary tells about a mask at a percentage kept; NaN if nothing."""
    numbers = run.summary[mask]
    number = (numbers if mask == "dense" else numbers[str(percent)])[quantity]
    return math.nan if number is None else float(number)


def percents(group: Sequence[Run]) -> tuple[int, ...]:
    """Return the percentages kept, the largest first."""
    return tuple(sorted(group[0].config.percents, reverse=True))


def always(name: str) -> Callable[[Run, int], str]:
    """Return the choice of one mask, whatever the run and the percentage."""
    return lambda run, percent: name


# label, choice of the mask and role of what the figures of the claims show
SHOWN = (("ticket", best_ticket, "adversarial"), ("random", always("random"), "other"),
         ("magnitude", always("magnitude"), "clean"), ("lottery", always("lottery"), "linear"))


def kept_axis(kept: Sequence[int]) -> dict[str, Any]:
    """Where a panel over the share kept has its ticks, and their names."""
    return {"at": tuple(percent / 100.0 for percent in kept), "ticks": tuple(map(str, kept))}


def picture_of(chosen: Sequence[tuple[Size, Sequence[Run], str, str]], caption: str,
               dense: bool = False) -> Picture:
    """A panel for each (size, runs, quantity, label): ticket, three other masks, dense network."""
    panels = []
    for size, group, quantity, label in chosen:
        kept = percents(group)
        x = np.array(kept) / 100.0

        def values(mask: Callable[[Run, int], str]) -> np.ndarray:
            return np.array([[value(run, mask(run, percent), quantity, percent)
                              for percent in kept] for run in group])

        series = [Series(name, x, values(mask), role, joined=True) for name, mask, role in SHOWN]
        if dense:
            series.append(Series("dense", x, values(always("dense")), "linear", joined=True,
                                 dash="--"))
        panels.append(Panel(f"weights kept (%)\n{size.family} {size}", label, tuple(series),
                            log="x" if dense else "xy", ylim=(0.0, 1.05) if dense else None,
                            **kept_axis(kept)))
    return Picture(caption + " Bands: 95 % over seeds.", tuple(panels))
