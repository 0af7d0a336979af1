"""The objects of a kernel run: two kinds of training, kernels, and what attacks them.

The experiments of Loo, Hasani, Amini & Rus (arXiv 2210.12030), on the data and the network of
Allen-Zhu & Li (arXiv 2005.10190).
"""

import copy
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks
from simulator.attacks.through import ThroughSmoothedGates
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.parts import require_kind, require_parts
from simulator.features import Decomposition, decompose
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk
from simulator.protocols import Attack, Batch, DataModel, Network
from simulator.randomness import Role, stream

__all__ = ["DATA", "MODES", "NTKExperiment"]

MODES = ("clean", "adversarial")  # kinds of training in phase 1
DATA = ("benign", "adversarial", "masked")  # and in phase 2
TRAINING_WIDTHS = (0.5,)  # of smoothed gates, in units of the bias
EVALUATION_WIDTHS = (0.25, 0.5, 1.0)


class NTKExperiment:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : NTKConfig
    network, data, attack : objects or None
        In the place of those of the config: the network is copied before it is trained, and the
        attack is the one trained against.
        Both pairs of runs then start from the network, on samples of their own.

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together, a network or data of another kind.
    """

    def __init__(self, config: NTKConfig, *, network: Network | None = None,
                 data: DataModel | None = None, attack: Attack | None = None) -> None:
        require_parts(network=network, data=data, attack=attack)
        self.given = require_kind("network", network, SymmetricReLU,
                                  "its kernel is known in closed form")
        self.data = require_kind("data", data, SparseCoding, "the pure kernel needs the codes of "
                                 "the samples") or config.sparse_coding()
        self.config = config
        self.dtype = np.dtype(config.dtype)
        self.ball = L2Ball(config.tau)
        self.attack: Attack = attack or (FGM() if config.training_attack == "fgm"
                                         else PGD(config.training_pgd_steps))
        # a label margin that no code reaches must be told now, not after the folder is made
        self.data.sample(1, stream(config.seed, Role.CALIBRATION))

    @cached_property
    def probe(self) -> Batch:
        """The samples on which kernels are compared."""
        return self.data.sample(self.config.probe_samples,
                                stream(self.config.seed, Role.CALIBRATION), self.dtype)

    @cached_property
    def spectrum_inputs(self) -> np.ndarray:
        """The inputs of the kernels whose spectra are taken, shape (n, d)."""
        return self.data.sample(self.config.spectrum_samples,
                                stream(self.config.seed, Role.CALIBRATION, 1), self.dtype).X

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose worst case is "attacked accuracy"; the last one is for frozen gates."""
        direction = self.data.dense_direction
        pgd = PGD(20, ("zero", "universal"), direction=direction)
        return standard_attacks(direction) | {
            "smoothed": ThroughSmoothedGates(pgd, EVALUATION_WIDTHS)}

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return self._adversary(self.attacks)

    @cached_property
    def quick_adversary(self) -> Adversary:
        """Who attacks along the training: FGM alone."""
        return self._adversary({"fgm": FGM()})

    def _adversary(self, attacks: dict[str, Attack]) -> Adversary:
        return Adversary(self.ball, attacks, seed=self.config.seed,
                         chunk=self.config.evaluation_chunk)

    def seed_of(self, run: int) -> int:
        """Seed of the initialisation and the samples of a pair of runs.

        Parameters
        ----------
        run : int
            1, or 2 for the second, independent pair.
        """
        first = self.config.seed
        return first if run == 1 else int(stream(first, Role.SECOND_RUN).integers(2**31))

    def batches(self, run: int = 1) -> FreshBatches:
        """The fresh samples of every step of a pair of runs."""
        return FreshBatches(self.data, self.config.batch_size, self.seed_of(run), self.dtype)

    def initial_network(self, run: int = 1) -> SymmetricReLU:
        """The network before phase 1."""
        config = self.config
        if self.given is not None:
            return copy.deepcopy(self.given)
        return SymmetricReLU.initialise(
            config.m, config.d, config.init_scale, stream(self.seed_of(run), Role.INITIALISATION),
            bias=config.bias, dtype=self.dtype)

    def network(self, weights: np.ndarray) -> SymmetricReLU:
        """A network of this run with given weights."""
        return SymmetricReLU(weights, (self.config if self.given is None else self.given).bias)

    def network_of(self, phase: str, arrays: Mapping[str, np.ndarray]) -> SymmetricReLU:
        """A network of a finished run at the end of phase 1, from its arrays."""
        return self.network(np.array(arrays[f"weights_{phase}"][-1]))

    def parts_of(self, network: SymmetricReLU) -> Decomposition:
        """What a network is made of; see :func:`simulator.features.decompose`."""
        return decompose(network.weights, self.data.dictionary, self.data.signs)

    def linearized(self, weights: np.ndarray, centred: bool) -> LinearizedReLU:
        """The network of phase 2 before its training: on the frozen kernel of given weights."""
        return LinearizedReLU(self.network(weights), centred)

    def training_adversary(self, mode: str) -> Adversary | None:
        """Who attacks in phase 1; see :data:`MODES`."""
        return Adversary(self.ball, {"training": self.attack}) if mode == "adversarial" else None

    def frozen_adversary(self, data: str) -> Adversary | None:
        """Who attacks in phase 2; see :data:`DATA`."""
        attacks: dict[str, Attack] = {
            "masked": self.attack,
            "adversarial": ThroughSmoothedGates(self.attack, TRAINING_WIDTHS)}
        return Adversary(self.ball, {data: attacks[data]}) if data in attacks else None

    def kernel(self, weights: np.ndarray) -> np.ndarray:
        """The empirical NTK of such a network on the probe samples."""
        return empirical_ntk(self.network(weights), self.probe.X)

    def evaluate(self, network: Network) -> dict[str, float]:
        """Return accuracy, attacked accuracy, and the latter with plain PGD alone."""
        worst = worst_case(network, self.test_set, self.adversary)
        return {"accuracy": worst.accuracy("clean"), "attacked_accuracy": worst.accuracy(),
                "plain_attacked_accuracy": worst.accuracy("pgd")}

    def linear_attacked_accuracy(self) -> float:
        """Exact attacked accuracy of the linear classifier ``sign <w*, x>`` at tau."""
        linear = LinearClassifier(self.data.dense_direction)
        return linear.robust_accuracy(self.test_set.X, self.test_set.y, self.ball)
