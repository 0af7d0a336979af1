"""What the claims of Loo et al. (arXiv 2210.12030) measure.

The paper is about deep networks on images; here its statements are put to the two-layer symmetric
network on sparse-coding data. The ranges that decide are readings: the paper states no thresholds
for such a model.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simulator.experiments.ntk_evolution.experiment import DYNAMICS
from theory.claim import Claim, Measurement, Run, Size
from theory.drawing.picture import Panel, Picture, Series
from theory.evidence import at_every_size, values_of

__all__ = ["EARLY", "Groups", "MODES", "attacked", "frozen", "last_record", "late_velocity",
           "lazy_velocity", "networks_themselves", "over_time", "path_length", "path_share",
           "settled", "share_of", "velocities", "when"]

Groups = dict[Size, list[Run]]
MODES = ("clean", "adversarial")
EARLY = 0.25  # the first quarter of phase 1 is "early", the last quarter "late"


def velocities(run: Run, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and the kernel's velocity in the interval that ends at each, shape (records,).

    Parameters
    ----------
    run : Run
    mode : "clean" or "adversarial"
        Of the first of the two runs of that kind.
    """
    rows = [row for row in _first_run(run, mode) if row["step"] > 0]
    return (np.array([float(row["step"]) for row in rows]),
            np.array([float(row["velocity"]) for row in rows]))


def path_share(run: Run, mode: str) -> float:
    """Return the share of the kernel's path that lies in the first quarter of phase 1."""
    steps, speed = velocities(run, mode)
    moved = speed * np.diff(steps, prepend=0.0)
    return float(moved[steps <= EARLY * steps[-1]].sum() / moved.sum())


def lazy_velocity(run: Run, mode: str) -> float:
    """Return the mean velocity of the last quarter of phase 1 over that of the first."""
    steps, speed = velocities(run, mode)
    early, late = steps <= EARLY * steps[-1], steps > (1.0 - EARLY) * steps[-1]
    return float(speed[late].mean() / speed[early].mean())


def late_velocity(run: Run, mode: str) -> float:
    """Return the mean velocity of the last quarter of phase 1."""
    steps, speed = velocities(run, mode)
    return float(speed[steps > (1.0 - EARLY) * steps[-1]].mean())


def path_length(run: Run, mode: str) -> float:
    """Return the length of the kernel's path in phase 1."""
    steps, speed = velocities(run, mode)
    return float((speed * np.diff(steps, prepend=0.0)).sum())


def settled(run: Run, mode: str, share: float) -> float:
    """Return when the kernel has come near its last value, as a share of phase 1.

    From then on every recorded kernel is within ``share`` of the way: its distance from the last
    one is at most that share of the distance of the first one. NaN where that was not recorded,
    or is no number.

    Parameters
    ----------
    run : Run
    mode : str
        Of the first of the runs of that kind.
    share : float
    """
    rows = _first_run(run, mode)
    if not rows or "distance_to_last" not in rows[0]:
        return math.nan
    left = np.array([float(row["distance_to_last"]) for row in rows])
    if np.isnan(left).any():
        return math.nan
    away = np.flatnonzero(left > share * left[0])
    first = rows[away[-1] + 1] if len(away) else rows[0]
    return float(first["step"]) / float(rows[-1]["step"])


def last_record(run: Run, mode: str, name: str) -> float:
    """The last record of the first run of a kind."""
    return float(_first_run(run, mode)[-1][name])


def _first_run(run: Run, mode: str) -> list[dict[str, Any]]:
    """The history of the first of the runs of a kind."""
    return [row for row in run.history.rows() if row["mode"] == mode and int(row["run"]) == 1]


def frozen(run: Run, mode: str, time: int, data: str, dynamics: str = "centred",
           name: str = "attacked_accuracy") -> float:
    """Return what phase 2 measured from a checkpoint; NaN where there was no such training.

    Parameters
    ----------
    run : Run
    mode : "clean", "adversarial", "mixed" or "flip"
        Of phase 1.
    time : int
        Phase-1 step of the checkpoint.
    data : "benign", "adversarial", "masked", "mixed" or "flip"
        Of phase 2.
    dynamics : "centred", "uncentred" or "full"
    name : str
        "accuracy", "attacked_accuracy" or "plain_attacked_accuracy".
    """
    for row in run.summary["frozen"]:
        if (row["mode"], row["time"], row["data"], row["dynamics"]) == (
                mode, time, data, dynamics):
            return float(row[name])
    return float("nan")


def when(place: int) -> str:
    """Say in words which frozen kernel is meant."""
    return "last frozen kernel" if place < 0 else f"frozen kernel {place}"


def attacked(run: Run, place: int, mode: str, data: str, name: str = "attacked_accuracy",
             dynamics: str = "centred") -> float:
    """Return an accuracy at tau after phase 2 from the regular checkpoint number ``place``."""
    return frozen(run, mode, run.config.regular_times[place], data, dynamics, name)


def share_of(groups: Groups, place: int, mode: str, data: str, claim: Claim, decisive: bool,
             dynamics: str = "centred", name: str = "attacked_accuracy") -> Measurement:
    """Return an accuracy after phase 2 as a measurement at every size."""
    values = values_of(groups, lambda run: attacked(run, place, mode, data, name, dynamics))
    samples = {size: group[0].config.test_samples for size, group in groups.items()}
    threshold = f"{name.replace('_', ' ')} of {data} training on the {mode} kernel"
    words = f"{threshold}, {when(place)}" + ("" if dynamics == "centred" else f", {dynamics}")
    known = all(np.isfinite(seeds).all() for seeds in values.values())
    return at_every_size(words, values, claim, samples.__getitem__ if known else None,
                         decisive=decisive, threshold=threshold)


def over_time(groups: Groups, data: str, title: str) -> Picture:
    """Attacked accuracy of phase 2 over the time of the checkpoint, and by what was trained.

    At the first size. On the right the first regular checkpoint after the start.
    """
    size = next(iter(groups))
    group = groups[size]
    times, main = group[0].config.freeze_times, group[0].config.regular_times[1]

    def series(mode: str) -> Series:
        values = [[frozen(run, mode, time, data) for time in times] for run in group]
        return Series(f"{mode} kernel", np.array(times, float), np.array(values), mode,
                      joined=True)

    def by_dynamics(mode: str) -> Series:
        values = [[frozen(run, mode, main, data, dynamics) for dynamics in shown]
                  for run in group]
        return Series(f"{mode} checkpoint", np.arange(len(shown), dtype=float), np.array(values),
                      mode)

    shown = [dynamics for dynamics in DYNAMICS
             if not math.isnan(frozen(group[0], "clean", main, data, dynamics))]
    return Picture(
        f"{title} at {size}. Left: attacked accuracy on centred frozen kernels against their "
        "phase-1 time; lines: the networks of phase 1 themselves. Right: from the checkpoint of "
        f"step {main}, linearised with or without the network's output there, and in full.",
        (Panel("phase-1 step of the kernel", r"attacked accuracy at $\tau$, centred",
               tuple(series(mode) for mode in MODES) + networks_themselves(group, "network"),
               ylim=(0.0, 1.05)),
         Panel("what phase 2 trains", r"attacked accuracy at $\tau$",
               tuple(by_dynamics(mode) for mode in MODES), ticks=tuple(shown),
               ylim=(0.0, 1.05))))


def networks_themselves(group: Sequence[Run], name: str) -> tuple[Series, ...]:
    """Attacked accuracy of the networks of phase 1, over the times of the frozen kernels."""
    ends = np.array([0.0, group[0].config.freeze_times[-1]])
    return tuple(Series(f"{mode} {name}", ends, np.array(
        [[run.summary[mode]["attacked_accuracy"]] * 2 for run in group]), mode, joined=True,
        dash=dash) for mode, dash in zip(MODES, ("--", ":")))
