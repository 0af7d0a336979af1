"""What is measured of a network along its training, and when it is trained.

A data model without features, or a network whose weights are no neurons in input space, has no
mixtures: what speaks of them is left out then.
"""

from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.worst_case import WorstCase, strongest_case, worst_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import (Decomposition, correlations, cosines, feature_metrics, gate_rate,
                                purification)
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Network

__all__ = ["attacked", "linear_radii", "neurons_of", "perturbations", "row"]

CORRELATION_SAMPLES = 200  # enough for a mean over all neurons, and small beside the weights
SHOWN_PERTURBATIONS = 64


def neurons_of(experiment: PurificationExperiment, network: Network) -> Decomposition | None:
    """Return the parts of the network's neurons, or None where there are none to speak of."""
    shape = network.weights.shape
    if not experiment.has_features or len(shape) != 2 or shape[1] != len(
            experiment.data.signs):
        return None
    return experiment.parts_of(network)


def row(experiment: PurificationExperiment, step: int, loss: float, network: Network,
        initial: np.ndarray, clean: np.ndarray | None) -> dict[str, Any]:
    """Return one row of the history: every quantity of the paper at this step.

    Parameters
    ----------
    experiment : PurificationExperiment
    step : int
    loss : float
    network : Network
        As it is after ``step`` steps.
    initial : ndarray, shape (m, d)
        Weights before training.
    clean : ndarray, shape (m, d), or None
        Weights after clean training, in the adversarial phase.
    """
    adversary, test = experiment.adversary, experiment.test_set
    quick = {name: attack for name, attack in adversary.attacks.items()
             if name in ("universal", "fgm")}
    found = worst_case(network, test, Adversary(experiment.ball, quick, seed=adversary.seed,
                                                chunk=adversary.chunk))
    parts = neurons_of(experiment, network)
    return {"step": step, "phase": "clean" if clean is None else "adversarial",
            "bias": getattr(network, "bias", float("nan")), "loss": loss,
            "accuracy": found.accuracy("clean"),
            **{f"{name}_accuracy": found.accuracy(name) for name in quick},
            **({} if parts is None else _of_neurons(experiment, network, parts, initial, clean))}


def _of_neurons(experiment: PurificationExperiment, network: Network, parts: Decomposition,
                initial: np.ndarray, clean: np.ndarray | None) -> dict[str, float]:
    test, few = experiment.test_set, slice(CORRELATION_SAMPLES)
    marked = parts.is_feature_neuron
    if clean is None:
        change = dict.fromkeys(("beta", "beta_positive", "kept_over_removed"), float("nan"))
    else:
        before = experiment.parts_of(clean)
        change = purification(clean, network.weights, before.is_feature_neuron)
    return {**feature_metrics(parts), **_gates(experiment, network, parts),
            **correlations(parts, test.X[few], test.y[few], experiment.data.dictionary),
            "cosine_to_initial": float(cosines(network.weights, initial)[marked].mean()),
            **change}


def _gates(experiment: PurificationExperiment, network: Network,
           parts: Decomposition) -> dict[str, float]:
    if not isinstance(network, SymmetricReLU):
        return {}
    return {"gate_rate": gate_rate(network, experiment.test_set.X, parts.is_feature_neuron)}


def attacked(experiment: PurificationExperiment, network: Network) -> dict[str, Any]:
    """Return the accuracies of a network at radius tau, and what its neurons are made of.

    ``attacked_accuracy`` is the worst of all attacks, strong ones too; ``zero_gradients`` the
    share of samples at which FGM saw none.
    """
    found: WorstCase = strongest_case(network, experiment.test_set, experiment.adversary)
    single = [name for name in ("universal", "fgm") if name in found.margins_of]
    numbers = {"accuracy": found.accuracy("clean"),
               **{f"{name}_accuracy": found.accuracy(name) for name in single},
               "attacked_accuracy": found.accuracy(),
               "zero_gradients": found.zero_gradients["fgm"] / len(experiment.test_set)}
    parts = neurons_of(experiment, network)
    if parts is not None:
        metrics = feature_metrics(parts)
        numbers |= {name: metrics[name] for name in ("mixture_ratio", "purity", "coverage")}
        numbers |= _gates(experiment, network, parts)
    return numbers


def perturbations(experiment: PurificationExperiment, network: Network) -> np.ndarray:
    """Return the strongest perturbations at tau of the first samples, in dictionary coordinates.

    Returns
    -------
    ndarray, shape (64, d)
    """
    delta = strongest_case(network, experiment.test_set[:SHOWN_PERTURBATIONS],
                           experiment.adversary).delta
    dictionary = getattr(experiment.data, "dictionary", None)
    return delta if dictionary is None else delta @ dictionary


def linear_radii(experiment: PurificationExperiment) -> np.ndarray:
    """Return the exact critical radii of the linear classifier ``sign <M w*, x>``, shape (n,)."""
    test = experiment.test_set
    return LinearClassifier(experiment.data.dense_direction).critical_radii(
        test.X, test.y, experiment.ball)
