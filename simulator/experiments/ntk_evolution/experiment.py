"""One run about the tangent kernel: two phases of training, the second on a frozen kernel.

Phase 1 trains the symmetric network from one initialisation, on clean samples ("clean") and on
adversarial ones ("adversarial"), and records how its kernel on fixed probe samples moves. A second
pair of runs, from another initialisation and on other samples, says how far apart two runs of the
same kind are. Phase 2 freezes the kernel of a checkpoint and trains the linearised network on it,
uncentred or centred, on three kinds of data:

    benign      clean samples
    adversarial the attack sees the linearised network through smoothed gates as well
    masked      the attack sees its true gates only, which it can hide behind

The experiments of Loo, Hasani, Amini & Rus (arXiv 2210.12030), on the data and the network of
Allen-Zhu & Li (arXiv 2005.10190).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks
from simulator.attacks.through import ThroughSmoothedGates
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk, ntk_bytes
from simulator.ntk.measures import (alignment, centred_alignment, distance, distances,
                                    effective_rank, eigenvectors_on_features, linear_kernel,
                                    pure_kernel, spectrum)
from simulator.protocols import Attack, Batch, Network
from simulator.randomness import Role, stream
from simulator.runs.cost import PROCESS_BYTES, Cost
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "DATA", "MODES", "NTKSimulation", "check", "cost", "simulate"]

MODES = ("clean", "adversarial")
DATA = ("benign", "adversarial", "masked")
TRAINING_WIDTHS = (0.5,)  # of smoothed gates, in units of the bias
EVALUATION_WIDTHS = (0.25, 0.5, 1.0)
SHOWN_EIGENVECTORS = 4
RECORDED = ("step", "loss", "accuracy", "fgm_accuracy", "velocity", "distance_from_start",
            "effective_rank", "participation", "alignment", "centred_alignment",
            "distance_to_pure", "distance_to_linear", "gate_rate")
MEASURED = ("accuracy", "attacked_accuracy", "plain_attacked_accuracy")


CONFIG = NTKConfig


class NTKSimulation:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : NTKConfig

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together.
    """

    def __init__(self, config: NTKConfig) -> None:
        self.config = config
        self.dtype = np.dtype(config.dtype)
        self.data = SparseCoding.of(config)
        self.ball = L2Ball(config.tau)
        self.attack: Attack = (FGM() if config.training_attack == "fgm"
                               else PGD(config.training_pgd_steps))
        # a label margin that no code reaches must be told now, not after the folder is made
        self.data.sample(1, stream(config.seed, Role.CALIBRATION))

    @cached_property
    def probe(self) -> Batch:
        """The samples on which kernels are compared."""
        return self.data.sample(self.config.probe_samples,
                                stream(self.config.seed, Role.CALIBRATION), self.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose worst case is "attacked accuracy"; the last one is for frozen gates."""
        direction = self.data.dense_direction
        pgd = PGD(20, ("zero", "universal"), direction=direction)
        return standard_attacks(direction) | {
            "smoothed": ThroughSmoothedGates(pgd, EVALUATION_WIDTHS)}

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return Adversary(self.ball, self.attacks, seed=self.config.seed,
                         chunk=self.config.evaluation_chunk)

    @cached_property
    def second_seed(self) -> int:
        """Seed of the initialisation and the samples of the second, independent pair of runs."""
        return int(stream(self.config.seed, Role.SECOND_RUN).integers(2**31))

    def network(self, weights: np.ndarray) -> SymmetricReLU:
        """A network of this run with given weights."""
        return SymmetricReLU(weights, self.config.bias)

    def kernel(self, weights: np.ndarray) -> np.ndarray:
        """The empirical NTK of such a network on the probe samples."""
        return empirical_ntk(self.network(weights), self.probe.X)

    def phase_one(self, mode: str, seed: int, tick: Callable[[int], None]) -> Arrays:
        """Train from the initialisation of ``seed``.

        Returns
        -------
        dict
            ``weights`` (times, m, d) at the freeze times; ``recorded`` (records, columns), the
            columns of `RECORDED`; ``measured`` (columns,), the columns of `MEASURED` at the end.
        """
        config = self.config
        network = SymmetricReLU.initialise(
            config.m, config.d, config.init_scale, stream(seed, Role.INITIALISATION),
            bias=config.bias, dtype=self.dtype)
        recorder = _Recorder(self, network)
        weights = [network.weights.copy()]

        def after_step(step: int, loss: float) -> None:
            if step % config.record_every == 0:
                recorder.record(step, loss)
            if step % config.freeze_every == 0:
                weights.append(network.weights.copy())
            tick(step)

        adversary = Adversary(self.ball, self.attack) if mode == "adversarial" else None
        train(network, FreshBatches(self.data, config.batch_size, seed, self.dtype),
              learning_rate=config.learning_rate, steps=config.steps,
              weight_decay=config.weight_decay, seed=seed, adversary=adversary,
              after_step=after_step)
        return {"weights": np.array(weights), "recorded": np.array(recorder.rows),
                "measured": np.array(list(self.evaluate(network).values()))}

    def phase_two(self, weights: np.ndarray, tick: Callable[[int], None]) -> Arrays:
        """Train on the frozen kernel of a checkpoint, in every way.

        Its batches are those of the run after phase 1 has seen its own.

        Returns
        -------
        dict
            ``measured`` (2, 3, columns): uncentred and centred, kinds of data, the columns of
            `MEASURED`.
        """
        config = self.config
        attacks: dict[str, Attack | None] = {
            "benign": None, "adversarial": ThroughSmoothedGates(self.attack, TRAINING_WIDTHS),
            "masked": self.attack}
        batches = FreshBatches(self.data, config.batch_size, config.seed, self.dtype)
        measured = np.empty((2, len(DATA), len(MEASURED)))
        done = 0
        for centred in (False, True):
            for column, name in enumerate(DATA):
                network = LinearizedReLU(self.network(weights), centred)
                attack = attacks[name]
                train(network, batches, learning_rate=config.frozen_learning_rate,
                      start=config.steps, steps=config.frozen_steps,
                      weight_decay=config.frozen_weight_decay, seed=config.seed,
                      adversary=None if attack is None else Adversary(self.ball, attack),
                      after_step=lambda step, _, done=done: tick(  # type: ignore[misc]
                          done + step - config.steps))
                done += config.frozen_steps
                measured[int(centred), column] = list(self.evaluate(network).values())
        return {"measured": measured}

    def evaluate(self, network: Network) -> dict[str, float]:
        """Return accuracy, attacked accuracy, and the latter with plain PGD alone."""
        found = worst_case(network, self.test_set, self.adversary)
        return dict(zip(MEASURED, (found.accuracy("clean"), found.accuracy(),
                                   found.accuracy("pgd"))))

    def linear_attacked_accuracy(self) -> float:
        """Exact attacked accuracy of the linear classifier ``sign <w*, x>`` at tau."""
        linear = LinearClassifier(self.data.dense_direction)
        return linear.robust_accuracy(self.test_set.X, self.test_set.y, self.ball)


class _Recorder:
    """Measures the kernel of a network in training, against its start and its last record."""

    def __init__(self, simulation: NTKSimulation, network: SymmetricReLU) -> None:
        self.simulation, self.network = simulation, network
        probe = simulation.probe
        self.pure = pure_kernel(probe.X, probe.codes)
        self.linear = linear_kernel(probe.X)
        self.first = self.last = simulation.kernel(network.weights)
        self.rows: list[list[float]] = []
        self.record(0, math.log(2.0))

    def record(self, step: int, loss: float) -> None:
        """Append the row of `RECORDED`; the velocity is that of the interval that ends here."""
        simulation, probe = self.simulation, self.simulation.probe
        kernel = simulation.kernel(self.network.weights)
        passed = step - self.rows[-1][0] if self.rows else math.nan
        quick = worst_case(self.network, simulation.test_set,
                           replace(simulation.adversary, attacks=FGM()))
        self.rows.append([
            step, loss, quick.accuracy("clean"), quick.accuracy("fgm"),
            distance(self.last, kernel) / passed, distance(self.first, kernel),
            effective_rank(kernel), effective_rank(kernel, "participation"),
            alignment(kernel, probe.y), centred_alignment(kernel, probe.y),
            distance(kernel, self.pure), distance(kernel, self.linear),
            float(self.network.gates(probe.X).mean(dtype=np.float64))])
        self.last = kernel


def check(config: NTKConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    NTKSimulation(config)


def cost(config: NTKConfig) -> Cost:
    """Estimate a run by its matrix products: two to fourteen a step, 600 an evaluation."""
    item = 4 if config.dtype == "float32" else 8
    weights = float(config.m) * config.d
    rows = max(config.batch_size, min(config.test_samples, config.evaluation_chunk))
    kernels = 2 * len(config.freeze_times) + 1
    frozen = 2 * (2 * len(config.freeze_times) - 1)
    memory = (PROCESS_BYTES + weights * item * (4 * len(config.freeze_times) + 12)
              + float(rows) * (config.m * item * 3 + config.d * item * 6)
              + ntk_bytes(config.probe_samples, config.d, config.m)
              + 8.0 * config.probe_samples**2 * (2 * kernels + 6)
              + ntk_bytes(config.spectrum_samples, config.d, config.m)
              + 8.0 * config.spectrum_samples**2 * 4)
    product = 2.0 * config.batch_size * weights
    pgd = config.training_pgd_steps if config.training_attack == "pgd" else 1
    training = product * (2 * config.steps * (4 + 2 * pgd)
                          + frozen * config.frozen_steps * (6 + 8 * pgd))
    evaluation = 2.0 * config.test_samples * weights * 3 * frozen * 600
    return Cost(memory, training, evaluation, (config.batch_size, config.m, config.d),
                4 * config.steps + 3 * frozen * config.frozen_steps)


def simulate(config: NTKConfig, folder: RunFolder | None = None,
             progress: Progress = silent) -> Run:
    """Run both phases, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : NTKConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.

    Returns
    -------
    Run
        ``summary``: ``p``, ``linear_attacked_accuracy``; ``between``, ``within_clean``,
        ``within_adversarial``, distances of the final kernels; ``frozen``, a list with a row for
        each training of phase 2; a dictionary for both networks of phase 1, and for the networks
        trained on the first kernels frozen after the start, centred. ``history``: a row for each
        record of phase 1. ``arrays``: ``weights_<mode>`` (times, m, d), ``distances`` between all
        frozen kernels of the first runs and the last of the second ones, ``spectrum_<kernel>`` and
        ``eigenvectors_<kernel>``.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    simulation = NTKSimulation(config)
    stages = _stages(simulation)
    done = run_stages(config, stages, folder, progress)
    return write_run(_result(simulation, done), folder,
                     sum(stage.steps for stage in stages))


def _stages(simulation: NTKSimulation) -> list[Stage]:
    config = simulation.config

    def first(mode: str, seed: int) -> Callable[[Any, Callable[[int], None]], Arrays]:
        return lambda done, saved, tick: simulation.phase_one(mode, seed, tick)

    def second(mode: str, place: int) -> Callable[[Any, Callable[[int], None]], Arrays]:
        return lambda done, saved, tick: simulation.phase_two(done[mode]["weights"][place], tick)

    stages = [Stage(name, config.steps, first(mode, seed)) for name, mode, seed in (
        *((mode, mode, config.seed) for mode in MODES),
        *((f"second {mode}", mode, simulation.second_seed) for mode in MODES))]
    for mode in MODES:
        for place, time in enumerate(config.freeze_times):
            if time or mode == MODES[0]:  # both modes start from the same kernel
                stages.append(Stage(f"frozen {mode} {time}", 6 * config.frozen_steps,
                                    second(mode, place)))
    return stages


def _result(simulation: NTKSimulation, done: Mapping[str, Arrays]) -> Run:
    config, times = simulation.config, simulation.config.freeze_times
    runs = [(mode, run, done[mode if run == 1 else f"second {mode}"])
            for run in (1, 2) for mode in MODES]
    history = [{"mode": mode, "run": run} | dict(zip(RECORDED, map(float, row)))
               for mode, run, arrays in runs for row in arrays["recorded"]]
    kernels = [[simulation.kernel(weights) for weights in arrays["weights"]]
               for _, _, arrays in runs]
    moved = distances([kernel for kernels_of in kernels for kernel in kernels_of])
    moved = moved.reshape(4, len(times), 4, len(times))
    frozen = [{"time": time, "mode": mode, "centred": centred, "data": data}
              | dict(zip(MEASURED, map(float, numbers)))
              for mode in MODES for time in times
              for centred, both in enumerate(_frozen(done, mode, time))
              for data, numbers in zip(DATA, both)]
    arrays = {"times": np.array(times), "distances": moved}
    for mode in MODES:
        arrays[f"weights_{mode}"] = done[mode]["weights"]
        arrays |= _shapes(simulation, mode, done[mode]["weights"][-1])
    arrays |= _shapes(simulation, "start", done[MODES[0]]["weights"][0])
    summary: dict[str, Any] = {
        "p": simulation.data.activation_probability, "tau": config.tau,
        "linear_attacked_accuracy": simulation.linear_attacked_accuracy(),
        "between": float(moved[0, -1, 1, -1]), "within_clean": float(moved[0, -1, 2, -1]),
        "within_adversarial": float(moved[1, -1, 3, -1]), "frozen": frozen}
    for mode in MODES:
        last = done[mode]["recorded"][-1]
        summary[mode] = (dict(zip(MEASURED, map(float, done[mode]["measured"])))
                         | {"effective_rank": float(last[RECORDED.index("effective_rank")]),
                            "gate_rate": float(last[RECORDED.index("gate_rate")])}
                         | _leading(arrays[f"eigenvectors_{mode}"][0]))
    for row in frozen:
        if row["time"] == times[1] and row["centred"] and row["data"] != "masked":
            name = f"{row['data']}_on_{row['mode']}_kernel"
            summary[name] = {column: row[column] for column in MEASURED}
    return Run(config, summary, history, arrays)


def _frozen(done: Mapping[str, Arrays], mode: str, time: int) -> np.ndarray:
    """What phase 2 measured on a kernel; the modes share the one at the start."""
    return done[f"frozen {mode if time else MODES[0]} {time}"]["measured"]


def _leading(vector: np.ndarray) -> dict[str, float]:
    """Is the leading eigenvector the dense direction w*, or a few features?"""
    return {"leading_eigenvector_cosine": abs(float(vector.sum())) / math.sqrt(len(vector)),
            "leading_eigenvector_features": 1.0 / float(np.sum(vector**4))}


def _shapes(simulation: NTKSimulation, name: str, weights: np.ndarray) -> Arrays:
    """Return the spectrum of a kernel and its leading eigenvectors among the features."""
    X = simulation.data.sample(simulation.config.spectrum_samples,
                               stream(simulation.config.seed, Role.CALIBRATION, 1),
                               simulation.dtype).X
    kernel = empirical_ntk(simulation.network(weights), X)
    return {f"spectrum_{name}": spectrum(kernel),
            f"eigenvectors_{name}": eigenvectors_on_features(kernel, X, None,
                                                             SHOWN_EIGENVECTORS)}
