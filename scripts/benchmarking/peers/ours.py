"""Ours: the simulator, called as its training loop and its attacks call it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from scripts.benchmarking.breakdown import ClockedBall, CountingPasses, Stopwatch
from scripts.benchmarking.peers.contract import PGD_STEPS
from simulator.attacks.gradient import FGM, PGD
from simulator.balls import L2Ball
from simulator.networks.sparse_passes import unclocked
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.randomness import Role, stream

__all__ = ["Ours"]


class Ours:
    """The simulator, called as its training loop and its attacks call it."""

    bias: float

    def load(self, W: np.ndarray, bias: float, weight_decay: float, tau: float) -> None:
        """See :class:`Implementation`."""
        self.passes = CountingPasses()
        self.network = SymmetricReLU(W.copy(), bias, passes=self.passes)
        self.bias, self.weight_decay = bias, weight_decay
        self.ball = L2Ball(tau)
        self.unused = stream(0, Role.TRAINING_ATTACK)

    @contextmanager
    def clocked(self) -> Iterator[dict[str, float]]:
        """Yield the seconds spent in each piece of our work while the block runs."""
        watch, plain = Stopwatch(), self.ball
        self.passes.clock, self.ball = watch, ClockedBall(plain.radius, watch)
        try:
            yield watch.spent
        finally:
            self.passes.clock, self.ball = unclocked, plain

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
