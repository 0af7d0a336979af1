"""Words for the first sentence of a run's page: they follow the numbers, whatever these say."""

from theory.scaling import binomial_limits

__all__ = ["GAIN", "compared", "disjoint", "percent"]

Limits = tuple[float, float]
# what a training did, by how the accuracy under attack compares with that before it
GAIN = {1: "makes the network robust", -1: "makes the network less robust",
        0: "changes little about what the network withstands"}


def percent(share: float) -> str:
    """Return a share in per cent, as in "93.5 %"."""
    return f"{100 * share:.3g} %"


def compared(one: float, other: float, samples: int) -> int:
    """Return 1 where one share of ``samples`` is larger than another, -1 where it is smaller.

    0 where their exact 95 % limits overlap: the samples do not tell them apart.
    """
    limits = ((float(low), float(high)) for low, high in (
        binomial_limits(share, samples) for share in (one, other)))
    return disjoint(*limits)


def disjoint(one: Limits, other: Limits) -> int:
    """Return 1 where limits lie above others, -1 where they lie below, 0 where they overlap."""
    return int(one[0] > other[1]) - int(one[1] < other[0])
