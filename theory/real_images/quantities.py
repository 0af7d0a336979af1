"""What the claims about real images measure."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.experiments.real_images.config import PHASES
from theory.claim import Run, Size
from theory.drawing.picture import Curve, Panel
from theory.evidence import levels_over_sizes, series_over_sizes, size_names, values_of

__all__ = ["Groups", "gain", "level", "number_of", "panel_of"]

Groups = Mapping[Size, Sequence[Run]]
ROLES = {"clean": "clean", "longer": "other", "adversarial": "adversarial"}
LABELS = {"clean": "clean", "longer": "longer clean", "adversarial": "adversarial"}


def number_of(part: str, name: str) -> Callable[[Run], float]:
    """Return the function that reads a number of a network, or of another part of the summary."""
    return lambda run: float(run.summary[part].get(name, np.nan))


def gain(name: str, after: str = "adversarial", before: str = "clean") -> Callable[[Run], float]:
    """Return the function that tells how much larger a number is in one network than in another."""
    return lambda run: number_of(after, name)(run) - number_of(before, name)(run)


def panel_of(groups: Groups, name: str, label: str, *levels: Curve) -> Panel:
    """Return the panel of a number of all three networks at every size."""
    order = list(groups)
    series = tuple(series_over_sizes(LABELS[phase], values_of(groups, number_of(phase, name)),
                                     ROLES[phase], order) for phase in PHASES)
    return Panel("pixels, neurons", label, series, levels, ticks=size_names(order))


def level(groups: Groups, label: str, value: float) -> Curve:
    """Return a line at one value over all sizes."""
    return levels_over_sizes(label, [value] * len(groups))
