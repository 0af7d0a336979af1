"""The objects of a kernel run: two kinds of training, kernels, and what attacks them.

The experiments of Loo, Hasani, Amini & Rus (arXiv 2210.12030), on the data and the network of
Allen-Zhu & Li (arXiv 2005.10190).
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks
from simulator.attacks.through import ThroughSmoothedGates
from simulator.attacks.worst_case import strongest_case, worst_case
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
from simulator.training import train

__all__ = ["DATA", "DYNAMICS", "NTKExperiment", "SHORT_DATA"]

SHORT_DATA = ("benign", "adversarial", "masked")  # kinds of training in phase 2
DATA = (*SHORT_DATA, "mixed", "flip")
DYNAMICS = ("uncentred", "centred", "full")  # what phase 2 trains
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
    def spectrum_batch(self) -> Batch:
        """The samples of the kernels whose spectra are taken."""
        return self.data.sample(self.config.spectrum_samples,
                                stream(self.config.seed, Role.CALIBRATION, 1), self.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation; frozen gates are looked through where all else fails."""
        direction = self.data.dense_direction
        attacks = {name: replace(attack, until_broken=True) if isinstance(attack, PGD) else attack
                   for name, attack in standard_attacks(direction).items()}
        pgd = PGD(20, ("zero", "universal"), direction=direction)
        return self._adversary(attacks, {"smoothed": ThroughSmoothedGates(pgd, EVALUATION_WIDTHS)})

    @cached_property
    def examples(self) -> Adversary:
        """Who makes the examples that are passed on: it follows the gradient of its network alone.

        The universal direction, which breaks any dense network, is not among its attacks.
        """
        return self._adversary({"pgd": ThroughSmoothedGates(PGD(20), (0.0, *EVALUATION_WIDTHS))})

    @cached_property
    def quick_adversary(self) -> Adversary:
        """Who attacks along the training: FGM alone."""
        return self._adversary({"fgm": FGM()})

    def _adversary(self, attacks: dict[str, Attack],
                   strong: dict[str, Attack] | None = None) -> Adversary:
        return Adversary(self.ball, attacks, strong=strong, seed=self.config.seed,
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

    def second_network(self, weights: np.ndarray,
                       dynamics: str) -> LinearizedReLU | SymmetricReLU:
        """The network of phase 2 before its training, from given weights; see :data:`DYNAMICS`."""
        network = self.network(np.array(weights))
        return network if dynamics == "full" else LinearizedReLU(network, dynamics == "centred")

    def train(self, network: Network, kind: str, *, first: int, stop: int, flip_step: int,
              seed: int, batches: FreshBatches, learning_rate: float, weight_decay: float,
              after_step: Callable[[int, float], None],
              before_step: Callable[[int, np.ndarray, np.ndarray], None] | None = None) -> None:
        """Do a training of either phase, from the step ``first`` of its numbers on.

        Parameters
        ----------
        network : Network
            Trained in place.
        kind : str
            One of :data:`~simulator.experiments.ntk_evolution.config.MODES` or :data:`DATA`.
        first, stop : int
        flip_step : int
            The step at which a flip turns adversarial.
        seed, batches, learning_rate, weight_decay, after_step, before_step
            As of :func:`simulator.training.train`.
        """
        adversary = self.training_adversary(network, kind)
        parts = ((flip_step, None), (stop, adversary)) if kind == "flip" else ((stop, adversary),)
        for end, attacked in parts:
            if first < end:
                train(network, batches, learning_rate=learning_rate, start=first, stop=end,
                      weight_decay=weight_decay, seed=seed, adversary=attacked,
                      clean_first=kind == "mixed", before_step=before_step,
                      after_step=after_step)
                first = end

    def training_adversary(self, network: Network, kind: str) -> Adversary | None:
        """Who attacks in a training; frozen gates are looked through unless it is "masked"."""
        if kind in ("clean", "benign"):
            return None
        smoothed = isinstance(network, LinearizedReLU) and kind != "masked"
        return Adversary(self.ball, {kind: ThroughSmoothedGates(self.attack, TRAINING_WIDTHS)
                                     if smoothed else self.attack})

    def kernel(self, weights: np.ndarray) -> np.ndarray:
        """The empirical NTK of such a network on the probe samples."""
        return empirical_ntk(self.network(weights), self.probe.X)

    def evaluate(self, network: Network) -> dict[str, float]:
        """Return accuracy, attacked accuracy, and the latter with plain PGD alone."""
        worst = strongest_case(network, self.test_set, self.adversary)
        return {"accuracy": worst.accuracy("clean"), "attacked_accuracy": worst.accuracy(),
                "plain_attacked_accuracy": worst.accuracy("pgd")}

    def passed_on(self, networks: Mapping[str, Network]) -> np.ndarray:
        """Return which samples stay right under the examples of another network.

        Parameters
        ----------
        networks : mapping of str to Network

        Returns
        -------
        ndarray of bool, shape (networks + 2, networks, transfer_samples)
            Under the examples made on each network, then under random perturbations of length
            tau, then under none.
        """
        few = self.test_set[:self.config.transfer_samples]
        shifts = [worst_case(network, few, self.examples).delta for network in networks.values()]
        rng = stream(self.config.seed, Role.EVALUATION_ATTACK, 1)
        shifts += [self.ball.draw(rng, few.X.shape, few.X.dtype), np.zeros_like(few.X)]
        return np.array([[network.margins(few.X + shift, few.y) > 0.0
                          for network in networks.values()] for shift in shifts])

    def linear_attacked_accuracy(self) -> float:
        """Exact attacked accuracy of the linear classifier ``sign <w*, x>`` at tau."""
        linear = LinearClassifier(self.data.dense_direction)
        return linear.robust_accuracy(self.test_set.X, self.test_set.y, self.ball)
