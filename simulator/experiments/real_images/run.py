"""One run on real images: clean, longer and adversarial training, and what each network is like.

Trained on a finite set, measured on images that are held out. "longer" goes on clean for as many
steps as adversarial training takes: what it changes is not purification. A second pair of networks
begins at other weights, and is asked whether perturbations transfer. Beside them a dictionary is
learned from patches of photographs, and other photographs are rebuilt from few of its features.
What a run leaves is told in :mod:`simulator.experiments.real_images.summary`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import strongest_case, worst_case
from simulator.data.dictionaries import (gaussian_like, gaussian_picture, law_of_codes,
                                         learn_features, psnr, rebuild)
from simulator.errors import RunError
from simulator.experiments.jackknife import LossLimits
from simulator.experiments.real_images.config import CONFIG, PHASES, SECOND, ImageConfig
from simulator.experiments.real_images.cost import cost
from simulator.experiments.real_images.experiment import RADII, SHARES, ImageExperiment
from simulator.experiments.real_images.summary import finished_run
from simulator.experiments.records import Record, as_text, columns_of
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch
from simulator.randomness import Role, stream
from simulator.robustness.accuracy import accuracy, breaking_points, curve_of, passes
from simulator.robustness.bracket import PASSES, bracket
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.training import train

__all__ = ["CONFIG", "check", "cost", "simulate"]

CERTIFIED = (0.5, 0.75, 1.0, 1.25)  # radii of the bracket, / tau
CURVE_STEPS = 5  # of the progress bar, for each radius of a curve
# Each goes on from another, but for those that begin.
FROM = {"clean": None, "longer": "clean", "adversarial": "clean", "second clean": None,
        "second adversarial": "second clean"}


def check(config: ImageConfig) -> None:
    """Raise where settings do not fit together, or where the images are not there."""
    ImageExperiment(config)


def simulate(config: ImageConfig, folder: RunFolder | None = None,
             progress: Progress = silent, **parts: Any) -> Run:
    """Do a run, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : ImageConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    **parts
        ``network``, ``data``, ``attack`` in the place of those of the config; see
        :class:`ImageExperiment`. With them a run belongs to no folder.

    Returns
    -------
    Run
        See :mod:`simulator.experiments.real_images.summary`.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`; RunError too where a file of images has
        changed since the run began.
    """
    experiment = ImageExperiment(config, **parts)
    stages = _stages(experiment)
    done = run_stages(config, stages, folder, progress)
    if str(done["images"]["digest"]) != experiment.digest:
        raise RunError(f"{config.file}: expected the images with which the run began, got others")
    return write_run(finished_run(experiment, done), folder, sum(stage.steps for stage in stages))


def _stages(experiment: ImageExperiment) -> list[Stage]:
    config = experiment.config
    steps = {"clean": config.clean_steps, "adversarial": config.adversarial_steps,
             "longer": config.adversarial_steps}
    stages = [Stage("images", 1, partial(_images, experiment)),
              Stage("photographs", 1, partial(_photographs, experiment))]
    stages += [Stage(phase, steps[phase.split()[-1]], partial(_train, experiment, phase))
               for phase in (*PHASES, *SECOND)]
    curve = CURVE_STEPS * len(RADII) * passes(experiment.adversary)
    stages += [Stage(f"attacking {phase}", curve, partial(_attack, experiment, phase))
               for phase in PHASES]
    if config.certified_samples:
        stages += [Stage(f"certifying {phase}", CURVE_STEPS * PASSES * len(CERTIFIED),
                         partial(_certify, experiment, phase)) for phase in PHASES]
    return stages


def _images(experiment: ImageExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
            tick: Tick) -> Arrays:
    """Learn a dictionary of the training images; note what they are."""
    features = learn_features(experiment.data.training.X, experiment.config.features,
                              stream(experiment.config.seed, Role.DICTIONARY, 1))
    return {"digest": np.array(experiment.digest), "analysis": features.analysis,
            "synthesis": features.synthesis}


def _photographs(experiment: ImageExperiment, done: Mapping[str, Arrays], saved: Arrays | None,
                 tick: Tick) -> Arrays:
    """Learn a dictionary of natural patches, and rebuild photographs from few of its features.

    Beside both stands what is not sparse: Gaussian patches of the same second moments, and
    pictures with the same amplitudes and phases of chance.
    """
    config = experiment.config
    rng = stream(config.seed, Role.DICTIONARY, 2)
    patches, pictures = experiment.natural_patches(), experiment.pictures()
    half = len(patches) // 2
    order = rng.permutation(len(patches))
    learned, held_out = patches[order[:half]], patches[order[half:]]
    features = learn_features(learned, config.features, rng)
    tick(0)
    law = law_of_codes(features.codes(held_out), rng)
    noise = law_of_codes(features.codes(gaussian_like(held_out, rng)), rng)
    controls = np.array([gaussian_picture(picture, rng) for picture in pictures])
    rebuilt = np.array([rebuild(picture, features, SHARES) for picture in pictures])
    tick(0)
    of_noise = np.array([rebuild(picture, features, SHARES) for picture in controls])
    numbers = law | {f"gaussian_{name}": noise[name] for name in ("top_share", "kurtosis")} | {
        "psnr": [[psnr(picture, found) for found in row]
                 for picture, row in zip(pictures, rebuilt)],
        "gaussian_psnr": [[psnr(picture, found) for found in row]
                          for picture, row in zip(controls, of_noise)]}
    return {"numbers": as_text(numbers), "pictures": pictures, "rebuilt": rebuilt,
            "synthesis": features.synthesis}


def _train(experiment: ImageExperiment, phase: str, done: Mapping[str, Arrays],
           saved: Arrays | None, tick: Tick) -> Arrays:
    """Train one network; return its weights and the columns recorded."""
    config, test, before = experiment.config, experiment.test_set, FROM[phase]
    if before is None:
        network, first = experiment.initial_network(phase in SECOND), 0
        last = config.clean_steps
    else:
        network, first = experiment.network(done[before]["weights"].copy()), config.clean_steps
        last = first + config.adversarial_steps
    record = Record(network, saved, first)

    def is_recorded(step: int) -> bool:
        return step % config.record_every == 0 or step == last

    limits = LossLimits(network, is_recorded, config.weight_decay)

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if is_recorded(step):
            record.rows.append({"step": step, "loss": loss, **limits.row(),
                                "accuracy": accuracy(network, test)})
        tick(step - first, record.state)

    train(network, experiment.batches, learning_rate=config.learning_rate, start=record.step,
          stop=last, weight_decay=config.weight_decay, seed=config.seed,
          adversary=(Adversary(experiment.ball, {"own": experiment.attack})
                     if phase.endswith("adversarial") else None),
          before_step=limits, after_step=after_step)
    return {"weights": network.weights.copy(), **columns_of(record.rows)}


def _attack(experiment: ImageExperiment, phase: str, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Attack one network at every radius, and look at what breaks it at tau.

    Returns
    -------
    dict
        ``numbers``; ``delta`` (n, d), the worst perturbations at tau; ``universal`` (d,);
        ``curve`` (radii,).
    """
    network = experiment.network(done[phase]["weights"])
    test, adversary = experiment.test_set, experiment.adversary
    radii = list(RADII * experiment.config.tau)
    points = breaking_points(network, test, adversary, radii=radii, saved=saved,
                             tick=lambda step, keep: tick(CURVE_STEPS * step, keep))
    worst = strongest_case(network, test, adversary)
    universal = experiment.universal(network)
    other = SECOND[phase == "adversarial"]
    numbers = {
        "accuracy": accuracy(network, test),
        "training_accuracy": accuracy(network, _as(experiment.data.training, network)),
        "attacked_accuracy": worst.accuracy(),
        "universal_accuracy": worst_case(network, test, Adversary(
            experiment.ball, {"universal": universal})).accuracy(),
        "transfer_accuracy": accuracy(experiment.network(done[other]["weights"]), Batch(
            test.X + worst.delta, test.y))}
    return {"numbers": as_text(numbers), "delta": worst.delta, "universal": universal.direction,
            "curve": curve_of(points["strongest"], len(radii))}


def _as(batch: Batch, network: SymmetricReLU) -> Batch:
    return Batch(batch.X.astype(network.weights.dtype), batch.y)


def _certify(experiment: ImageExperiment, phase: str, done: Mapping[str, Arrays],
             saved: Arrays | None, tick: Tick) -> Arrays:
    """Bound robust accuracy from both sides, against any perturbation."""
    config = experiment.config
    network = experiment.network(done[phase]["weights"])
    radii = [share * config.tau for share in CERTIFIED]
    some = experiment.test_set[:config.certified_samples]
    found = bracket(network, some, experiment.adversary, radii=radii,
                    boxes=config.certificate_boxes, saved=saved,
                    tick=lambda step, keep: tick(CURVE_STEPS * step, keep))
    return {"numbers": as_text({
        "bracket": [one.numbers() for one in found],
        "certified_accuracy": found[CERTIFIED.index(1.0)].certified})}
