"""C1 to C4: how the tangent kernel moves in training, and what can be learned on a frozen one.

The claims of Loo, Hasani, Amini & Rus, "Evolution of Neural Tangent Kernels under Benign and
Adversarial Training" (arXiv 2210.12030), which are about deep networks on images. Here they are
put to the two-layer symmetric network on sparse-coding data, where everything else is known. The
ranges that decide are readings: the paper states no thresholds for such a model.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from theory.claim import Assumption, Claim, Finding, Measurement, Run, Size, Theorem
from theory.drawing.picture import Curve, Panel, Picture, Series
from theory.evidence import (Evidence, at_every_size, confronted, series_over_sizes, size_names,
                             values_of)

__all__ = ["CLAIMS", "CLAIM_C1", "CLAIM_C2", "CLAIM_C3", "CLAIM_C4", "MODEL", "TITLE",
           "confront_c1", "confront_c2", "confront_c3", "confront_c4", "frozen", "lazy_velocity",
           "path_share", "velocities"]

TITLE = ("Loo, Hasani, Amini & Rus: Evolution of Neural Tangent Kernels under Benign and "
         "Adversarial Training (arXiv 2210.12030)")
MODEL = "ntk"
SOURCE = "Loo, Hasani, Amini & Rus, arXiv 2210.12030"
MODES = ("clean", "adversarial")
EARLY = 0.25  # the first quarter of phase 1 is "early", the last quarter "late"

LEARNED = Assumption("the clean network is right on 95 % of the test samples",
                     lambda run: run.summary["clean"]["accuracy"] >= 0.95)
HARDENED = Assumption(
    "adversarial training raises the attacked accuracy of the network by 0.2",
    lambda run: run.summary["adversarial"]["attacked_accuracy"]
    >= run.summary["clean"]["attacked_accuracy"] + 0.2)
INTERMEDIATE = Assumption("two kernels are frozen between the start and the end, or at the end",
                          lambda run: len(run.config.freeze_times) >= 3)

CLAIM_C1 = Claim(
    id="C1", title="the kernel moves early, then is lazy",
    statement="In clean as in adversarial training the empirical tangent kernel changes fast at "
              "the start and hardly at all afterwards.",
    source=f"{SOURCE}, which finds this for deep networks in both kinds of training. \"Early\" "
           "is read as: the first quarter of training covers more than half of the kernel's "
           "path, and the velocity of the last quarter is at most a tenth of the first's.",
    assumptions=(LEARNED,),
    quantity="share of the kernel's path (sum of S(K_t, K_t+dt)) in the first quarter of phase 1; "
             "mean velocity in the last quarter over that in the first",
    law="share at least 0.5 and velocity ratio at most 0.1, in both kinds of training",
    expected=1.0)

CLAIM_C2 = Claim(
    id="C2", title="adversarial training has another kernel",
    statement="Adversarial training converges to a kernel different from that of clean training: "
              "the kernels of the two are further apart than those of independent runs of the "
              "same kind.",
    source=f"{SOURCE}. That \"further\" means twice the larger distance within a kind is a "
           "reading.",
    assumptions=(LEARNED, HARDENED),
    quantity="S(K_clean, K_adversarial) at the end of phase 1, over the larger of the distances "
             "between two independent clean runs and two independent adversarial runs",
    law="at least 2 at every size",
    expected=2.0)

CLAIM_C3 = Claim(
    id="C3", title="its kernel is robust by itself",
    statement="Benign training on the frozen kernel of an adversarially trained network gives a "
              "robust classifier; on the frozen kernel of a cleanly trained one it does not.",
    source=f"{SOURCE}. The accuracies, and the phase-1 times (the first two kernels frozen after "
           "the start), are readings.",
    assumptions=(LEARNED, HARDENED, INTERMEDIATE),
    quantity="accuracy and attacked accuracy at tau of the centred linearised network after "
             "benign phase-2 training",
    law="on the adversarial kernel accuracy at least 0.9 and attacked accuracy at least 0.5, on "
        "the clean kernel attacked accuracy at most 0.2, at both times and every size",
    expected=0.5)

CLAIM_C4 = Claim(
    id="C4", title="a fixed kernel can be trained robust, in part",
    statement="Adversarial training on a fixed kernel yields non-trivial robustness: more than "
              "benign training on that kernel, less than the kernel of adversarial training "
              "gives even to benign training.",
    source=f"{SOURCE}, for the first half. The second half is a reading: it says what a kernel "
           "that moved is worth.",
    assumptions=(LEARNED, HARDENED, INTERMEDIATE),
    quantity="attacked accuracy at tau of adversarial phase-2 training on the clean kernel "
             "(centred), less that of benign training there; that of benign training on the "
             "adversarial kernel, less the first",
    law="both differences at least 0, at both times and every size",
    expected=0.0)


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


def confront_c1(runs: Sequence[Run]) -> Finding:
    """Confront C1 with runs."""
    return confronted(CLAIM_C1, runs, _measure_c1)


def confront_c2(runs: Sequence[Run]) -> Finding:
    """Confront C2 with runs."""
    return confronted(CLAIM_C2, runs, _measure_c2)


def confront_c3(runs: Sequence[Run]) -> Finding:
    """Confront C3 with runs."""
    return confronted(CLAIM_C3, runs, _measure_c3)


def confront_c4(runs: Sequence[Run]) -> Finding:
    """Confront C4 with runs."""
    return confronted(CLAIM_C4, runs, _measure_c4)


Groups = dict[Size, list[Run]]


def _measure_c1(groups: Groups) -> Evidence:
    shares = {mode: values_of(groups, lambda run: path_share(run, mode)) for mode in MODES}
    lazy = {mode: values_of(groups, lambda run: lazy_velocity(run, mode)) for mode in MODES}
    slower = values_of(groups, lambda run: _late(run, "adversarial") / _late(run, "clean"))
    longer = values_of(groups, lambda run: _path(run, "adversarial") / _path(run, "clean"))
    parts = [at_every_size(f"path in the first quarter, {mode} training", shares[mode],
                           (0.5, np.inf)) for mode in MODES]
    parts += [at_every_size(f"late over early velocity, {mode} training", lazy[mode], (0.0, 0.1))
              for mode in MODES]
    parts += [at_every_size("late velocity, adversarial over clean", slower, (0.0, 1.0),
                            logarithms=True, decisive=False),
              at_every_size("length of the path, adversarial over clean", longer, (0.0, np.inf),
                            logarithms=True, decisive=False)]
    size = next(iter(groups))
    picture = Picture(
        f"Velocity of the kernel over phase 1 at {size}, and the share of its path that lies in "
        "the first quarter.",
        (Panel("phase-1 step", "kernel velocity a step",
               tuple(_velocity_series(groups[size], mode) for mode in MODES), log="y"),
         Panel("d, k", "path in the first quarter",
               tuple(series_over_sizes(mode, shares[mode], mode, list(groups)) for mode in MODES),
               (Curve("half of it", (-0.4, len(groups) - 0.6), (0.5, 0.5)),),
               ticks=size_names(list(groups)), ylim=(0.0, 1.05))))
    return Evidence(parts, picture, _slower(slower))


def _slower(slower: Mapping[Size, np.ndarray]) -> list[str]:
    """Say where this model disagrees with deep networks on how fast adversarial training is."""
    return [f"at {size} the kernel of adversarial training still moves {seeds.mean():.3g} times "
            "as fast in the last quarter as that of clean training: here it is slower to become "
            "lazy, where the paper's deep networks converge rapidly in both"
            for size, seeds in slower.items() if np.isfinite(seeds).all() and (seeds > 1.0).all()]


def _late(run: Run, mode: str) -> float:
    steps, speed = velocities(run, mode)
    return float(speed[steps > (1.0 - EARLY) * steps[-1]].mean())


def _path(run: Run, mode: str) -> float:
    steps, speed = velocities(run, mode)
    return float((speed * np.diff(steps, prepend=0.0)).sum())


def _velocity_series(group: Sequence[Run], mode: str) -> Series:
    found = [velocities(run, mode) for run in group]
    return Series(f"{mode} training", found[0][0], np.array([speed for _, speed in found]), mode,
                  joined=True)


def _measure_c2(groups: Groups) -> Evidence:
    names = ("between", "within_clean", "within_adversarial")
    values = {name: values_of(groups, lambda run: run.summary[name]) for name in names}
    ratio = values_of(groups, lambda run: run.summary["between"] / max(
        run.summary["within_clean"], run.summary["within_adversarial"]))
    part = at_every_size("distance between kinds over within a kind", ratio, (2.0, np.inf),
                         logarithms=True)
    purer = at_every_size(
        "distance to the pure kernel at the end, adversarial over clean training",
        values_of(groups, lambda run: _last(run, "adversarial", "distance_to_pure")
                  / _last(run, "clean", "distance_to_pure")), (0.0, 1.0), logarithms=True,
        decisive=False)
    order, roles = list(groups), ("other", "clean", "adversarial")
    picture = Picture(
        "Distance of the final kernels of clean and adversarial training, and of independent "
        "runs of one kind.",
        (Panel("d, k", "kernel distance $S$",
               tuple(series_over_sizes(name.replace("_", " "), values[name], role, order)
                     for name, role in zip(names, roles)), log="y", ticks=size_names(order)),
         Panel("d, k", "between / within", (series_over_sizes("ratio", ratio, "other", order),),
               (Curve("accepted from here", (-0.4, len(order) - 0.6), (2.0, 2.0)),),
               ticks=size_names(order))))
    return Evidence([part, purer], picture, [
        f"smallest ratio of a single seed at {size}: {seeds.min():.3g}"
        for size, seeds in ratio.items()])


def _last(run: Run, mode: str, name: str) -> float:
    """The last record of the first run of a kind."""
    return float([row for row in run.history.rows() if row["mode"] == mode
                  and int(row["run"]) == 1][-1][name])


def _measure_c3(groups: Groups) -> Evidence:
    parts = []
    for place, decisive in ((1, True), (2, True), (-1, False)):
        parts += [_share(groups, place, mode, "benign", accepted, decisive)
                  for mode, accepted in (("adversarial", (0.5, 1.0)), ("clean", (0.0, 0.2)))]
        parts.append(_share(groups, place, "adversarial", "benign", (0.9, 1.0), decisive,
                            name="accuracy"))
    parts += [_share(groups, 1, mode, "benign", accepted, False, centred=False)
              for mode, accepted in (("adversarial", (0.5, 1.0)), ("clean", (0.0, 0.2)))]
    return Evidence(parts, _over_time(groups, "benign", "Benign phase-2 training"), [])


def _measure_c4(groups: Groups) -> Evidence:
    parts = []
    for place, decisive in ((1, True), (2, True), (-1, False)):
        for name, upper, lower in (
                ("adversarial less benign training on the clean kernel",
                 ("clean", "adversarial"), ("clean", "benign")),
                ("benign training on the adversarial kernel less adversarial on the clean one",
                 ("adversarial", "benign"), ("clean", "adversarial"))):
            gain = values_of(groups, lambda run: _attacked(run, place, *upper)
                             - _attacked(run, place, *lower))
            parts.append(at_every_size(f"{name}, {_when(place)}", gain, (0.0, np.inf),
                                       decisive=decisive))
    whole = values_of(groups, lambda run: _attacked(run, 1, "clean", "adversarial", centred=False)
                      - _attacked(run, 1, "clean", "benign", centred=False))
    parts.append(at_every_size("adversarial less benign training on the clean kernel, "
                               f"{_when(1)}, uncentred", whole, (0.0, np.inf), decisive=False))
    hidden = values_of(groups, lambda run: _attacked(
        run, 1, "clean", "masked", "plain_attacked_accuracy")
        - _attacked(run, 1, "clean", "masked"))
    parts.append(at_every_size("attacked accuracy that plain PGD overstates after training against "
                               f"plain gates, {_when(1)}", hidden, (0.0, np.inf), decisive=False))
    return Evidence(parts, _over_time(groups, "adversarial", "Adversarial phase-2 training"), [
        "phase 2 is trained against an attack that sees smoothed gates, and attacked through them: "
        "training against the true gates alone hides behind their jumps"])


def _when(place: int) -> str:
    return "last frozen kernel" if place < 0 else f"frozen kernel {place}"


def _attacked(run: Run, place: int, mode: str, data: str, name: str = "attacked_accuracy",
              centred: bool = True) -> float:
    return frozen(run, mode, run.config.freeze_times[place], data, centred, name)


def _share(groups: Groups, place: int, mode: str, data: str, accepted: tuple[float, float],
           decisive: bool, centred: bool = True, name: str = "attacked_accuracy") -> Measurement:
    values = values_of(groups, lambda run: _attacked(run, place, mode, data, name, centred))
    samples = {size: group[0].config.test_samples for size, group in groups.items()}
    words = (f"{name.replace('_', ' ')} of {data} training on the {mode} kernel, {_when(place)}"
             + ("" if centred else ", uncentred"))
    return at_every_size(words, values, accepted, samples.__getitem__, decisive=decisive)


def _over_time(groups: Groups, data: str, title: str) -> Picture:
    """Clean and attacked accuracy of phase 2 against the time of the kernel, at the first size."""
    size = next(iter(groups))
    group = groups[size]
    times = group[0].config.freeze_times

    def series(mode: str, name: str, centred: bool) -> Series:
        values = [[frozen(run, mode, time, data, centred, name) for time in times]
                  for run in group]
        return Series(f"{mode} kernel", np.array(times, float), np.array(values), mode,
                      joined=True)

    bounds = {mode: float(np.mean([run.summary[mode]["attacked_accuracy"] for run in group]))
              for mode in MODES}
    panels = []
    for centred in (True, False):
        kind = "centred" if centred else "uncentred"
        panels.append(Panel(
            "phase-1 step of the kernel", rf"attacked accuracy at $\tau$, {kind}",
            tuple(series(mode, "attacked_accuracy", centred) for mode in MODES),
            tuple(Curve(f"{mode} network", (0.0, times[-1]), (bounds[mode],) * 2)
                  for mode in MODES), ylim=(0.0, 1.05)))
    return Picture(f"{title} on frozen kernels at {size}: attacked accuracy against the phase-1 "
                   "time of the kernel; lines: the networks of phase 1 themselves.",
                   tuple(panels))


CLAIMS: tuple[Theorem, ...] = (
    Theorem(CLAIM_C1, confront_c1), Theorem(CLAIM_C2, confront_c2),
    Theorem(CLAIM_C3, confront_c3), Theorem(CLAIM_C4, confront_c4))
