"""Ours: the simulator, called as its training loop and its attacks call it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from scripts.benchmarking.breakdown import ClockedBall, CountingPasses, Stopwatch
from scripts.benchmarking.peers.contract import PGD_STEPS
from simulator.attacks.gradient import FGM, PGD
from simulator.balls import L2Ball
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.randomness import Role, stream

__all__ = ["Ours"]


class Ours:
    """The simulator, called as its training loop and its attacks call it.

    Parameters
    ----------
    threads : int
        Of BLAS and of the kernels, as in a run; the process keeps them.
    """

    bias: float

    def __init__(self, threads: int) -> None:
        self._threads, self._held = ExitStack(), ExitStack()
        self._threads.enter_context(fixed_threads(threads))

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self._held.close()
        self.network = SymmetricReLU(W.copy(), bias)
        self.passes = CountingPasses(self.network.passes)
        self.network.passes = self.passes
        # as in training: what a step finds out about the weights serves the next
        self._held.enter_context(self.network.held())
        self.bias, self.weight_decay = bias, weight_decay
        self.ball = L2Ball(tau)
        self.unused = stream(0, Role.TRAINING_ATTACK)

    @contextmanager
    def clocked(self) -> Iterator[dict[str, float]]:
        """Yield the seconds spent in each piece of our work while the block runs."""
        watch, plain = Stopwatch(), self.ball
        self.ball = ClockedBall(plain.radius, watch)
        try:
            with self.passes.clocked(watch):
                yield watch.spent
        finally:
            self.ball = plain

    def hand(self, X: np.ndarray, y: np.ndarray) -> Any:
        """See :class:`Implementation`."""
        return X, y

    def clean(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        return self.network.gradient_step(X, y, learning_rate, self.weight_decay)

    def adversarial(self, samples: Any, learning_rate: float) -> float:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        found = FGM().perturb(self.network, X, y, self.ball, self.unused)
        return self.clean((X + self.ball.project(found.delta), y), learning_rate)

    def pgd20(self, samples: Any) -> Any:
        """See :class:`Implementation`."""
        X, y = samples
        self.network.bias = self.bias
        attack = PGD(PGD_STEPS, ("zero",))
        return attack.perturb(self.network, X, y, self.ball, self.unused).delta
