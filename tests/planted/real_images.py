"""Runs on real digits that are small enough for a test, and the controls that must fail.

Controls are measured as always: training labels dealt out anew, so that there is nothing to learn;
a network that memorises them from a start so large that training hardly moves it; photographs and
patches in whose place stands noise with their spectrum.
"""

from functools import cache
from unittest.mock import patch

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import PGD
from simulator.data.dictionaries import gaussian_like, gaussian_picture
from simulator.experiments import config_of, preset
from simulator.experiments.real_images import run
from simulator.experiments.real_images.experiment import SHARES, ImageExperiment
from simulator.experiments.records import from_text
from theory.claim import Run

SEEDS = range(3)
SMALL = {"m": 40, "clean_steps": 100, "adversarial_steps": 120, "record_every": 100,
         "weight_decay": 1e-3, "certified_samples": 12, "certificate_boxes": 2,
         "natural_patches": 800, "features": 60}
SHUFFLED = {"labels": "shuffled"}
MEMORISING = {"labels": "shuffled", "m": 200, "init_scale": 1.0, "training_samples": 40,
              "batch_size": 40, "weight_decay": 0.0, "tau": 0.05}


@cache
def photographs(noise=False):
    """The stage about photographs, which is the same for all: done once."""
    experiment = config_of(preset("smoke", "images") | SMALL).experiment()
    if noise:
        patches, pictures = experiment.natural_patches(), experiment.pictures()
        rng = np.random.default_rng(0)
        experiment.natural_patches = lambda: gaussian_like(patches, rng)
        experiment.pictures = lambda: np.array([gaussian_picture(one, rng) for one in pictures])
    return run._photographs(experiment, {}, None, lambda step: None)


@cache
def measured_run(seed, **changes):
    """A run of the smoke preset, trained long enough to show something."""
    config = config_of(preset("smoke", "images") | SMALL | {"seed": seed} | changes)
    found = photographs()
    with (patch.object(run, "_photographs", lambda *arguments: found),
          patch.object(ImageExperiment, "adversary", property(brief_adversary))):
        return run.simulate(config)


def brief_adversary(experiment):
    """One attack of ten steps: the controls are not about its strength."""
    return Adversary(experiment.ball, {"pgd": PGD(10)}, seed=experiment.config.seed)


def runs_of(**changes):
    return [measured_run(seed, **changes) for seed in SEEDS]


def planted_run(seed, family="planted", **numbers):
    """A run whose summary is written down, as all claims want it but for ``numbers``.

    Numbers are given by part and name, as in ``clean__accuracy=0.9``.
    """
    rng = np.random.default_rng(seed)
    summary = {"test_images": 200, "clean": {
        "accuracy": 0.99, "attacked_accuracy": 0.3, "certified_accuracy": 0.3,
        "high_frequency": 0.56, "neuron_high_frequency": 0.55, "nearest_correlation": 0.2}}
    summary["longer"] = dict(summary["clean"])
    summary["adversarial"] = {
        "accuracy": 0.99, "attacked_accuracy": 0.95, "certified_accuracy": 0.95,
        "high_frequency": 0.3, "neuron_high_frequency": 0.4, "nearest_correlation": 0.4}
    for phase in ("clean", "longer", "adversarial"):
        summary[phase] |= {"universal_accuracy": 0.5, "transfer_accuracy": 0.5, "spread": 0.2,
                           "class_correlation": 0.5}
    summary["purification"] = {"beta_positive": 1.0, "kept_over_removed": 2.0,
                               "kept_high_frequency": 0.4, "removed_high_frequency": 0.56}
    summary["longer_purification"] = summary["purification"] | {"kept_over_removed": 8.0}
    summary["levels"] = {"images_high_frequency": 0.3, "noise_high_frequency": 0.56}
    summary["sparsity"] = {
        "top_share": 0.55, "kurtosis": 6.0, "dependence": 0.1, "dependence_shuffled": 0.01,
        "gaussian_top_share": 0.43, "gaussian_kurtosis": 0.0}
    for key, value in numbers.items():
        part, _, name = key.partition("__")
        summary[part][name] = value
    for part in summary.values():
        if isinstance(part, dict):
            for name in part:
                part[name] *= 1.0 + 0.001 * rng.standard_normal()
    levels = np.linspace(25.0, 15.0, len(SHARES)) + 0.1 * rng.standard_normal()
    summary["sparsity"] |= {"psnr": [list(levels)] * 2, "gaussian_psnr": [list(levels - 3.0)] * 2}
    config = config_of(preset("smoke", "images") | {"name": family, "seed": seed})
    return Run(config, summary)


def planted_runs(**numbers):
    return [planted_run(seed, **numbers) for seed in SEEDS]


def noisy_runs():
    """The same with what a run measures where noise stands in the place of photographs."""
    runs = planted_runs()
    for one in runs:
        one.summary["sparsity"] = from_text(photographs(noise=True)["numbers"])
    return runs


def caveat(finding, words):
    return any(words in note for note in finding.caveats)
