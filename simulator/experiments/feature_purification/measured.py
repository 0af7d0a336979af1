"""What is measured of a network along its training, and when it is trained.

A data model without features, or a network whose weights are no neurons in input space, has no
mixtures: what speaks of them is left out then.
"""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.reach import within_reach
from simulator.attacks.worst_case import strongest_case, which_break, worst_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.features import (Decomposition, correlations, cosines, feature_metrics, gate_rate,
                                mixture_metrics, purification)
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Network

__all__ = ["Rows", "attacked", "linear_radii", "neurons_of", "perturbations"]

HISTORY_SAMPLES = 250  # a row is one point of a curve: its standard error is .03 at most
CORRELATION_SAMPLES = 200  # enough for a mean over all neurons, and small beside the weights
SHOWN_PERTURBATIONS = 64


def neurons_of(experiment: PurificationExperiment, network: Network) -> Decomposition | None:
    """Return the parts of the network's neurons, or None where there are none to speak of."""
    shape = network.weights.shape
    if not experiment.has_features or len(shape) != 2 or shape[1] != len(
            experiment.data.signs):
        return None
    return experiment.parts_of(network)


class Rows:
    """The rows of the history: every quantity of the paper, along one phase of training.

    Accuracies and the gate rate are over the first samples of the test set, HISTORY_SAMPLES of
    them; in the last row of the phase over all, as in the summary.

    Parameters
    ----------
    experiment : PurificationExperiment
    initial : ndarray, shape (m, d)
        Weights before training.
    clean : ndarray, shape (m, d), or None
        Weights after clean training, in the adversarial phase.
    """

    def __init__(self, experiment: PurificationExperiment, initial: np.ndarray,
                 clean: np.ndarray | None) -> None:
        self.experiment, self.initial, self.clean = experiment, initial, clean

    def at(self, step: int, loss: float, network: Network, is_last: bool) -> dict[str, Any]:
        """Return the row of a network as it is after ``step`` steps."""
        experiment = self.experiment
        quick, _ = _quick_and_others(experiment.adversary)
        test = experiment.test_set if is_last else experiment.test_set[:HISTORY_SAMPLES]
        found = worst_case(network, test, quick)
        parts = neurons_of(experiment, network)
        return {"step": step, "phase": "clean" if self.clean is None else "adversarial",
                "bias": getattr(network, "bias", float("nan")), "loss": loss,
                "accuracy": found.accuracy("clean"),
                **{f"{name}_accuracy": found.accuracy(name) for name in quick.attacks},
                **({} if parts is None else self._of_neurons(network, parts, test))}

    def _of_neurons(self, network: Network, parts: Decomposition,
                    test: Batch) -> dict[str, float]:
        experiment, marked = self.experiment, parts.is_feature_neuron
        few = experiment.test_set[:CORRELATION_SAMPLES]
        if self.clean is None:
            change = dict.fromkeys(("beta", "beta_positive", "kept_over_removed"), float("nan"))
        else:
            change = purification(self.clean, network.weights, self._clean_feature_neurons)
        cosine = cosines(network.weights, self.initial, marked).mean()
        return {**feature_metrics(parts), **_gates(network, parts, test),
                **correlations(parts, few.X, few.y, experiment.data.dictionary),
                "cosine_to_initial": float(cosine), **change}

    @cached_property
    def _clean_feature_neurons(self) -> np.ndarray:
        return self.experiment.parts_of(self.clean).is_feature_neuron


def _quick_and_others(adversary: Adversary) -> tuple[Adversary, Adversary]:
    """The attacks of one step, whose accuracies are reported, and all the others."""
    quick = {name: attack for name, attack in adversary.attacks.items()
             if name in ("universal", "fgm")}
    others = {name: attack for name, attack in adversary.attacks.items() if name not in quick}
    return replace(adversary, attacks=quick, strong={}), replace(adversary, attacks=others)


def _gates(network: Network, parts: Decomposition, test: Batch) -> dict[str, float]:
    if not isinstance(network, SymmetricReLU):
        return {}
    return {"gate_rate": gate_rate(network, test.X, parts.is_feature_neuron)}


def attacked(experiment: PurificationExperiment, network: Network) -> dict[str, Any]:
    """Return the accuracies of a network at radius tau, and what its neurons are made of.

    ``attacked_accuracy`` is the worst of all attacks, strong ones too; ``zero_gradients`` the
    share of samples at which FGM saw none.
    """
    test, adversary = experiment.test_set, experiment.adversary
    near = within_reach(network, test.X, experiment.ball)
    quick, others = _quick_and_others(adversary)
    found = worst_case(near, test, quick)
    left = np.flatnonzero(found.margins > 0.0)
    if len(left):
        left = left[~which_break(near, test[left], others, strong=True)]
    numbers: dict[str, Any] = {
        "accuracy": found.accuracy("clean"),
        **{f"{name}_accuracy": found.accuracy(name) for name in quick.attacks},
        "attacked_accuracy": len(left) / len(test),
        "zero_gradients": found.zero_gradients["fgm"] / len(test)}
    parts = neurons_of(experiment, network)
    if parts is not None:
        metrics = feature_metrics(parts)
        numbers |= {name: metrics[name] for name in ("mixture_ratio", "purity", "coverage")}
        numbers |= _gates(network, parts, test)
        numbers["mixtures"] = mixture_metrics(parts)
    return numbers


def perturbations(experiment: PurificationExperiment, network: Network) -> np.ndarray:
    """Return the strongest perturbations at tau of the first samples, in dictionary coordinates.

    Returns
    -------
    ndarray, shape (64, d)
    """
    shown = experiment.test_set[:SHOWN_PERTURBATIONS]
    delta = strongest_case(within_reach(network, shown.X, experiment.ball), shown,
                           experiment.adversary).delta
    dictionary = getattr(experiment.data, "dictionary", None)
    return delta if dictionary is None else delta @ dictionary


def linear_radii(experiment: PurificationExperiment) -> np.ndarray:
    """Return the exact critical radii of the linear classifier ``sign <M w*, x>``, shape (n,)."""
    test = experiment.test_set
    return LinearClassifier(experiment.data.dense_direction).critical_radii(
        test.X, test.y, experiment.ball)
