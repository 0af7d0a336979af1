"""From the numbers of runs to the measurements of a finding; shared by all claims."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from theory.claim import (Claim, Finding, Measurement, Run, Size, Threshold, conclude, outside,
                          seeds_of)
from theory.drawing.picture import Curve, Picture, Series
from theory.regime import by_size, uneven_seeds, within
from theory.scaling import (MIN_SEEDS, Exponent, Interval, TooFew, difference_interval,
                            have_logarithms, share_interval, t_interval)

__all__ = ["Evidence", "at_every_size", "confronted", "difference_at_every_size", "of_slopes",
           "levels_over_sizes", "series_over_sizes", "size_names", "slope_in_words", "values_of"]

Groups = Mapping[Size, Sequence[Run]]
NOWHERE = Interval(math.nan, math.nan, math.nan, 1.0)  # of values that are no numbers


class Evidence(NamedTuple):
    """What a claim measured inside its regime.

    Attributes
    ----------
    measurements : list of Measurement
        The headline first.
    picture : Picture
    caveats : list of str
    judged : sequence of Run
        Those that the decisive measurements are of, where some of the runs are only shown.
    """

    measurements: list[Measurement]
    picture: Picture
    caveats: list[str]
    judged: Sequence[Run] = ()


def confronted(claim: Claim, runs: Sequence[Run],
               measure: Callable[[dict[Size, list[Run]]], Evidence]) -> Finding:
    """Confront a claim with the runs it speaks about.

    Parameters
    ----------
    claim : Claim
    runs : sequence of Run
        Any runs; those outside the claim's regime are left out and named in the caveats.
    measure : callable
        Turns the runs inside, grouped by size and with at least 3 seeds each, into Evidence;
        raises TooFew where they are not enough.
    """
    if not runs:
        return outside(claim, ["there are no runs"])
    regime = within(claim, runs)
    groups = by_size(regime.runs)
    few = [size for size, group in groups.items() if len(group) < MIN_SEEDS]
    caveats = regime.caveats + [
        f"left out {size.family} {size}: an interval over seeds needs at least {MIN_SEEDS} "
        f"seeds, got {len(groups[size])}" for size in few]
    groups = {size: group for size, group in groups.items() if size not in few}
    if not groups:
        return outside(claim, caveats)
    try:
        evidence = measure(groups)
    except TooFew as reason:
        return outside(claim, [str(reason), *caveats])
    used = [run for group in groups.values() for run in group]
    finding = conclude(claim, evidence.measurements, used,
                       [*evidence.caveats, *uneven_seeds(groups), *caveats], evidence.picture)
    return replace(finding, seeds=seeds_of(evidence.judged or used))


def values_of(groups: Groups, value: Callable[[Run], float]) -> dict[Size, np.ndarray]:
    """Return the value of each run, one array over seeds for each size."""
    return {size: np.array([float(value(run)) for run in group])
            for size, group in groups.items()}


def at_every_size(name: str, values: Mapping[Size, np.ndarray],
                  accepted: tuple[float, float] | Claim,
                  samples: Callable[[Size], int] | None = None, logarithms: bool = False,
                  decisive: bool = True, threshold: str = "") -> Measurement:
    """Measure something that must lie in a range at every size: report the worst size.

    Parameters
    ----------
    name : str
    values : mapping of Size to ndarray, shape (seeds,)
    accepted : tuple of float or Claim
        Of a claim: what it accepts of this name.
    samples : callable or None
        For shares of samples: how many there are behind one value at a size.
    logarithms : bool
        Take mean and interval in logarithms, for ratios.
    decisive : bool
    threshold : str
        Its name among those of the claim where that is another than ``name``.

    Notes
    -----
    Every size must pass its own test, so the p-value is the largest over sizes. A value that
    is not a number passes nowhere.
    """
    limits = _limits(accepted, threshold or name)
    found = {size: _of_seeds(seeds, limits, None if samples is None else samples(size), logarithms)
             for size, seeds in values.items()}
    return _worst(name, found, limits, decisive, threshold)


def difference_at_every_size(name: str, first: Mapping[Size, np.ndarray],
                             second: Mapping[Size, np.ndarray], claim: Claim,
                             samples: Callable[[Size], tuple[int, int]]) -> Measurement:
    """Measure ``first - second``, two shares of samples, that must lie in a range at every size.

    As :func:`at_every_size`; ``samples`` returns how many there are behind one value of each.
    """
    limits = _limits(claim, name)
    found = {size: difference_interval(shares, second[size], samples(size), limits[:2])
             if np.isfinite([shares, second[size]]).all() else NOWHERE
             for size, shares in first.items()}
    return _worst(name, found, limits)


def _of_seeds(seeds: np.ndarray, limits: Threshold, samples: int | None,
              logarithms: bool) -> Interval:
    """The interval of one size."""
    accepted = limits.low, limits.high
    if not (have_logarithms(seeds) if logarithms else np.isfinite(seeds).all()):
        return NOWHERE
    if logarithms:
        low, high = (math.log(end) if end > 0 else -math.inf for end in accepted)
        found = t_interval(np.log(seeds), (low, high))
        return Interval(math.exp(found.mean), math.exp(found.low), math.exp(found.high),
                        found.p_value)
    return t_interval(seeds, accepted) if samples is None else share_interval(
        seeds, samples, accepted)


def _worst(name: str, found: Mapping[Size, Interval], limits: Threshold, decisive: bool = True,
           threshold: str = "") -> Measurement:
    """The measurement at the size that is nearest to what is not accepted, or beyond it."""
    if not found:
        raise TooFew("there are no sizes")

    def room(size: Size) -> float:
        space = min(found[size].low - limits.low, limits.high - found[size].high)
        return -math.inf if math.isnan(space) else space

    size = min(found, key=room)
    place = f" at {size.family} {size}" + (f", worst of {len(found)} sizes"
                                           if len(found) > 1 else "")
    interval = found[size]
    return Measurement(name + place, interval.mean, interval.low, interval.high,
                       (limits.low, limits.high), max(each.p_value for each in found.values()),
                       limits.target, decisive, threshold or name)


def of_slopes(name: str, exponent: Exponent, accepted: tuple[float, float] | Claim,
              target: tuple[float, float] = (-math.inf, math.inf), decisive: bool = True,
              threshold: str = "") -> Measurement:
    """Measure an exponent: t over the slopes of the seeds.

    Parameters
    ----------
    name : str
    exponent : Exponent
    accepted : tuple of float or Claim
    target : tuple of float
        As in :class:`Measurement`; a claim has its own.
    decisive : bool
    threshold : str
        As in :func:`at_every_size`.
    """
    limits = _limits(accepted, threshold or name, target)
    found = t_interval(exponent.slopes, (limits.low, limits.high))
    return Measurement(name, found.mean, found.low, found.high, (limits.low, limits.high),
                       found.p_value, limits.target, decisive, threshold or name)


def slope_in_words(exponent: Exponent) -> str:
    """Return a fitted exponent with the half width of its 95 % interval, as mathematical text."""
    found = t_interval(exponent.slopes)
    return rf"${found.mean:.2f}\pm{0.5 * (found.high - found.low):.2f}$"


def _limits(accepted: tuple[float, float] | Claim, name: str,
            target: tuple[float, float] = (-math.inf, math.inf)) -> Threshold:
    if isinstance(accepted, Claim):
        return accepted.thresholds[name]
    return Threshold(*accepted, target)


def series_over_sizes(label: str, values: Mapping[Size, np.ndarray], role: str,
                      order: Sequence[Size]) -> Series:
    """Return values over the numbered sizes of ``order``; missing seeds are NaN."""
    most = max(len(seeds) for seeds in values.values())
    table = np.full((most, len(order)), np.nan)
    for column, size in enumerate(order):
        if size in values:
            table[:len(values[size]), column] = values[size]
    return Series(label, np.arange(len(order), dtype=float), table, role)


def levels_over_sizes(label: str, levels: Sequence[float], dash: str = "") -> Curve:
    """Return a level for each numbered size, to be seen also where there is only one."""
    x = np.arange(len(levels))[:, None] + (-0.4, 0.4, math.nan)
    return Curve(label, x.ravel(), np.repeat(np.asarray(levels, np.float64), 3), dash)


def size_names(order: Sequence[Size]) -> tuple[str, ...]:
    """Return tick labels of sizes; with the family where there are several."""
    several = len({size.family for size in order}) > 1
    return tuple(f"{size.d}, {size.k}" + (f"\n{size.family}" if several else "")
                 for size in order)
