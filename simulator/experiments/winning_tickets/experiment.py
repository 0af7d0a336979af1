"""The objects of a ticket run: samples, masks and what they are rescaled by, networks, attacks.

The experiments of Shi et al. (arXiv 2202.06488), on the data and the network of Allen-Zhu & Li
(arXiv 2005.10190).
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.suites import quick_attacks
from simulator.attacks.through import Borrowed
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.experiments.jackknife import without_each
from simulator.experiments.parts import require_kind, require_parts
from simulator.experiments.winning_tickets.config import MASKS, RULES, TRAINED, TicketConfig
from simulator.networks.masked import MaskedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.frozen_flow import FrozenFlow, frozen_flow
from simulator.protocols import Attack, Batch, DataModel, Network
from simulator.randomness import Role, stream
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import (Rescaling, lottery_mask, magnitude_mask, neuron_mask,
                                     random_mask, rescaling, saliency_mask, snip_mask)
from simulator.tickets.search import straight_through
from simulator.tickets.swaps import greedy_swaps, propose_swaps
from simulator.tickets.trained import trained_ticket

__all__ = ["FLOW_TIMES", "Found", "SEARCHES", "Search", "TicketExperiment"]

SWAP_ROUNDS = 5
FLOW_TIMES = 41
FLOW_GROUPS = 5  # of samples, each left out in turn


class Search(NamedTuple):
    """How a dynamics-preserving mask is searched for.

    Attributes
    ----------
    outputs, kernel : float
        Factors of the two parts of the objective; the second one times gamma.
    swapped : bool
        Greedy swaps follow.
    whole_neurons : bool
    """

    outputs: float = 1.0
    kernel: float = 1.0
    swapped: bool = False
    whole_neurons: bool = False


SEARCHES = {"ticket": Search(), "output-ticket": Search(kernel=0.0),
            "kernel-ticket": Search(outputs=0.0), "swapped-ticket": Search(swapped=True),
            "neuron-ticket": Search(whole_neurons=True)}


class Found(NamedTuple):
    """A masked network at its start.

    Attributes
    ----------
    mask : ndarray of bool, shape (m, d)
    rule : Rescaling
    weights : ndarray, shape (m, d), or None
        Those it begins with; None: those of the dense initialisation.
    """

    mask: np.ndarray
    rule: Rescaling
    weights: np.ndarray | None = None


class TicketExperiment:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : TicketConfig
    network, data, attack : objects or None
        In the place of those of the config: the network is copied before it is trained, and the
        attack is the one trained against.

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together, a network or data of another kind.
    """

    def __init__(self, config: TicketConfig, *, network: Network | None = None,
                 data: DataModel | None = None, attack: Attack | None = None) -> None:
        require_parts(network=network, data=data, attack=attack)
        self.given = require_kind("network", network, SymmetricReLU,
                                  "masks are of its hidden weights")
        self.data = require_kind("data", data, SparseCoding, "it is attacked along its dense "
                                 "direction") or config.sparse_coding()
        self.config = config
        self.bias = config.bias if self.given is None else self.given.bias
        self.attack: Attack = attack or FGM()
        self.ball = L2Ball(config.tau)
        # a label margin that no code reaches must be told now, not after the folder is made
        self.data.sample(1, stream(config.seed, Role.CALIBRATION))
        self._searched: dict[int, Dynamics] = {}

    @cached_property
    def initial(self) -> np.ndarray:
        """W at initialisation, float64, shape (m, d)."""
        config = self.config
        if self.given is not None:
            return self.given.weights.astype(np.float64)
        return SymmetricReLU.initialise(config.m, config.d, config.init_scale,
                                        stream(config.seed, Role.INITIALISATION)).weights

    @cached_property
    def held_out(self) -> Dynamics:
        """The dense initialisation at the samples of kernel and trajectory errors."""
        return self._dynamics(self.config.kernel_samples, Role.KERNEL_SAMPLES)[0]

    @cached_property
    def _flow_samples(self) -> tuple[Dynamics, np.ndarray]:
        """The dense initialisation at the samples of the frozen flows, and their labels."""
        return self._dynamics(self.config.flow_samples, Role.KERNEL_SAMPLES, 2)

    @cached_property
    def validation(self) -> Dynamics:
        """The dense initialisation at samples that choose between rescalings and tickets."""
        return self._dynamics(self.config.kernel_samples, Role.KERNEL_SAMPLES, 1)[0]

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.config.dtype)

    @cached_property
    def batches(self) -> FreshBatches:
        """The samples of every training step, the same for every mask."""
        return FreshBatches(self.data, self.config.batch_size, self.config.seed,
                            self.config.dtype)

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return Adversary(self.ball, quick_attacks(self.data.dense_direction), seed=self.config.seed,
                         chunk=self.config.evaluation_chunk)

    def training_adversary(self, common: bool) -> Adversary:
        """Who attacks in a training.

        Parameters
        ----------
        common : bool
            On the dense initialisation, the same for every mask; otherwise on the network that
            is trained.
        """
        if not common:
            return Adversary(self.ball, {"own": self.attack})
        dense = SymmetricReLU(self.initial.astype(self.config.dtype), self.bias)
        return Adversary(self.ball, {"common": Borrowed(self.attack, dense)})

    @property
    def everything(self) -> Found:
        """The dense network."""
        return Found(np.ones(self.initial.shape, bool), Rescaling(1.0, self.bias))

    def network(self, mask: np.ndarray, rule: Rescaling,
                weights: np.ndarray | None = None) -> MaskedReLU:
        """A masked network at its start; ``weights`` in the place of the initialisation."""
        W = self.initial if weights is None else weights
        return MaskedReLU(W.astype(self.config.dtype), mask, rule.bias, rule.scale)

    def network_of(self, phase: str, arrays: Mapping[str, np.ndarray]) -> MaskedReLU:
        """Raise ValueError: a ticket run keeps no weights."""
        raise ValueError(f"{phase}: expected a run that stores its weights, got a ticket run: it "
                         "stores masks' numbers alone (experiment.network(mask, rule) makes one)")

    def objective(self, mask: np.ndarray, rule: Rescaling,
                  weights: np.ndarray | None = None) -> float:
        """J of a mask at the validation samples."""
        gap = self.validation.gap(mask, rule.scale, rule.bias, weights)
        return gap.outputs + self.config.gamma**2 * gap.kernel

    def find(self, name: str, keep: float, trained: np.ndarray) -> Found:
        """Return the mask of a name and what it is rescaled by; see :meth:`candidates`."""
        found = self.candidates(name, keep, trained)
        return found[self.best_rule(found)]

    def best_rule(self, found: Mapping[str, Found]) -> str:
        """Return the rule with the smallest objective."""
        if len(found) == 1:
            return next(iter(found))
        return min(found, key=lambda rule: np.nan_to_num(self.objective(*found[rule]), nan=np.inf))

    def candidates(self, name: str, keep: float, trained: np.ndarray) -> dict[str, Found]:
        """Return the masks of a name by the rules that rescale them.

        Parameters
        ----------
        name : str
            One of :attr:`TicketConfig.masks`.
        keep : float
        trained : ndarray, shape (m, d)
            The dense weights after training; the lottery alone looks at them.
        """
        rules = {word: rescaling(word, keep, self.bias) for word in RULES[self.config.rescaling]}
        if name == TRAINED:
            return {word: self._trained(keep, rule) for word, rule in rules.items()}
        if name in SEARCHES:
            return {word: Found(self._ticket(name, keep, rule), rule)
                    for word, rule in rules.items()}
        mask = self.other_masks(trained)[name](keep)
        return {word: Found(mask, rule) for word, rule in rules.items()}

    def other_masks(self, trained: np.ndarray) -> dict[str, Callable[[float], np.ndarray]]:
        """Return how each mask that no search finds is made, given the share to keep."""
        W = self.initial
        return {"random": lambda keep: random_mask(W.shape, keep, self._draw("random")),
                "neurons": lambda keep: neuron_mask(W.shape, keep, self._draw("neurons")),
                "magnitude": lambda keep: magnitude_mask(W, keep),
                "snip": lambda keep: snip_mask(W, self._initial_gradient(), keep),
                "saliency": lambda keep: saliency_mask(self._examples(0), keep),
                "lottery": lambda keep: lottery_mask(trained, keep)}

    def flow(self, mask: np.ndarray, rule: Rescaling,
             weights: np.ndarray | None = None) -> FrozenFlow:
        """Return distance and bound of the frozen flows of a mask and of the dense network.

        Over as long a time as the training, learning rate times steps.

        Raises
        ------
        NotInvertible
            The mask's kernel has no inverse.
        """
        return self._flow(*self._flow_start(mask, rule, weights))

    def flow_limits(self, flow: FrozenFlow, found: Found) -> np.ndarray:
        """Return 95 % limits over the samples of distance and bound of a mask's flow.

        By the jackknife over FLOW_GROUPS groups of samples.

        Parameters
        ----------
        flow : FrozenFlow
            What :meth:`flow` returned.
        found : Found
            Its mask.

        Returns
        -------
        ndarray, shape (2, 2, times)
            Low and high, distance and bound.
        """
        start = self._flow_start(*found)
        places = np.arange(self.config.flow_samples)
        groups = min(FLOW_GROUPS, len(places) - 1)
        without = [self._flow(*start, places % groups != group) for group in range(groups)]
        return without_each(np.array([flow.distance, flow.bound]),
                            np.array([[part.distance, part.bound] for part in without]))

    def _flow_start(self, mask: np.ndarray, rule: Rescaling, weights: np.ndarray | None
                    ) -> tuple[Dynamics, np.ndarray, np.ndarray, np.ndarray]:
        """The dense network at the flow's samples, their labels, and the mask's f and K there."""
        dynamics, y = self._flow_samples
        return dynamics, y, *dynamics.outputs_and_kernel(mask, rule.scale, rule.bias, weights)

    def _flow(self, dynamics: Dynamics, y: np.ndarray, f: np.ndarray, K: np.ndarray,
              kept: np.ndarray | slice = slice(None)) -> FrozenFlow:
        """The flows on some of the samples."""
        config = self.config
        times = np.linspace(0.0, config.learning_rate * config.steps, FLOW_TIMES)
        return frozen_flow(K[kept][:, kept], dynamics.target[kept][:, kept], f[kept],
                           dynamics.outputs[kept], y[kept], times)

    def _ticket(self, name: str, keep: float, rule: Rescaling) -> np.ndarray:
        config, search, rng = self.config, SEARCHES[name], self._draw(name)
        mask = straight_through(
            self._examples, rng.random(self.initial.shape), keep, rule.scale, rule.bias,
            config.search_steps, search.kernel * config.gamma, search.outputs,
            config.search_rate, whole_neurons=search.whole_neurons)
        if search.swapped:
            for turn in range(SWAP_ROUNDS):  # fresh examples: swaps fit those they see
                swaps = propose_swaps(mask, config.swaps // SWAP_ROUNDS, rng)
                mask, _ = greedy_swaps(self._examples(config.search_steps + turn), mask, swaps,
                                       rule.scale, rule.bias, config.gamma)
        return mask

    def _trained(self, keep: float, rule: Rescaling) -> Found:
        """The ticket whose weights are trained; its examples are those of the other searches."""
        config, seen = self.config, max(self.config.search_steps, 1)
        weights, mask = trained_ticket(
            lambda step: self._examples(step % seen), self.initial, keep, rule.scale, rule.bias,
            config.transfer_steps, config.gamma, config.transfer_rate)
        return Found(mask, rule, weights)

    def _draw(self, name: str) -> np.random.Generator:
        """The random stream of a mask."""
        return stream(self.config.seed, Role.MASK, MASKS.index(name))

    def _initial_gradient(self) -> np.ndarray:
        """Gradient of the loss of the dense initialisation at adversarial examples."""
        dynamics, y = self._dynamics(self.config.test_samples, Role.MASK, len(MASKS))
        return SymmetricReLU(self.initial, self.bias).loss_gradient(dynamics.X, y)[1]

    def _examples(self, step: int) -> Dynamics:
        """The target of a step of the search, kept for the next search."""
        if step not in self._searched:
            target, _ = self._dynamics(self.config.search_samples, Role.TICKET_SEARCH, step)
            self._searched[step] = target
        return self._searched[step]

    def _dynamics(self, n: int, role: Role, step: int = 0) -> tuple[Dynamics, np.ndarray]:
        """The dense initialisation at its own adversarial examples, and their labels."""
        rng = stream(self.config.seed, role, step)
        batch = self.data.sample(n, rng)
        network = SymmetricReLU(self.initial, self.bias)
        delta = FGM().perturb(network, batch.X, batch.y, self.ball, rng).delta
        return Dynamics(self.initial, self.bias, batch.X + delta), batch.y
