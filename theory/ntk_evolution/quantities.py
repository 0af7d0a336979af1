"""What the claims of Loo et al. (arXiv 2210.12030) measure.

The paper is about deep networks on images; here its statements are put to the two-layer symmetric
network on sparse-coding data. The ranges that decide are readings: the paper states no thresholds
for such a model.
"""

from collections.abc import Sequence

import numpy as np

from theory.claim import Claim, Measurement, Run, Size
from theory.drawing.picture import Panel, Picture, Series
from theory.evidence import at_every_size, values_of

__all__ = ["EARLY", "Groups", "MODES", "attacked", "frozen", "last_record", "late_velocity",
           "lazy_velocity", "networks_themselves", "over_time", "path_length", "path_share",
           "share_of", "velocities", "when"]

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
    rows = [row for row in run.history.rows() if row["mode"] == mode and int(row["run"]) == 1
            and row["step"] > 0]
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


def last_record(run: Run, mode: str, name: str) -> float:
    """The last record of the first run of a kind."""
    return float([row for row in run.history.rows() if row["mode"] == mode
                  and int(row["run"]) == 1][-1][name])


def frozen(run: Run, mode: str, time: int, data: str, centred: bool,
           name: str = "attacked_accuracy") -> float:
    """Return what phase 2 measured on a frozen kernel; NaN where there was no such training.

    Parameters
    ----------
    run : Run
    mode : "clean" or "adversarial"
        Of phase 1.
    time : int
        Phase-1 step of the kernel.
    data : "benign", "adversarial" or "masked"
        Of phase 2.
    centred : bool
    name : str
        "accuracy", "attacked_accuracy" or "plain_attacked_accuracy".
    """
    for row in run.summary["frozen"]:
        if (row["mode"], row["time"], row["data"], bool(row["centred"])) == (
                mode, time, data, centred):
            return float(row[name])
    return float("nan")


def when(place: int) -> str:
    """Say in words which frozen kernel is meant."""
    return "last frozen kernel" if place < 0 else f"frozen kernel {place}"


def attacked(run: Run, place: int, mode: str, data: str, name: str = "attacked_accuracy",
             centred: bool = True) -> float:
    """Return an accuracy at tau after phase 2 on the frozen kernel number ``place``."""
    return frozen(run, mode, run.config.freeze_times[place], data, centred, name)


def share_of(groups: Groups, place: int, mode: str, data: str, claim: Claim,
             decisive: bool, centred: bool = True, name: str = "attacked_accuracy") -> Measurement:
    """Return an accuracy after phase 2 as a measurement at every size."""
    values = values_of(groups, lambda run: attacked(run, place, mode, data, name, centred))
    samples = {size: group[0].config.test_samples for size, group in groups.items()}
    threshold = f"{name.replace('_', ' ')} of {data} training on the {mode} kernel"
    words = f"{threshold}, {when(place)}" + ("" if centred else ", uncentred")
    return at_every_size(words, values, claim, samples.__getitem__, decisive=decisive,
                         threshold=threshold)


def over_time(groups: Groups, data: str, title: str) -> Picture:
    """Clean and attacked accuracy of phase 2 against the time of the kernel, at the first size."""
    size = next(iter(groups))
    group = groups[size]
    times = group[0].config.freeze_times

    def series(mode: str, name: str, centred: bool) -> Series:
        values = [[frozen(run, mode, time, data, centred, name) for time in times]
                  for run in group]
        return Series(f"{mode} kernel", np.array(times, float), np.array(values), mode,
                      joined=True)

    levels = networks_themselves(group, "network")
    panels = []
    for centred in (True, False):
        kind = "centred" if centred else "uncentred"
        panels.append(Panel(
            "phase-1 step of the kernel", rf"attacked accuracy at $\tau$, {kind}",
            tuple(series(mode, "attacked_accuracy", centred) for mode in MODES) + levels,
            ylim=(0.0, 1.05)))
    return Picture(f"{title} on frozen kernels at {size}: attacked accuracy against the phase-1 "
                   "time of the kernel; lines: the networks of phase 1 themselves.",
                   tuple(panels))


def networks_themselves(group: Sequence[Run], name: str) -> tuple[Series, ...]:
    """Attacked accuracy of the networks of phase 1, over the times of the frozen kernels."""
    ends = np.array([0.0, group[0].config.freeze_times[-1]])
    return tuple(Series(f"{mode} {name}", ends, np.array(
        [[run.summary[mode]["attacked_accuracy"]] * 2 for run in group]), mode, joined=True,
        dash=dash) for mode, dash in zip(MODES, ("--", ":")))
