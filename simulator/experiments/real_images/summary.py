"""What a run on real images leaves, and how it is shown.

Summary: ``training_images``, ``test_images``, ``digest`` (SHA-256 of them), ``scale`` (pixels of
one unit of an input), and for each network of
:data:`~simulator.experiments.real_images.config.PHASES`, as in ``summary["clean"]["accuracy"]``:

======================= =========================================================================
accuracy                on the held-out images; training_accuracy on those trained on
universal_accuracy      under one direction for all images, the mean gradient of the training set
transfer_accuracy       of a network from another initialisation under these perturbations
attacked_accuracy       under the strongest attack at tau
certified_accuracy      proved against any perturbation of length tau, on certified_samples images
bracket                 radius, certified, attacked, low, high, samples at each radius
high_frequency          share of the perturbations' energy at high frequencies
class_correlation       cosine of the perturbations with the way to the other class's mean
nearest_correlation     ... with the way to the nearest training image of the other class
spread                  share of the learned features over which a perturbation is spread
neuron_high_frequency   share of the neurons' energy at high frequencies
======================= =========================================================================

``purification`` and ``longer_purification`` tell of ``w = beta w' + v``, w' after adversarial and
after longer clean training: beta_positive, kept_over_removed (median of ``||beta w'|| / ||v||``),
kept_high_frequency and removed_high_frequency. ``levels`` has the high-frequency shares of the
images (images_high_frequency) and of white noise (noise_high_frequency). ``sparsity`` is about the
photographs: top_share, kurtosis, dependence, dependence_shuffled of
:func:`simulator.data.dictionaries.law_of_codes`, gaussian_top_share and gaussian_kurtosis of
Gaussian patches, psnr and gaussian_psnr of each rebuilt picture at each share of non-zeros.

History: phase, step, loss, loss_low and loss_high (its limits over the images of the step),
accuracy (on the held-out images).

Arrays: weights and bias of each network, weights_clean, ...; radii and curve_clean, ...; X, y and
delta_clean, ..., of the first images held out; universal_clean, ...; mean (d,); shape (height,
width, channels); pictures, rebuilt (pictures, shares, ...), atoms: the features of natural patches.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.data.dictionaries import Features
from simulator.experiments.real_images.config import PHASES, SECOND, ImageConfig
from simulator.experiments.real_images.experiment import RADII, SHARES, ImageExperiment
from simulator.experiments.real_images.measured import (along, high_frequency, nearest_other,
                                                        parts_of_neurons, spread)
from simulator.experiments.records import from_text, rows_of
from simulator.features import purification
from simulator.protocols import Batch
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import Table, by_network

__all__ = ["ROWS", "SHOWN", "current", "finished_run", "tables"]

SHOWN = 40  # images kept for the figures

ROWS = {"accuracy": "clean accuracy", "training_accuracy": "on the training images",
        "universal_accuracy": "under one direction for all",
        "transfer_accuracy": "of another network under these attacks",
        "attacked_accuracy": "under the strongest attack",
        "certified_accuracy": "certified against any",
        "high_frequency": "perturbation: high frequencies",
        "class_correlation": "... along the class means",
        "nearest_correlation": "... to the nearest other image",
        "spread": "... spread over features",
        "neuron_high_frequency": "neurons: high frequencies"}
SHARES_OF_IMAGES = tuple(ROWS)[:6]
SPARSITY = {"top_share": "energy in a tenth of the coefficients", "kurtosis": "kurtosis"}


def finished_run(experiment: ImageExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that the arrays of its stages make."""
    config, task = experiment.config, experiment.data
    test, shown = experiment.test_set, slice(0, SHOWN)
    features = Features(done["images"]["analysis"], done["images"]["synthesis"])
    summary: dict[str, Any] = {
        "training_images": len(task.training), "test_images": len(test), "scale": task.scale,
        "digest": experiment.digest}
    for phase in PHASES:
        summary[phase] = {**from_text(done[f"attacking {phase}"]["numbers"]),
                          **(from_text(done[f"certifying {phase}"]["numbers"])
                             if f"certifying {phase}" in done else {}),
                          **_looks(experiment, features, done, phase)}
    summary["purification"] = _purified(experiment, done, "adversarial")
    summary["longer_purification"] = _purified(experiment, done, "longer")
    summary["levels"] = {
        "images_high_frequency": float(high_frequency(task.test.X, task.shape).mean()),
        "noise_high_frequency": _noise_level(task.shape)}
    summary["sparsity"] = from_text(done["photographs"]["numbers"])
    arrays: Arrays = {"radii": RADII * config.tau, "bias": np.array(experiment.bias),
                      "X": test.X[shown], "y": test.y[shown], "mean": task.mean,
                      "shape": np.array(task.shape)}
    arrays |= {f"weights_{phase.replace(' ', '_')}": done[phase]["weights"]
               for phase in (*PHASES, *SECOND)}
    for phase in PHASES:
        found = done[f"attacking {phase}"]
        arrays |= {f"curve_{phase}": found["curve"], f"delta_{phase}": found["delta"][shown],
                   f"universal_{phase}": found["universal"]}
    pictures = done["photographs"]
    arrays |= {name: pictures[name] for name in ("pictures", "rebuilt")} | {
        "atoms": pictures["synthesis"].T}
    history = [{"phase": phase, **row} for phase in PHASES for row in rows_of(done[phase])]
    return Run(config, summary, history, arrays)


def _looks(experiment: ImageExperiment, features: Features, done: Mapping[str, Arrays],
           phase: str) -> dict[str, float]:
    """What the perturbations and the neurons of a network are like, means over all of them."""
    task, test = experiment.data, experiment.data.test
    delta = np.asarray(done[f"attacking {phase}"]["delta"], np.float64)
    moved = np.linalg.norm(delta, axis=1) > 0.0
    delta, batch = delta[moved], Batch(test.X[moved], test.y[moved])
    if not len(delta):
        return {}
    towards = -batch.y[:, None] * task.class_difference
    W = np.asarray(done[phase]["weights"], np.float64)
    marked, _, _ = parts_of_neurons(np.asarray(done["clean"]["weights"]), W)
    return {"high_frequency": float(high_frequency(delta, task.shape).mean()),
            "class_correlation": float(along(delta, towards).mean()),
            "nearest_correlation": float(along(delta, nearest_other(batch,
                                                                    task.training)).mean()),
            "spread": float(spread(delta, features).mean()),
            "neuron_high_frequency": float(np.nanmean(high_frequency(W[marked], task.shape)))}


def _purified(experiment: ImageExperiment, done: Mapping[str, Arrays],
              phase: str) -> dict[str, float]:
    clean, other = done["clean"]["weights"], done[phase]["weights"]
    marked, kept, removed = parts_of_neurons(clean, other)
    found = purification(clean, other, marked)
    return {"beta_positive": found["beta_positive"],
            "kept_over_removed": found["kept_over_removed"],
            "kept_high_frequency": float(np.nanmean(high_frequency(kept, experiment.data.shape))),
            "removed_high_frequency": float(np.nanmean(high_frequency(removed,
                                                                      experiment.data.shape)))}


def _noise_level(shape: tuple[int, int, int]) -> float:
    """The share of white noise's energy at high frequencies: that of all frequencies."""
    point = np.zeros((1, *shape))
    shares = []
    for row in range(shape[0]):  # the mean over all pictures of one point
        for column in range(shape[1]):
            point[...] = 0.0
            point[0, row, column] = 1.0
            shares.append(high_frequency(point, shape)[0])
    return float(np.mean(shares))


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words, whenever it was written."""
    return dict(summary)


def tables(config: ImageConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary: networks, neurons, photographs."""
    test = summary["test_images"]
    samples = dict.fromkeys(("accuracy", "universal_accuracy", "transfer_accuracy",
                             "attacked_accuracy", "high_frequency", "class_correlation",
                             "nearest_correlation", "spread"), test)
    samples |= {"training_accuracy": summary["training_images"],
                "certified_accuracy": min(config.certified_samples, test)}
    levels, sparsity = summary["levels"], summary["sparsity"]
    networks = by_network(
        f"{config.source}, {config.task}: held-out images; radius {config.tau:g}, where an image "
        f"is 1 long, is {config.tau * summary['scale']:.3g} in pixels from 0 to 1. Energy at high "
        f"frequencies: images {levels['images_high_frequency']:.3f}, white noise "
        f"{levels['noise_high_frequency']:.3f}",
        {phase: summary[phase] for phase in PHASES}, ROWS, samples, SHARES_OF_IMAGES)
    parts = Table(
        "w = beta w' + v, w' after more training: length of beta w' over that of v, and the "
        "energy of each at high frequencies", ("beta w' / v", "beta w'", "v"),
        tuple((label, tuple(summary[key][name] for name in (
            "kept_over_removed", "kept_high_frequency", "removed_high_frequency")))
            for label, key in (("adversarial", "purification"),
                               ("longer", "longer_purification"))))
    photographs = Table(
        "patches of photographs in a learned dictionary, and Gaussian ones; dependence of two "
        f"coefficients {sparsity['dependence']:.3f} (shuffled "
        f"{sparsity['dependence_shuffled']:.3f})", ("photographs", "Gaussian"),
        tuple((label, (sparsity[name], sparsity[f"gaussian_{name}"]))
              for name, label in SPARSITY.items())
        + tuple((f"PSNR at {100.0 * share:.2f} % non-zeros",
                 tuple(float(np.mean([row[place] for row in sparsity[name]]))
                       for name in ("psnr", "gaussian_psnr")))
                for place, share in enumerate(SHARES)))
    return [networks, parts, photographs]
