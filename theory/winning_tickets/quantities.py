"""What the claims of Shi et al. (arXiv 2202.06488) measure, and the picture they share.

Masks are compared by paired tests over seeds, corrected for their number by Holm's rule.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.experiments.winning_tickets.config import TRAINED
from theory.claim import Measurement, Run, Size
from theory.drawing.picture import Panel, Picture, Series
from theory.scaling import holm, outside_probability, t_interval

__all__ = ["ERRORS", "SHOWN", "always", "best_ticket", "compared", "kept_axis", "least_clear",
           "percents", "picture_of", "value"]

ERRORS = {"kernel_error": "kernel error", "trajectory_error": "trajectory error",
          "own_trajectory_error": "trajectory error on own attacks"}


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


def compared(found: Mapping[Any, np.ndarray]) -> dict[Any, float]:
    """Return p-values, after Holm, of "not positive" for paired differences, a value a seed.

    A difference with a number missing has 1.
    """
    alone = [outside_probability(values, (0.0, math.inf)) if np.isfinite(values).all() else 1.0
             for values in found.values()]
    return dict(zip(found, holm(alone)))


def least_clear(name: str, found: Mapping[Any, np.ndarray], p_values: Mapping[Any, float],
                say: Callable[[Any], str], threshold: str) -> Measurement:
    """Measure the comparison that speaks least for all of them being positive.

    Parameters
    ----------
    name : str
        Of what is compared.
    found : mapping to ndarray, shape (seeds,)
    p_values : mapping to float
        Of :func:`compared`.
    say : callable
        Words of a comparison.
    threshold : str
        Its name among those of the claim.
    """
    key = max(found, key=lambda each: (p_values[each], -float(found[each].mean())))
    name = f"{name}, {say(key)}, closest"
    if not np.isfinite(found[key]).all():
        return Measurement(name, *(math.nan,) * 3, (0.0, math.inf), 1.0, threshold=threshold)
    interval = t_interval(found[key])
    return Measurement(name, interval.mean, interval.low, interval.high, (0.0, math.inf),
                       p_values[key], threshold=threshold)


# label, choice of the mask and role of what the figures of the claims show
SHOWN = (("ticket", best_ticket, "adversarial"), ("random", always("random"), "other"),
         ("magnitude", always("magnitude"), "clean"), ("lottery", always("lottery"), "linear"),
         (TRAINED, always(TRAINED), "case 5"))


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

        series = [Series(name, x, values(mask), role, joined=True) for name, mask, role in SHOWN
                  if name in ("ticket", *group[0].config.masks)]
        if dense:
            series.append(Series("dense", x, values(always("dense")), "linear", joined=True,
                                 dash="--"))
        panels.append(Panel(f"weights kept (%)\n{size.family} {size}", label, tuple(series),
                            log="x" if dense else "xy", ylim=(0.0, 1.05) if dense else None,
                            **kept_axis(kept)))
    return Picture(caption + " Bands: 95 % over seeds.", tuple(panels))
