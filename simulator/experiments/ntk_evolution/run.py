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
Allen-Zhu & Li (arXiv 2005.10190). What a run leaves is told in
:mod:`simulator.experiments.ntk_evolution.summary`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from simulator.experiments.ntk_evolution.config import CONFIG, NTKConfig
from simulator.experiments.ntk_evolution.cost import cost
from simulator.experiments.ntk_evolution.experiment import MODES, NTKExperiment
from simulator.experiments.ntk_evolution.recorder import KernelRecord
from simulator.experiments.ntk_evolution.summary import (RUNS, Frozen, PhaseOne, finished_run,
                                                         frozen_trainings)
from simulator.experiments.records import Record, columns_of
from simulator.ntk.empirical import empirical_ntk
from simulator.ntk.measures import distances, eigenvectors_on_features, spectrum
from simulator.protocols import Network
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "check", "cost", "simulate"]

SHOWN_EIGENVECTORS = 4


def check(config: NTKConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    NTKExperiment(config)


def simulate(config: NTKConfig, folder: RunFolder | None = None,
             progress: Progress = silent, **parts: Any) -> Run:
    """Run both phases, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : NTKConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    **parts
        ``network``, ``data``, ``attack`` in the place of those of the config; see
        :class:`NTKExperiment`. With them a run belongs to no folder.

    Returns
    -------
    Run
        See :mod:`simulator.experiments.ntk_evolution.summary`.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    experiment = NTKExperiment(config, **parts)
    stages = _stages(experiment)
    done = run_stages(config, stages, folder, progress)
    return write_run(finished_run(experiment, done), folder, sum(stage.steps for stage in stages))


def _stages(experiment: NTKExperiment) -> list[Stage]:
    config = experiment.config
    stages = [Stage(run.stage, config.steps, partial(_phase_one, experiment, run))
              for run in RUNS]
    stages += [Stage(f"attacking {mode}", 1, partial(_attack, experiment, mode))
               for mode in MODES]
    stages += [Stage(f"spectrum {name}", 1, partial(_spectrum, experiment, name))
               for name in ("start", *MODES)]
    stages.append(Stage("distances", 1, partial(_distances, experiment)))
    return stages + [Stage(frozen.stage, config.frozen_steps + 1,
                           partial(_phase_two, experiment, frozen))
                     for frozen in frozen_trainings(config)]


def _phase_one(experiment: NTKExperiment, run: PhaseOne, done: Mapping[str, Arrays],
               saved: Arrays | None, tick: Tick) -> Arrays:
    """Train from an initialisation.

    Returns
    -------
    dict
        ``weights`` (times, m, d) at the freeze times, and the columns of the history.
    """
    config = experiment.config
    record = KernelRecord(experiment, experiment.initial_network(run.number), saved)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if step % config.record_every == 0:
            record.record(step, loss)
        if step % config.freeze_every == 0:
            record.frozen.append(record.network.weights.copy())
        tick(step, record.state)

    train(record.network, experiment.batches(run.number), learning_rate=config.learning_rate,
          start=record.step, stop=config.steps, weight_decay=config.weight_decay,
          seed=experiment.seed_of(run.number), adversary=experiment.training_adversary(run.mode),
          after_step=after_step)
    return {"weights": np.array(record.frozen)} | columns_of(record.rows)


def _attack(experiment: NTKExperiment, mode: str, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Return the accuracies of a network at the end of phase 1, by name."""
    return _evaluated(experiment, experiment.network(done[mode]["weights"][-1]))


def _spectrum(experiment: NTKExperiment, name: str, done: Mapping[str, Arrays],
              saved: Arrays | None, tick: Tick) -> Arrays:
    """Return the spectrum of a kernel and its leading eigenvectors among the features."""
    weights = done[MODES[0]]["weights"][0] if name == "start" else done[name]["weights"][-1]
    X = experiment.spectrum_inputs
    kernel = empirical_ntk(experiment.network(weights), X)
    return {f"spectrum_{name}": spectrum(kernel),
            f"eigenvectors_{name}": eigenvectors_on_features(kernel, X, None,
                                                             SHOWN_EIGENVECTORS)}


def _distances(experiment: NTKExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
               tick: Tick) -> Arrays:
    """Return the distances of all frozen kernels, shape (runs, times, runs, times)."""
    kernels = [experiment.kernel(weights) for run in RUNS for weights in done[run.stage]["weights"]]
    shape = len(RUNS), len(experiment.config.freeze_times)
    return {"distances": distances(kernels).reshape(*shape, *shape)}


def _phase_two(experiment: NTKExperiment, frozen: Frozen, done: Mapping[str, Arrays],
               saved: Arrays | None, tick: Tick) -> Arrays:
    """Train on the frozen kernel of a checkpoint; return the accuracies by name.

    Its batches are those of the run after phase 1 has seen its own.
    """
    config = experiment.config
    place = config.freeze_times.index(frozen.time)
    record = Record(experiment.linearized(done[frozen.mode]["weights"][place], frozen.centred),
                    saved, config.steps)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        tick(step - config.steps, record.state)

    train(record.network, experiment.batches(), learning_rate=config.frozen_learning_rate,
          start=record.step, stop=config.steps + config.frozen_steps,
          weight_decay=config.frozen_weight_decay, seed=config.seed,
          adversary=experiment.frozen_adversary(frozen.data), after_step=after_step)
    return _evaluated(experiment, record.network)


def _evaluated(experiment: NTKExperiment, network: Network) -> Arrays:
    return {name: np.array(share) for name, share in experiment.evaluate(network).items()}
