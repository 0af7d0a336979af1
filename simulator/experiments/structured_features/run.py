"""One patch run: standard and adversarial training from one start, and what withstands what.

The run of Li & Li (arXiv 2410.08503). From one random network go standard training, and the
adversarial trainings, each on from the one before: against a single gradient ascent step, against
PGD from a random start, against PGD from many starts in which every patch takes the worst
perturbation found for it. Each network is then attacked in seven ways, and certified.

A run with races is one of :mod:`simulator.experiments.structured_features.races` instead, one with
spectrum points one of :mod:`simulator.experiments.structured_features.spectrum`. What a run leaves
is told in :mod:`simulator.experiments.structured_features.summary`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from simulator.certificates.patches.margins import certified_radius, patch_margins
from simulator.experiments.jackknife import LossLimits
from simulator.experiments.records import Record, columns_of, unheard
from simulator.experiments.structured_features.config import CONFIG, StructuredConfig
from simulator.experiments.structured_features.cost import cost
from simulator.experiments.structured_features.experiment import (StructuredExperiment, Training,
                                                                  correlations)
from simulator.experiments.structured_features.races import race, race_settings
from simulator.experiments.structured_features.spectrum import at_radius, radii
from simulator.experiments.structured_features.summary import race_run, spectrum_run, trainings_run
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "certify", "check", "cost", "simulate", "train_network"]

CERTIFIED_SHARE = 0.9  # of the samples, at the certified radius
LARGEST_RADIUS = 2.0  # times epsilon: nothing above it is tried
HALVINGS = 5


def check(config: StructuredConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    StructuredExperiment(config)


def simulate(config: StructuredConfig, folder: RunFolder | None = None,
             progress: Progress = silent, **parts: Any) -> Run:
    """Do a run, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : StructuredConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    **parts
        ``network``, ``data``, ``attack`` in the place of those of the config; see
        :class:`StructuredExperiment`. With them a run belongs to no folder.

    Returns
    -------
    Run
        See :mod:`simulator.experiments.structured_features.summary`.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    experiment = StructuredExperiment(config, **parts)
    if config.races:
        stages = _race_stages(config)
    elif config.spectrum_points:
        stages = [Stage("spectrum", config.spectrum_points, partial(_spectrum, experiment))]
    else:
        stages = _training_stages(experiment)
    done = run_stages(config, stages, folder, progress)
    if config.races:
        run = race_run(config, done["races"]["races"])
    elif config.spectrum_points:
        run = spectrum_run(config, **done["spectrum"])
    else:
        run = trainings_run(experiment, done)
    return write_run(run, folder, sum(stage.steps for stage in stages))


def _training_stages(experiment: StructuredExperiment) -> list[Stage]:
    """Each training, then the attacks on what it made, then what can be proved of it."""
    stages: list[Stage] = []
    samples = experiment.config.certified_samples
    for training in experiment.trainings():
        name = training.name
        stages += [Stage(name, training.last - training.first,
                         partial(_train, experiment, training)),
                   Stage(f"attacking {name}", 1, partial(_attack, experiment, name))]
        if samples:
            stages += [Stage(f"certifying {name}", samples, partial(_certify, experiment, name))]
    return stages


def _race_stages(config: StructuredConfig) -> list[Stage]:
    return [Stage("races", config.races * config.kappa_points, partial(_race, config))]


def _train(experiment: StructuredExperiment, training: Training, done: Mapping[str, Arrays],
           saved: Arrays | None, tick: Tick) -> Arrays:
    """Train from the random network, or on from another training's."""
    network = (experiment.initial_network() if training.origin is None
               else experiment.network(done[training.origin]["weights"].copy()))
    return train_network(experiment, training, network, saved, tick)


def train_network(experiment: StructuredExperiment, training: Training, network: SmoothedReLUCNN,
                  saved: Arrays | None = None, tick: Tick = unheard) -> Arrays:
    """Do a training of a run.

    Parameters
    ----------
    experiment : StructuredExperiment
    training : Training
    network : SmoothedReLUCNN
        Where it begins; trained in place.
    saved, tick
        See :class:`simulator.runs.stages.Stage`.

    Returns
    -------
    dict
        ``weights`` (K, m, d) and the columns of the history.
    """
    config, record = experiment.config, Record(network, saved, training.first)

    def is_recorded(step: int) -> bool:
        return step == training.last or step % config.record_every == 0

    limits = LossLimits(network, is_recorded)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if is_recorded(step):
            record.rows.append({"step": step, "loss": loss, **limits.row(),
                                **correlations(network, experiment.data)})
        tick(step - training.first, record.state)

    for last, rate in experiment.learning_rates(training):
        if record.step < last:
            train(network, experiment.batches, learning_rate=rate, start=record.step, stop=last,
                  seed=config.seed, adversary=experiment.training_adversary(training.name),
                  before_step=limits, after_step=after_step)
    return {"weights": network.weights} | columns_of(record.rows)


def _attack(experiment: StructuredExperiment, name: str, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Attack the network of a training; see :meth:`StructuredExperiment.attack`."""
    return experiment.attack(experiment.network(done[name]["weights"]))


def _certify(experiment: StructuredExperiment, name: str, done: Mapping[str, Arrays],
             saved: Arrays | None, tick: Tick) -> Arrays:
    """Certify the network of a training."""
    return certify(experiment, experiment.network(done[name]["weights"]), saved, tick)


def certify(experiment: StructuredExperiment, network: SmoothedReLUCNN,
            saved: Arrays | None = None, tick: Tick = unheard) -> Arrays:
    """Certify a network, sample by sample.

    Parameters
    ----------
    experiment : StructuredExperiment
    network : SmoothedReLUCNN
    saved, tick
        See :class:`simulator.runs.stages.Stage`.

    Returns
    -------
    dict
        ``margins`` (few,), lower bounds at epsilon of the first test samples; ``radius``, 0
        where too few samples are right at all.
    """
    config, few = experiment.config, experiment.test_set[:experiment.config.certified_samples]
    adversary, boxes = experiment.adversary, config.certificate_boxes
    margins = [] if saved is None else list(saved["margins"])
    for place in range(len(margins), len(few)):
        one = few[place:place + 1]
        margins.append(patch_margins(network, one, adversary, boxes=boxes).margins[0])
        tick(place + 1, lambda: {"margins": np.array(margins)})
    radius = certified_radius(network, few, adversary, share=CERTIFIED_SHARE,
                              high=LARGEST_RADIUS * config.epsilon, halvings=HALVINGS, boxes=boxes,
                              margins=np.array(margins))
    return {"margins": np.array(margins), "radius": np.nan_to_num(radius)}


def _race(config: StructuredConfig, done: Mapping[str, Arrays], saved: Arrays | None,
          tick: Tick) -> Arrays:
    """Run all races; return ``races`` (kappa_points, races, K, 4), ends and starts."""
    races = [] if saved is None else list(saved["races"])
    for index, kappa in enumerate(race_settings(config)):
        if index >= len(races):
            races.append(race(config, kappa, index))
            tick(index + 1, lambda: {"races": np.array(races)})
    return {"races": np.array(races).reshape(config.kappa_points, config.races, config.classes, 4)}


def _spectrum(experiment: StructuredExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
              tick: Tick) -> Arrays:
    """Train at every radius; return ``spectrum`` (spectrum_points, columns), and ``over_classes``
    (spectrum_points, 2, 2), of u and v the smallest and the largest.
    """
    rows = [] if saved is None else list(saved["spectrum"])
    classes = [np.full((2, 2), np.nan)] * len(rows) if saved is None or "over_classes" not in (
        saved) else list(saved["over_classes"])

    def state() -> Arrays:
        return {"spectrum": np.array(rows), "over_classes": np.array(classes)}

    for index, radius in enumerate(radii(experiment.config)):
        if index >= len(rows):
            numbers, spread = at_radius(experiment, float(radius))
            rows.append(numbers)
            classes.append(spread)
            tick(index + 1, state)
    return state()
