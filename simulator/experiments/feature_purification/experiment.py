"""The objects of a purification run: data, network, training, and who attacks it.

The run of Allen-Zhu & Li (arXiv 2005.10190): train on clean samples, look at the network, go on
with adversarial samples from the same weights and with the same bias, look again.
"""

import copy
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import sharp_attacks, standard_attacks
from simulator.balls import ball_of
from simulator.bias_schedules import LinearThenConstant, TrackingNorm
from simulator.data.batches import FreshBatches, TrainingSet
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.features import Decomposition, decompose
from simulator.low_complexity import RADII, LearnerTask
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Batch, Batches, BiasSchedule, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["PHASES", "PurificationExperiment"]

PHASES = ("clean", "adversarial")


class PurificationExperiment:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : PurificationConfig
    network : Network or None
        In the place of the config's: a copy of it is trained.
    data : DataModel or None
        In the place of the config's. One without features (``dense_direction``, ``dictionary``,
        ``signs``) is attacked and measured as far as that goes without them.
    attack : Attack or None
        Trained against in the place of the config's.

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together, or a part that lacks what it must have.
    """

    def __init__(self, config: PurificationConfig, *, network: Network | None = None,
                 data: DataModel | None = None, attack: Attack | None = None) -> None:
        for name, part, method in (("network", network, "gradient_step"),
                                   ("data", data, "sample"), ("attack", attack, "perturb")):
            if part is not None and (isinstance(part, type) or not hasattr(part, method)):
                raise TypeError(f"{name}: expected an object with a method {method}, got {part!r}: "
                                "see simulator.protocols")
        self.config = config
        self.dtype = np.dtype(config.dtype)
        self.data: Any = self._data() if data is None else data
        self.ball = ball_of(config.norm, config.tau)
        self.training_attack: Attack = attack or (
            FGM() if config.training_attack == "fgm" else PGD(config.training_pgd_steps))
        self.given = network
        self.has_replacements = any(part is not None for part in (network, data, attack))

    def _data(self) -> SparseCoding:
        config = self.config
        dictionary = labeler = None
        if config.dictionary == "random":
            dictionary = random_dictionary(config.d, stream(config.seed, Role.DICTIONARY))
        if config.labeler == "signs":
            labeler = random_signs(config.d, stream(config.seed, Role.LABELER))
        return config.sparse_coding(dictionary, labeler)

    @property
    def has_features(self) -> bool:
        """Whether the data model says what its features are."""
        return all(hasattr(self.data, name) for name in ("dense_direction", "dictionary", "signs"))

    @cached_property
    def batches(self) -> Batches:
        """Training samples: fresh ones, or a finite set."""
        config = self.config
        if config.training_samples == 0:
            return FreshBatches(self.data, config.batch_size, config.seed, self.dtype)
        return TrainingSet(self.data, config.training_samples, config.batch_size, config.seed,
                           self.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        samples: Batch = self.data.sample(
            self.config.test_samples, stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)
        return samples

    @cached_property
    def certified_set(self) -> Batch:
        """The first of them, for which robustness is also certified."""
        return self.test_set[:self.config.bracket_samples]

    @cached_property
    def attacks(self) -> Mapping[str, Attack]:
        """The attacks whose worst case is "attacked accuracy"."""
        return self.adversary.attacks

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation: a ball of radius tau, the attacks, and strong ones for
        what they leave.
        """
        config, data = self.config, self.data
        if not self.has_features:
            return Adversary(self.ball, strong={"adaptive": sharp_attacks()["adaptive"]},
                             seed=config.seed, chunk=config.evaluation_chunk)
        return Adversary(self.ball, standard_attacks(data.dense_direction),
                         strong=sharp_attacks(data.dictionary), seed=config.seed,
                         chunk=config.evaluation_chunk)

    @cached_property
    def schedule(self) -> BiasSchedule | None:
        """The bias schedule of the clean phase; None for a given network."""
        config = self.config
        if self.given is not None:
            return None
        if config.bias_schedule == "tracking":
            return TrackingNorm(config.bias_scale)
        growth = self.data.growth_rate(stream(config.seed, Role.CALIBRATION))
        return LinearThenConstant(
            start=config.bias_scale * math.sqrt(math.log(config.d)) * config.init_scale,
            slope=config.bias_growth * config.learning_rate * growth, maximum=config.bias_max)

    def initial_network(self) -> Any:
        """The network before training."""
        network = self._start()
        if self.schedule is not None:
            network.bias = self.schedule.bias(0, network)
        return network

    def initial_weights(self) -> np.ndarray:
        """Its weights alone: they need no estimate of the growth, which the bias may."""
        weights: np.ndarray = self._start().weights
        return weights

    def _start(self) -> Any:
        config = self.config
        if self.given is not None:
            return copy.deepcopy(self.given)
        return SymmetricReLU.initialise(
            config.m, config.d, config.init_scale, stream(config.seed, Role.INITIALISATION),
            smoothing=config.smoothing, sampled_smoothing=config.smoothing_mode == "sampled",
            dtype=self.dtype)

    def network(self, weights: np.ndarray, bias: float) -> Any:
        """A network of this run with given weights."""
        if self.given is None:
            return SymmetricReLU(weights, bias, self.config.smoothing,
                                 self.config.smoothing_mode == "sampled")
        network = copy.deepcopy(self.given)
        network.weights[...] = weights
        if hasattr(network, "bias"):
            network.bias = bias
        return network

    def network_of(self, phase: str, arrays: Mapping[str, np.ndarray]) -> Any:
        """A network of a finished run, from its arrays: "clean" or "adversarial"."""
        if phase not in PHASES:
            raise ValueError(f"phase: expected one of {', '.join(PHASES)}, got {phase!r}")
        return self.network(np.array(arrays[f"weights_{phase}"]), float(arrays["bias"]))

    def parts_of(self, network: Any) -> Decomposition:
        """What a network is made of; see :func:`simulator.features.decompose`."""
        return decompose(network, self.data)

    def radii(self) -> np.ndarray:
        """Radii of the accuracy curves, shape (16,): 0 to 1.5 / sqrt(k) (l_inf: 5 tau).

        Both reach beyond the r50 of a purified network, about 2 tau in l2 and 3 to 4 in l_inf.
        """
        config = self.config
        top = 1.5 / math.sqrt(config.k) if config.norm == "l2" else 5.0 * config.tau
        return np.linspace(0.0, top or 1.0, 16)

    def bracket_radii(self) -> list[float]:
        """Radii of the bracket: 0.05 to 0.25 and tau (l_inf: quarters of tau up to 1.25 tau).

        And those at which low-complexity learners are attacked, where they are trained.
        """
        tau = self.config.tau
        shares = RADII if self.config.learner_steps else (1.0,)
        fixed = ((0.05, 0.10, 0.15, 0.20, 0.25) if self.config.norm == "l2"
                 else [0.25 * tau * quarters for quarters in range(1, 6)])
        return sorted({*fixed, *(share * tau for share in shares)})

    def learner_task(self) -> LearnerTask:
        """The data and the budget of the low-complexity learners."""
        config = self.config
        validation = self.data.sample(config.test_samples,
                                      stream(config.seed, Role.CALIBRATION, 1), self.dtype)
        return LearnerTask(self.batches, validation, self.test_set, self.ball,
                           config.learner_steps, config.seed, config.evaluation_chunk)
