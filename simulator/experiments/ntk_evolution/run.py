"""One run about the tangent kernel: two phases of training, the second on a frozen kernel.

Phase 1 trains the symmetric network from one initialisation and records how its kernel on fixed
probe samples moves:

    clean       on clean samples
    adversarial on adversarial ones
    mixed       two updates a batch, one at the clean samples, then one at adversarial ones
    flip        on clean samples, from half time on on adversarial ones

A second run of each kind (but the flip), from another initialisation and on other samples, says how
far apart two runs of a kind are. Phase 2 freezes the kernel of a checkpoint and trains the
linearised network on it, uncentred or centred; "full" goes on with the network itself. Its data are

    benign      clean samples
    adversarial the attack sees the linearised network through smoothed gates as well
    masked      the attack sees its true gates only, which it can hide behind
    mixed, flip as in phase 1, the attack through smoothed gates

With the protocol "short" there are clean and adversarial trainings and linearised networks only.
Adversarial examples are then passed on between networks and kernels: who shares features with whom?

The experiments of Loo, Hasani, Amini & Rus (arXiv 2210.12030), on the data and the network of
Allen-Zhu & Li (arXiv 2005.10190). What a run leaves is told in
:mod:`simulator.experiments.ntk_evolution.summary`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from simulator.experiments.jackknife import LossLimits, by_weights, without_each
from simulator.experiments.ntk_evolution.config import CONFIG, NTKConfig
from simulator.experiments.ntk_evolution.cost import cost
from simulator.experiments.ntk_evolution.experiment import NTKExperiment
from simulator.experiments.ntk_evolution.recorder import KernelRecord
from simulator.experiments.ntk_evolution.summary import (LIMITS_OF, LINEAR, Frozen, PhaseOne,
                                                         finished_run, first_phase,
                                                         frozen_trainings, passing)
from simulator.experiments.records import Record, columns_of
from simulator.networks.linear import LinearClassifier
from simulator.ntk.empirical import empirical_ntk
from simulator.ntk.measures import (distances, eigenvectors_on_features, seen_by_eigenvectors,
                                    spectrum)
from simulator.ntk.sensitivity import seen_without_groups, spectrum_by_sample
from simulator.protocols import Network
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent

__all__ = ["CONFIG", "check", "cost", "simulate"]

SHOWN_EIGENVECTORS = 4
SEEN = 200  # leading eigenvectors whose span is asked what it holds
GROUPS = 5  # of samples, each left out in turn, for the limits of that


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
              for run in first_phase(config)]
    stages += [Stage(f"attacking {mode}", 1, partial(_attack, experiment, mode))
               for mode in config.modes]
    stages += [Stage(f"spectrum {name}", 1, partial(_spectrum, experiment, name))
               for name in ("start", *config.modes)]
    stages.append(Stage("distances", 1, partial(_distances, experiment)))
    stages += [Stage(frozen.stage, config.frozen_steps + 1,
                     partial(_phase_two, experiment, frozen))
               for frozen in frozen_trainings(config)]
    return stages + ([Stage("transfer", 1, partial(_transfer, experiment))]
                     if config.transfer_samples else [])


def _phase_one(experiment: NTKExperiment, run: PhaseOne, done: Mapping[str, Arrays],
               saved: Arrays | None, tick: Tick) -> Arrays:
    """Train from an initialisation.

    Returns
    -------
    dict
        ``weights`` (times, m, d) at the freeze times, and the columns of the history.
    """
    config, times = experiment.config, experiment.config.freeze_times
    record = KernelRecord(experiment, experiment.initial_network(run.number), saved)

    def is_recorded(step: int) -> bool:
        return step % config.record_every == 0 or step in times

    limits = LossLimits(record.network, is_recorded, config.weight_decay)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if is_recorded(step):
            record.record(step, {"loss": loss, **limits.row()})
        if step in times:
            record.frozen.append(record.network.weights.copy())
        tick(step, record.state)

    experiment.train(record.network, run.mode, first=record.step, stop=config.steps,
                     flip_step=config.flip_step, seed=experiment.seed_of(run.number),
                     batches=experiment.batches(run.number), learning_rate=config.learning_rate,
                     weight_decay=config.weight_decay, before_step=limits, after_step=after_step)
    return {"weights": np.array(record.frozen)} | columns_of(record.finished_rows())


def _attack(experiment: NTKExperiment, mode: str, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Return the accuracies of a network at the end of phase 1, by name."""
    return _evaluated(experiment, experiment.network(done[mode]["weights"][-1]))


def _spectrum(experiment: NTKExperiment, name: str, done: Mapping[str, Arrays],
              saved: Arrays | None, tick: Tick) -> Arrays:
    """Return the spectrum of a kernel, its leading eigenvectors among the features, what they see.

    As published alone: ``seen`` (3, eigenvectors), for labels, features, M w*. Limits over the
    samples have the names of what they limit, after LIMITS_OF.
    """
    config, batch = experiment.config, experiment.spectrum_batch
    weights = done[config.modes[0]]["weights"][0] if name == "start" else done[name]["weights"][-1]
    kernel = empirical_ntk(experiment.network(weights), batch.X)
    found = {f"spectrum_{name}": spectrum(kernel),
             f"eigenvectors_{name}": eigenvectors_on_features(kernel, batch.X, None,
                                                              SHOWN_EIGENVECTORS)}
    if kernel.any():
        found[f"{LIMITS_OF}spectrum_{name}"] = by_weights(found[f"spectrum_{name}"],
                                                          spectrum_by_sample(kernel))
    if config.protocol == "short" or batch.codes is None:
        return found
    targets = (batch.y[:, None], batch.codes.toarray(),
               (batch.X @ experiment.data.dense_direction)[:, None])
    found[f"seen_{name}"] = np.array([seen_by_eigenvectors(kernel, each, SEEN)
                                      for each in targets])
    if kernel.any():
        count = min(SEEN, len(kernel) - -(-len(kernel) // GROUPS))
        found[f"{LIMITS_OF}seen_{name}"] = without_each(
            found[f"seen_{name}"][:, :count],
            seen_without_groups(kernel, targets, count, GROUPS), positive=False)
    return found


def _distances(experiment: NTKExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
               tick: Tick) -> Arrays:
    """Return the distances of all frozen kernels, shape (runs, times, runs, times)."""
    runs = first_phase(experiment.config)
    kernels = [experiment.kernel(weights) for run in runs for weights in done[run.stage]["weights"]]
    shape = len(runs), len(experiment.config.freeze_times)
    return {"distances": distances(kernels).reshape(*shape, *shape)}


def _phase_two(experiment: NTKExperiment, frozen: Frozen, done: Mapping[str, Arrays],
               saved: Arrays | None, tick: Tick) -> Arrays:
    """Train from a checkpoint; return the accuracies by name, and weights that are passed on.

    Its batches are those of the run after phase 1 has seen its own.
    """
    config = experiment.config
    place = config.freeze_times.index(frozen.time)
    network = experiment.second_network(done[frozen.mode]["weights"][place], frozen.dynamics)
    record = Record(network, saved, config.steps)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        tick(step - config.steps, record.state)

    full = frozen.dynamics == "full"
    experiment.train(
        record.network, frozen.data, first=record.step, stop=config.steps + config.frozen_steps,
        flip_step=config.steps + config.frozen_steps // 2, seed=config.seed,
        batches=experiment.batches(),
        learning_rate=config.learning_rate if full else config.frozen_learning_rate,
        weight_decay=config.weight_decay if full else config.frozen_weight_decay,
        after_step=after_step)
    kept = {"weights": record.network.weights} if frozen in passing(config).values() else {}
    return _evaluated(experiment, record.network) | kept


def _transfer(experiment: NTKExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
              tick: Tick) -> Arrays:
    """Return which samples stay right under whose examples; see ``NTKExperiment.passed_on``."""
    config, networks = experiment.config, dict[str, Network]()
    for name, entry in passing(config).items():
        if isinstance(entry, Frozen):
            place = config.freeze_times.index(entry.time)
            second = experiment.second_network(done[entry.mode]["weights"][place], entry.dynamics)
            second.weights[:] = done[entry.stage]["weights"]
            networks[name] = second
        elif entry == LINEAR:
            direction = experiment.data.dense_direction.astype(experiment.dtype)
            networks[name] = LinearClassifier(direction)
        else:
            networks[name] = experiment.network(done[entry]["weights"][-1])
    return {"right": experiment.passed_on(networks)}


def _evaluated(experiment: NTKExperiment, network: Network) -> Arrays:
    return {name: np.array(share) for name, share in experiment.evaluate(network).items()}
