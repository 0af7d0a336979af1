"""Kernel runs with a planted truth: gates written down and measured, or accuracies written down.

In :func:`kernel_run` the weights of every step are written down, with gates of two patterns: a
*dense* neuron holds all features a little and opens at most inputs, a *pure* one holds one feature
and opens with it. Kernels, distances and velocities are the simulator's own. In
:func:`accuracy_run` the accuracies of phase 2 are written down, as the summary of a run has them.
"""

import math

import numpy as np

from simulator.data.sparse_coding import SparseCoding
from simulator.experiments import preset
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk
from simulator.ntk.measures import distance
from theory.claim import Run

D, BIAS, SAMPLES = 16, 0.4, 40
STEPS, EVERY = 400, 10
MODES = ("clean", "adversarial")
# (mode, data) -> attacked accuracy of phase 2 on any kernel but the first
ATTACKED = {("clean", "benign"): 0.1, ("clean", "adversarial"): 0.35, ("clean", "masked"): 0.2,
            ("adversarial", "benign"): 0.65, ("adversarial", "adversarial"): 0.8,
            ("adversarial", "masked"): 0.8}
SPEED = {"clean": lambda t: math.exp(-t / 30.0), "adversarial": lambda t: math.exp(-t / 15.0)}


def at_rest(step):
    """How far the weights are on their way: there after a quarter of the training."""
    return 1.0 - math.exp(-step / 15.0)


def steadily(step):
    """Never at rest: as far in the last quarter as in the first."""
    return step / STEPS


def dense(m):
    """Neurons that hold one feature and a good part of all others."""
    return 0.6 * pure(m) + 0.4


def pure(m):
    """Neurons of one feature each."""
    return np.eye(D)[np.arange(m) % D]


def kernel_run(seed, adversarial=pure, m=160, move=at_rest, robust=0.8, hurry=2.0):
    """A run whose networks go from a random start to planted gates.

    Parameters
    ----------
    seed : int
    adversarial : callable
        The gates at which adversarial training ends; clean training ends at dense ones.
    m : int
        Neurons: with few, independent runs of one kind differ much.
    move : callable
        The share of the way at each step.
    hurry : float
        How many times as soon adversarial training is there.
    robust : float
        Attacked accuracy of the adversarial network, written down.
    """
    config = NTKConfig.from_settings(preset("desk", "ntk") | {"seed": seed})
    rng = np.random.default_rng(seed)
    X = SparseCoding(d=D, k=4, c_weak=1.0, noise=0.05).sample(SAMPLES, rng).X
    kernels = {(mode, number): _path(target(m), X, rng, lambda step: move(min(pace * step, STEPS)))
               for number in (1, 2)
               for mode, target, pace in zip(MODES, (dense, adversarial), (1.0, hurry))}
    history = [{"mode": mode, "run": number, "step": float(step), "distance_to_pure": 0.1,
                "velocity": distance(path[place - 1], K) / EVERY if place else math.nan,
                "distance_to_last": distance(K, path[-1])}
               for (mode, number), path in kernels.items()
               for place, (step, K) in enumerate(zip(range(0, STEPS + 1, EVERY), path))]
    ends = {name: path[-1] for name, path in kernels.items()}
    summary = {"between": distance(ends["clean", 1], ends["adversarial", 1]),
               "within_clean": distance(ends["clean", 1], ends["clean", 2]),
               "within_adversarial": distance(ends["adversarial", 1], ends["adversarial", 2]),
               "frozen": [], "clean": {"accuracy": 0.99, "attacked_accuracy": 0.15},
               "adversarial": {"accuracy": 0.98, "attacked_accuracy": robust}}
    return Run(config, summary, history, {})


def _path(target, X, rng, move):
    """The kernels along the way from a start of its own to noisy copies of the target."""
    start = rng.standard_normal(target.shape) / math.sqrt(D)
    end = target + 0.1 * rng.standard_normal(target.shape)
    drift = 0.02 * rng.standard_normal(target.shape)  # a kernel at rest still trembles
    return [empirical_ntk(SymmetricReLU(start + move(step) * (end - start) + drift * step / STEPS,
                                        BIAS), X) for step in range(0, STEPS + 1, EVERY)]


def accuracy_run(seed, speed=None, attacked=None, between=0.1, within=(0.004, 0.02), robust=0.8):
    """A run with these velocities, accuracies and distances, a little different in each seed."""
    rng = np.random.default_rng(seed)
    speed, attacked = SPEED | (speed or {}), ATTACKED | (attacked or {})
    config = NTKConfig.from_settings(preset("desk", "ntk") | {"seed": seed})
    history = [row for run in (1, 2) for mode in speed for row in _moving(mode, run, speed[mode],
                                                                          rng)]
    rows = [{"mode": mode, "time": time, "dynamics": dynamics, "data": data, "accuracy": 0.98,
             "attacked_accuracy": (value if time else 0.1) + 0.01 * rng.standard_normal(),
             "plain_attacked_accuracy": value + 0.1}
            for (mode, data), value in attacked.items() for time in config.freeze_times
            for dynamics in ("uncentred", "centred", "full")]
    noise = np.exp(0.05 * rng.standard_normal(3))
    summary = {"between": between * noise[0], "within_clean": within[0] * noise[1],
               "within_adversarial": within[1] * noise[2], "frozen": rows,
               "clean": {"accuracy": 0.99, "attacked_accuracy": 0.15},
               "adversarial": {"accuracy": 0.98, "attacked_accuracy": robust}}
    return Run(config, summary, history, {})


def _moving(mode, run, speed, rng):
    """History of a kernel with this velocity, on a straight way: what is left of it is ahead."""
    steps = np.arange(0, STEPS + 1, EVERY)
    velocity = np.array([1e-3 * speed(step) * math.exp(0.05 * rng.standard_normal())
                         for step in steps])
    left = np.append(np.cumsum(velocity[:0:-1] * EVERY)[::-1], 0.0)
    return [{"mode": mode, "run": run, "step": float(step),
             "distance_to_pure": 0.1 if mode == "clean" else 0.01, "distance_to_last": ahead,
             "velocity": moved if step else math.nan}
            for step, moved, ahead in zip(steps, velocity, left)]


# accuracy that a network loses: by source, of the clean and of the adversarial network
LOST = {"clean": (0.8, 0.1), "adversarial": (0.5, 0.2), "linear": (0.6, 0.1), "random": (0.01, 0.0),
        "kernel of the start": (0.2, 0.1), "kernel of clean, 100": (0.7, 0.1),
        "kernel of adversarial, 100": (0.5, 0.16)}


def transfer_run(seed, **changes):
    """A run of :func:`accuracy_run` with the accuracies lost as in LOST, but for the changes."""
    run, rng = accuracy_run(seed), np.random.default_rng([seed, 1])
    lost = LOST | {name.replace("_", " "): pair for name, pair in changes.items()}
    run.summary["transfer"] = [
        {"source": source, "target": target,
         "accuracy": run.summary[target]["accuracy"] - loss + 0.005 * rng.standard_normal()}
        for source, pair in lost.items() for target, loss in zip(MODES, pair)]
    run.summary["transfer"] += [{"source": "none", "target": target,
                                 "accuracy": run.summary[target]["accuracy"]} for target in MODES]
    return run


def mixed_run(seed, **mixed):
    """A run with mixed trainings that are as the adversarial ones of an accuracy_run of changes."""
    run, other = accuracy_run(seed), accuracy_run(seed, **mixed)

    def renamed(row, *names):
        return row | {name: "mixed" for name in names if row[name] == "adversarial"}

    history = run.history.rows() + [renamed(row, "mode") for row in other.history.rows()
                                    if row["mode"] == "adversarial"]
    frozen = [renamed(row, "mode", "data") for row in other.summary["frozen"]]
    run.summary["frozen"] += [row for row in frozen if "mixed" in (row["mode"], row["data"])]
    return Run(run.config, run.summary | {
        "mixed": other.summary["adversarial"], "between_mixed": other.summary["between"],
        "within_mixed": other.summary["within_adversarial"]}, history, {})
