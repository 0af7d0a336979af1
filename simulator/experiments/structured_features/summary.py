"""What a patch run leaves, and how it is shown.

Summary, for each training t in "standard", "one_step", "pgd", "multi_start":

=================== =============================================================================
kappa               ``sum beta^q / sum alpha^q``
tau                 radius of every patch's ball; the paper's epsilon
certified_samples   how many samples the certificates are about
t.u, t.v            correlations, see
t.against_v         :func:`~simulator.experiments.structured_features.experiment.correlations`
t.accuracy          on the test samples as they are
t.<attack>          accuracy under each attack
t.attacked_accuracy under the worst of them, sample by sample
t.erase_and_write   under the paper's perturbation as it is, ``-beta_p v_y + eps v_t``; an l2 ball
                    has no room for it, so there it is no part of the worst
t.on_robust, t.on_nonrobust
                    on the robust or the non-robust patches of the samples alone, D_R and D_NR
t.certified_accuracy, t.certified_radius
                    share of the first samples that are certified at tau; the largest radius met
                    at which .9 of them are (0 where fewer are right at all)
=================== =============================================================================

History: rows of training, step, loss, loss_low and loss_high (its limits over the samples of the
step), u, v, against_v.

Arrays: weights_start, weights_t (K, m, d); margins_t_<attack>, margins_t_clean and
margins_t_strongest (n,); margins_t_certified (few,), lower bounds; parts_t (16, P, 5), see
:func:`~simulator.experiments.structured_features.experiment.parts_of`; along_v_t (16, P), squared
lengths of the same perturbations along all features v; labels (n,); features (2 K, d).

A run with races has in its summary the transition fitted to them (midpoint, width; None where one
feature won everywhere), the one expected from their starts (predicted_midpoint, predicted_width),
the share of outcomes predicted_rightly, and the number of races at each kappa; in its history
kappa, v_wins, v_should_win; and arrays kappas (points,), races (points, races, K, 4).

A run with spectrum points has in its summary the radius at which u overtakes v for good, over beta
(overtaken_from; None: nowhere or everywhere); in its history epsilon and the columns of
:data:`~simulator.experiments.structured_features.spectrum.COLUMNS`; and arrays epsilons (points,),
spectrum (points, columns); as limits u and v (2, points), the smallest and the largest over the
classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.experiments.jackknife import exact_loss
from simulator.experiments.records import rows_of
from simulator.experiments.structured_features.config import TRAININGS, StructuredConfig
from simulator.experiments.structured_features.experiment import (StructuredExperiment, Training,
                                                                  correlations)
from simulator.experiments.structured_features.races import (Transition, first_feature,
                                                             fit_transition, kappas)
from simulator.experiments.structured_features.spectrum import COLUMNS, overtaken_from, radii
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import Table, by_network

__all__ = ["NETWORKS", "ROWS", "accuracies", "current", "race_run", "spectrum_run", "tables",
           "trainings_run"]

# Keys of a network's numbers, and of the numbers of the run, in the order they are shown in.
ROWS = {"accuracy": "clean accuracy", "one_step_attack": "under one ascent step",
        "full_length_step": "under one step of full length", "pgd": "under PGD",
        "along_v": "under swaps of the features v", "along_u": "under swaps of the features u",
        "mixed_features": "under mixtures of features", "patch_by_patch": "under patchwise search",
        "attacked_accuracy": "under the strongest attack",
        "erase_and_write": "under -beta v_y + eps v_t, as it is",
        "on_robust": "on robust patches alone", "on_nonrobust": "on non-robust patches alone",
        "certified_accuracy": "certified against ANY attack",
        "certified_radius": "certified radius (of .9)", "u": "robust feature learned",
        "v": "non-robust feature learned", "against_v": "other class' v held against",
        "kappa": "kappa", "tau": "tau", "certified_samples": "certified samples",
        "midpoint": "midpoint of the transition", "width": "its width in log kappa",
        "predicted_midpoint": "midpoint from the starts",
        "predicted_width": "width from the starts",
        "predicted_rightly": "outcomes predicted", "races": "races at each kappa",
        "overtaken_from": "u above v from this epsilon / beta", "points": "radii"}
ON_TEST_SAMPLES = tuple(ROWS)[:12]  # clean, each attack, the worst; what is beside them
ON_CERTIFIED_SAMPLES = ("certified_accuracy", "certified_radius")
NETWORKS = {"standard": "standard", "one_step": "one step", "pgd": "PGD",
            "multi_start": "multi-start"}
EARLIER = {"clean": "accuracy", "strongest_attack": "attacked_accuracy",
           "certified": "certified_accuracy", "epsilon": "tau"}


def trainings_run(experiment: StructuredExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that the arrays of its stages make."""
    config = experiment.config
    summary: dict[str, Any] = {"kappa": config.kappa, "tau": config.epsilon,
                               "certified_samples": config.certified_samples}
    arrays = {"weights_start": experiment.initial_network().weights,
              "labels": experiment.test_set.y, "features": experiment.features}
    history: list[dict[str, Any]] = []
    for training in experiment.trainings():
        name = training.name
        attacked, proved = done[f"attacking {name}"], done.get(f"certifying {name}")
        history += _history(experiment, training, done[name])
        network = experiment.network(done[name]["weights"])
        summary[name] = correlations(network, experiment.data) | accuracies(attacked)
        if proved is not None:
            summary[name] |= {"certified_accuracy": float(np.mean(proved["margins"] > 0.0)),
                              "certified_radius": float(proved["radius"])}
            arrays[f"margins_{name}_certified"] = proved["margins"]
        arrays |= {f"weights_{name}": network.weights, f"parts_{name}": attacked["parts"],
                   f"along_v_{name}": attacked["along_v"]}
        arrays |= {f"margins_{name}_{attack}": attacked[f"margins_{attack}"]
                   for attack in ("clean", *experiment.attacks, "strongest")}
    return Run(config, summary, history, arrays)


def _history(experiment: StructuredExperiment, training: Training,
             trained: Arrays) -> list[dict[str, Any]]:
    """The rows of a training; those that begin at step 0 begin with the random network."""
    rows = rows_of(trained)
    if training.first == 0:
        start = correlations(experiment.initial_network(), experiment.data)
        blind = exact_loss(float(np.log(experiment.config.classes)))
        rows.insert(0, {"step": 0, **blind, **start})
    return [{"training": training.name, **row} for row in rows]


def accuracies(attacked: Arrays) -> dict[str, float]:
    """Return the shares of positive margins: clean, under each attack and under the worst.

    Parameters
    ----------
    attacked : dict
        Of :meth:`StructuredExperiment.attack`.
    """
    words = {"clean": "accuracy", "strongest": "attacked_accuracy"}
    shares = {}
    for key, margins in attacked.items():
        attack = key.removeprefix("margins_")
        if attack != key:
            shares[words.get(attack, attack)] = float(np.mean(margins > 0.0))
    return {key: shares[key] for key in ROWS if key in shares}


def race_run(config: StructuredConfig, races: np.ndarray) -> Run:
    """Return the run that races make, shape (kappa_points, races, K, 4)."""
    points = kappas(config)
    wins = races[..., 1] > races[..., 0]
    predicted = first_feature(points, races[..., 2:], config.q)
    met, expected = (_fitted(points, outcome) for outcome in (wins, predicted))
    summary = {"midpoint": met[0], "width": met[1], "predicted_midpoint": expected[0],
               "predicted_width": expected[1],
               "predicted_rightly": float(np.mean(wins == predicted)), "races": wins[0].size}
    history = [{"kappa": float(kappa), "v_wins": float(share.mean()),
                "v_should_win": float(should.mean())}
               for kappa, share, should in zip(points, wins, predicted)]
    return Run(config, summary, history, {"kappas": points, "races": races})


def spectrum_run(config: StructuredConfig, spectrum: np.ndarray,
                 over_classes: np.ndarray | None = None) -> Run:
    """Return the run that trainings at many radii make, shape (spectrum_points, columns).

    ``over_classes`` (spectrum_points, 2, 2): of u and v the smallest and the largest.
    """
    epsilons = radii(config)
    history = [{"epsilon": float(epsilon), **dict(zip(COLUMNS, row.tolist()))}
               for epsilon, row in zip(epsilons, spectrum)]
    summary = {"kappa": config.kappa, "points": len(epsilons),
               "overtaken_from": overtaken_from(epsilons / config.beta, spectrum)}
    limits = {} if over_classes is None else {
        name: over_classes[:, place].T for place, name in enumerate(("u", "v"))}
    return Run(config, summary, history, {"epsilons": epsilons, "spectrum": spectrum},
               limits=limits)


def _fitted(points: np.ndarray, wins: np.ndarray) -> tuple[float | None, float | None]:
    """Midpoint and width, or None where one feature won everywhere."""
    fit: Transition = fit_transition(points, wins.reshape(len(points), -1))
    return (fit.midpoint, fit.width) if np.isfinite(fit.midpoint) else (None, None)


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words, whenever it was written."""
    renamed: dict[str, Any] = {}
    for key, value in summary.items():
        key = EARLIER.get(key, key)
        if isinstance(value, Mapping):
            renamed[key] = current(value)
        else:
            renamed[key] = None if isinstance(value, float) and np.isnan(value) else value
    return renamed


def tables(config: StructuredConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary."""
    if "overtaken_from" in summary:
        return [Table("one-step training at every radius", ("all radii",), tuple(
            (ROWS[key], (summary[key],)) for key in ("overtaken_from", "points")))]
    if "midpoint" in summary:
        races = Table("races between the two features", ("all races",), tuple(
            (ROWS[key], (summary[key],)) for key in ROWS if key in summary))
        return [races]
    networks = {NETWORKS[name]: summary[name] for name in TRAININGS if name in summary}
    samples = (dict.fromkeys(ON_TEST_SAMPLES, config.test_samples)
               | dict.fromkeys(ON_CERTIFIED_SAMPLES, config.certified_samples))
    return [by_network(
        f"kappa = {summary['kappa']:.4g}   tau = {summary['tau']:.4g} a patch   certified: the "
        f"first {config.certified_samples} of {config.test_samples} samples", networks, ROWS,
        samples, (*ON_TEST_SAMPLES, "certified_accuracy"))]
