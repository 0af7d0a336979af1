"""The parts of a ticket run: find a mask, train what it keeps, follow its frozen flow."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.suites import quick_attacks
from simulator.attacks.through import Borrowed
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.errors import NotInvertible
from simulator.experiments.winning_tickets.config import MASKS, RULES, TICKETS, TicketConfig
from simulator.networks.masked import MaskedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.frozen_flow import frozen_flow
from simulator.protocols import Attack, Batch, Network
from simulator.randomness import Role, stream
from simulator.runs.stages import Arrays
from simulator.tickets.masks import (Rescaling, lottery_mask, magnitude_mask, neuron_mask,
                                     random_mask, rescaling, saliency_mask, snip_mask)
from simulator.tickets.search import Dynamics, straight_through
from simulator.tickets.swaps import greedy_swaps, propose_swaps
from simulator.training import train

__all__ = ["FLOW_TIMES", "TicketTrials"]

SWAP_ROUNDS = 5
FLOW_TIMES = 41


class TicketTrials:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : TicketConfig

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together.
    """

    def __init__(self, config: TicketConfig) -> None:
        self.config = config
        self.data = SparseCoding.of(config)
        self.ball = L2Ball(config.tau)
        self.data.sample(1, stream(config.seed, Role.CALIBRATION))  # a margin out of reach: now
        self._searched: dict[int, Dynamics] = {}

    @cached_property
    def initial(self) -> np.ndarray:
        """W at initialisation, float64, shape (m, d)."""
        config = self.config
        return SymmetricReLU.initialise(config.m, config.d, config.init_scale,
                                        stream(config.seed, Role.INITIALISATION)).weights

    @cached_property
    def held_out(self) -> Dynamics:
        """The dense initialisation at the samples of kernel and trajectory errors."""
        return self._dynamics(self.config.kernel_samples, Role.KERNEL_SAMPLES)[0]

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
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation."""
        return Adversary(self.ball, quick_attacks(self.data.dense_direction),
                         seed=self.config.seed)

    def network(self, mask: np.ndarray, rule: Rescaling) -> MaskedReLU:
        """A masked network at initialisation."""
        return MaskedReLU(self.initial.astype(self.config.dtype), mask, rule.bias, rule.scale)

    def _examples(self, step: int) -> Dynamics:
        """The target of a step of the search, kept for the next search."""
        if step not in self._searched:
            found = self._dynamics(self.config.search_samples, Role.TICKET_SEARCH, step)[0]
            self._searched[step] = found
        return self._searched[step]

    def objective(self, mask: np.ndarray, rule: Rescaling) -> float:
        """J of a mask at the validation samples."""
        gap = self.validation.gap(mask, rule.scale, rule.bias)
        return gap.outputs + self.config.gamma**2 * gap.kernel

    def find(self, name: str, keep: float, trained: np.ndarray) -> tuple[np.ndarray, Rescaling]:
        """Return the mask of a name and what it is rescaled by.

        Parameters
        ----------
        name : str
            One of :data:`MASKS`.
        keep : float
        trained : ndarray, shape (m, d)
            The dense weights after training; the lottery alone looks at them.
        """
        rules = [rescaling(rule, keep, self.config.bias)
                 for rule in RULES[self.config.rescaling]]
        if name in TICKETS:
            found = [(self._ticket(name, keep, rule), rule) for rule in rules]
        else:
            mask = self._other(name, keep, trained)
            found = [(mask, rule) for rule in rules]
        return min(found, key=lambda pair: self.objective(*pair)) if len(found) > 1 else found[0]

    def _ticket(self, name: str, keep: float, rule: Rescaling) -> np.ndarray:
        config, rng = self.config, stream(self.config.seed, Role.MASK, MASKS.index(name))
        mask = straight_through(
            self._examples, rng.random(self.initial.shape), keep, rule.scale, rule.bias,
            config.search_steps, 0.0 if name == "output-ticket" else config.gamma,
            0.0 if name == "kernel-ticket" else 1.0, config.search_rate,
            whole_neurons=name == "neuron-ticket")
        if name == "swapped-ticket":
            for turn in range(SWAP_ROUNDS):  # fresh examples: swaps fit those they see
                swaps = propose_swaps(mask, config.swaps // SWAP_ROUNDS, rng)
                mask, _ = greedy_swaps(self._examples(config.search_steps + turn), mask, swaps,
                                       rule.scale, rule.bias, config.gamma)
        return mask

    def _other(self, name: str, keep: float, trained: np.ndarray) -> np.ndarray:
        W, rng = self.initial, stream(self.config.seed, Role.MASK, MASKS.index(name))
        if name == "random":
            return random_mask(W.shape, keep, rng)
        if name == "neurons":
            return neuron_mask(W.shape, keep, rng)
        if name == "magnitude":
            return magnitude_mask(W, keep)
        if name == "lottery":
            return lottery_mask(trained, keep)
        if name == "saliency":
            return saliency_mask(self._examples(0), keep)
        dynamics, y = self._dynamics(self.config.test_samples, Role.MASK, len(MASKS))
        gradient = SymmetricReLU(W, self.config.bias).loss_gradient(dynamics.X, y)[1]
        return snip_mask(W, gradient, keep)

    def _dynamics(self, n: int, role: Role, step: int = 0) -> tuple[Dynamics, np.ndarray]:
        """The dense initialisation at its own adversarial examples, and their labels."""
        rng = stream(self.config.seed, role, step)
        batch = self.data.sample(n, rng)
        network = SymmetricReLU(self.initial, self.config.bias)
        delta = FGM().perturb(network, batch.X, batch.y, self.ball, rng).delta
        return Dynamics(self.initial, self.config.bias, batch.X + delta), batch.y

    def trained(self, network: MaskedReLU, tick: Callable[[int], None],
                common: bool = False) -> Arrays:
        """Train a network; return its outputs at the held-out samples, and the losses.

        Parameters
        ----------
        network : MaskedReLU
        tick : callable
            Called with the steps done, now and then.
        common : bool
            Train on adversarial examples of the dense initialisation, the same for every mask;
            otherwise on the network's own.
        """
        config, X = self.config, self.held_out.X.astype(self.config.dtype)
        attack: Attack = FGM()
        if common:
            attack = Borrowed(attack, SymmetricReLU(self.initial.astype(config.dtype),
                                                    config.bias))
        outputs, losses = [network.forward(X)], []

        def after_step(step: int, loss: float) -> None:
            losses.append(loss)
            if step % config.record_every == 0 or step == config.steps:
                outputs.append(network.forward(X))
                tick(step)

        train(network, FreshBatches(self.data, config.batch_size, config.seed, config.dtype),
              learning_rate=config.learning_rate, steps=config.steps,
              weight_decay=config.weight_decay, seed=config.seed,
              adversary=Adversary(self.ball, attack), after_step=after_step)
        return {"outputs": np.array(outputs, np.float64), "losses": np.array(losses)}

    def accuracies(self, network: Network) -> np.ndarray:
        """Return clean and attacked accuracy on the test set, shape (2,)."""
        found = worst_case(network, self.test_set, self.adversary)
        return np.array([found.accuracy("clean"), found.accuracy()])

    def flow(self, mask: np.ndarray, rule: Rescaling) -> Arrays:
        """Return distance and bound of the frozen flows of a mask and of the dense network.

        Over as long a time as the training, learning rate times steps. NaN where the mask's
        kernel has no inverse.
        """
        config = self.config
        dynamics, y = self._dynamics(config.flow_samples, Role.KERNEL_SAMPLES, 2)
        f, K = dynamics.outputs_and_kernel(mask, rule.scale, rule.bias)
        times = np.linspace(0.0, config.learning_rate * config.steps, FLOW_TIMES)
        try:
            found = frozen_flow(K, dynamics.target, f, dynamics.outputs, y, times)
        except NotInvertible:
            return {"flow": np.full((2, FLOW_TIMES), np.nan), "flow_error": np.array(np.nan)}
        return {"flow": np.array([found.distance, found.bound]),
                "flow_error": np.array(found.relative_error)}
