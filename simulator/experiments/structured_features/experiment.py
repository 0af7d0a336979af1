"""The objects of a patch run, and what is read off its networks and perturbations.

The model of Li & Li (arXiv 2410.08503): patches with a robust feature ``u_y`` and a non-robust
one ``v_y`` of each class, a convolutional network with a smoothed ReLU, and perturbations of every
patch within a ball of radius epsilon.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import EraseAndWrite
from simulator.attacks.gradient import PGD, Ascent
from simulator.attacks.paired import PairedPatchSearch
from simulator.attacks.patches import PatchSearch
from simulator.attacks.suites import patch_attacks
from simulator.attacks.through import InSpan
from simulator.attacks.worst_case import worst_case
from simulator.balls import LinfBall, PatchL2Ball
from simulator.data.batches import TrainingSet
from simulator.data.patches import PatchData, random_features
from simulator.experiments.parts import require_kind, require_parts
from simulator.experiments.structured_features.config import TRAININGS, StructuredConfig
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.protocols import Attack, Batch, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["StructuredExperiment", "Training", "correlations", "of_classes",
           "parts_of", "squares_along"]

SHOWN_PERTURBATIONS = 16


class Training(NamedTuple):
    """One of the trainings of a run.

    Attributes
    ----------
    name : str
        Out of :data:`~simulator.experiments.structured_features.config.TRAININGS`.
    first, last : int
        Its steps are ``first <= step < last``.
    origin : str or None
        The training whose network it goes on from; None is the random network.
    """

    name: str
    first: int
    last: int
    origin: str | None


class StructuredExperiment:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : StructuredConfig
    network, data, attack : objects or None
        In the place of those of the config: the network is copied before it is trained, and the
        attack is the one trained against.

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together, a network or data of another kind, parts for races.
    """

    def __init__(self, config: StructuredConfig, *, network: Network | None = None,
                 data: DataModel | None = None, attack: Attack | None = None) -> None:
        require_parts(network=network, data=data, attack=attack)
        self.given = require_kind("network", network, SmoothedReLUCNN,
                                  "what it learns is read off its filters")
        self.data = require_kind("data", data, PatchData,
                                 "what is learned are its features") or _data(config)
        if config.races and (network, data, attack) != (None, None, None):
            raise ValueError("races: expected 0 beside a network, data or an attack, got "
                             f"{config.races}: races make their own")
        self.config = config
        self.dtype = np.dtype(config.dtype)
        self.given_attack = attack
        self.ball = (PatchL2Ball if config.norm == "l2" else LinfBall)(config.epsilon)
        balanced = config.training_labels == "balanced"
        self.batches = TrainingSet(replace(self.data, balanced=balanced), config.training_samples,
                                   config.training_samples, config.seed, self.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)

    @cached_property
    def features(self) -> np.ndarray:
        """u and then v of all classes, shape (2 K, d)."""
        return np.concatenate([self.data.robust_features, self.data.nonrobust_features])

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose worst case is the attacked accuracy."""
        attacks = patch_attacks(self.data.robust_features, self.data.nonrobust_features,
                                ascent=self.config.ascent_size, steps=self.config.attack_steps,
                                paired=self.config.patch_search == "paired")
        if self.config.norm == "linf":
            attacks["erase_and_write"] = self.published
        return attacks

    @property
    def published(self) -> EraseAndWrite:
        """The paper's perturbation; only an l_inf ball has room for it."""
        return EraseAndWrite(self.data.nonrobust_features, self.data.beta)

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return Adversary(self.ball, self.attacks, seed=self.config.seed,
                         chunk=self.config.evaluation_chunk)

    def attack(self, network: SmoothedReLUCNN) -> dict[str, np.ndarray]:
        """Attack a network on the test set.

        Returns
        -------
        dict
            ``margins_<attack>``, ``margins_clean`` and ``margins_strongest`` (n,), and of the
            strongest perturbations of the first samples ``parts`` (16, P, 5) and ``along_v``
            (16, P), squared lengths along all features v. Beside them, and no part
            of the strongest: the paper's perturbation as it is, ``margins_erase_and_write`` (in
            cubes one of the attacks too), and the feature-only samples, ``margins_on_robust`` and
            ``margins_on_nonrobust``.
        """
        test, few = self.test_set, slice(SHOWN_PERTURBATIONS)
        worst = worst_case(network, test, self.adversary)
        written = self.published.perturb(network, test.X, test.y, self.ball).delta
        beside = {"erase_and_write": test.X + written, "on_robust": self.data.robust_only(test.X),
                  "on_nonrobust": self.data.nonrobust_only(test.X)}
        return {f"margins_{name}": network.margins(X, test.y) for name, X in beside.items()} | {
                "margins_strongest": worst.margins,
                "parts": parts_of(worst.delta[few], test.y[few], self.data),
                "along_v": squares_along(worst.delta[few], self.data.nonrobust_features)} | {
            f"margins_{attack}": margins for attack, margins in worst.margins_of.items()}

    def initial_network(self) -> SmoothedReLUCNN:
        """The network before training."""
        config = self.config
        if self.given is not None:
            return copy.deepcopy(self.given)
        return SmoothedReLUCNN.initialise(
            config.classes, config.m, config.d, config.init_scale, config.q, config.rho,
            stream(config.seed, Role.INITIALISATION), self.dtype)

    def network(self, weights: np.ndarray) -> SmoothedReLUCNN:
        """A network of this run with given weights, which are kept, not copied."""
        model = self.config if self.given is None else self.given
        return SmoothedReLUCNN(weights, model.q, model.rho)

    def network_of(self, phase: str, arrays: Mapping[str, np.ndarray]) -> SmoothedReLUCNN:
        """A network of a finished run, from its arrays: a training, or "start"."""
        return self.network(np.array(arrays[f"weights_{phase}"]))

    def trainings(self) -> list[Training]:
        """The trainings that take place.

        The adversarial ones go on one from the other and share one count of steps, and so never
        a random stream.
        """
        taken: list[Training] = []
        step, origin = 0, None
        for name in TRAININGS:
            length = getattr(self.config, f"{name}_steps")
            if length and name == "standard":
                taken.append(Training(name, 0, length, None))
            elif length:
                taken.append(Training(name, step, step + length, origin))
                step, origin = step + length, name
        return taken

    def training_adversary(self, name: str) -> Adversary | None:
        """Who attacks in a training; None in standard training."""
        steps = self.config.inner_steps
        attacks: dict[str, Attack] = {
            "one_step": Ascent(self.config.ascent_size), "pgd": InSpan(PGD(steps, ("random",))),
            "multi_start": self._patch_search(steps)}
        attack = attacks.get(name)
        return None if attack is None else Adversary(
            self.ball, {name: self.given_attack or attack})

    def learning_rates(self, training: Training) -> list[tuple[int, float]]:
        """The etas of a training in order, each with the step at which it ends."""
        config = self.config
        if training.name in ("standard", "one_step"):
            return [(training.last, config.learning_rate)]
        late = config.late_learning_rate if training.name == "multi_start" else 0.0
        turn = min(training.first + config.late_after, training.last) if late else training.last
        rates = [(turn, config.fine_learning_rate), (training.last, late)]
        return [(last, rate) for last, rate in rates if rate and last > training.first]

    def _patch_search(self, steps: int) -> Attack:
        restarts = self.config.restarts
        if self.config.patch_search == "paired":
            return PairedPatchSearch(steps=steps, starts=restarts + 1)
        return PatchSearch(steps=steps, restarts=restarts)


def _data(config: StructuredConfig) -> PatchData:
    features = None
    if config.features == "random":
        features = random_features(config.classes, config.d, stream(config.seed, Role.DICTIONARY))
    return PatchData(config.d, np.full(config.robust_patches, config.alpha),
                     np.full(config.nonrobust_patches, config.beta), config.classes,
                     config.jitter, config.noise, features)


def correlations(network: SmoothedReLUCNN, data: PatchData) -> dict[str, float]:
    """Return what the network has learned of the features, as means over classes.

    ``u`` is ``max_r <w_ir, u_i>``, ``v`` is ``max_r <w_ir, v_i>``, and ``against_v``
    ``min_r <w_ir, v_j>`` for j != i: how strongly a class is inhibited by another one's feature.
    """
    return {name: float(classes.mean()) for name, classes in of_classes(
        network.weights, data.robust_features, data.nonrobust_features).items()}


def of_classes(weights: np.ndarray, robust: np.ndarray,
               nonrobust: np.ndarray) -> dict[str, np.ndarray]:
    """Return what :func:`correlations` gives the means of: one number a class, or a pair of them.

    Parameters
    ----------
    weights : ndarray, shape (K, m, d)
    robust, nonrobust : ndarray, shape (K, d)
        The features u and v.
    """
    onto_u = np.einsum("ird,jd->ijr", weights, robust)
    onto_v = np.einsum("ird,jd->ijr", weights, nonrobust)
    own, others = np.arange(len(weights)), ~np.eye(len(weights), dtype=bool)
    return {"u": onto_u[own, own].max(axis=1), "v": onto_v[own, own].max(axis=1),
            "against_v": onto_v.min(axis=2)[others]}


def parts_of(delta: np.ndarray, y: np.ndarray, data: PatchData) -> np.ndarray:
    """Decompose perturbations patch by patch.

    Parameters
    ----------
    delta : ndarray, shape (n, P, d)
    y : ndarray, shape (n,)
    data : PatchData

    Returns
    -------
    ndarray, shape (n, P, 5)
        Along -u_y, along the u_j it goes along most, along -v_y, along the v_j it goes along
        most (j != y), and the length of the rest, with it of what lies along the other features.
    """
    parts = np.empty((*delta.shape[:2], 5))
    rows = np.arange(len(y))
    rest = delta.astype(np.float64)
    for place, features in ((0, data.robust_features), (2, data.nonrobust_features)):
        along = delta @ features.T
        own = along[rows, :, y]
        along[rows, :, y] = -np.inf
        most = along.argmax(axis=2)
        parts[..., place] = -own
        parts[..., place + 1] = np.take_along_axis(along, most[..., None], axis=2)[..., 0]
        rest -= own[..., None] * features[y][:, None]
        rest -= parts[..., place + 1, None] * features[most]
    parts[..., 4] = np.linalg.norm(rest, axis=2)
    return parts


def squares_along(delta: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return the squared length along all of some orthonormal features, patch by patch.

    Parameters
    ----------
    delta : ndarray, shape (n, P, d)
    features : ndarray, shape (K, d)

    Returns
    -------
    ndarray, shape (n, P)
    """
    along: np.ndarray = (delta @ features.T).astype(np.float64) ** 2
    return along.sum(axis=2)
