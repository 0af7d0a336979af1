"""Where the time of our step goes, and how much work it does: for `purify benchmark`.

The pieces are timed in place, in the step itself, so that caches and threads are what they are
in training. Each piece is a few calls a step, so the clock costs nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from simulator.balls import L2Ball
from simulator.networks.sparse_passes import Clock, ForwardPass, SparsePasses, unclocked

__all__ = ["PIECES", "ClockedBall", "CountingPasses", "Stopwatch"]

PIECES = ("survey", "live rows", "GEMM", "scan", "gradients", "descend", "ball")


class CountingPasses(SparsePasses):
    """The passes of a network, counting floating-point operations and live neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.flops = 0.0
        self.live: list[float] = []

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> ForwardPass:
        """See :class:`SparsePasses`."""
        forward = super().forward(W, b, X)
        self.flops += 2.0 * X.size * len(forward.live)
        self.live.append(forward.live_fraction)
        return forward

    def input_gradient(self, forward: ForwardPass, scale: np.ndarray) -> np.ndarray:
        """See :class:`SparsePasses`."""
        self._count_gradient(forward)
        return super().input_gradient(forward, scale)

    def weight_gradient(self, forward: ForwardPass, X: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """See :class:`SparsePasses`."""
        self._count_gradient(forward)
        return super().weight_gradient(forward, X, scale)

    def _count_gradient(self, forward: ForwardPass) -> None:
        dense = forward.open_fraction > self.dense_gates
        pairs = forward.U.size if dense else int(forward.counts.sum())
        self.flops += 2.0 * pairs * forward.live.shape[1]


class Stopwatch:
    """A clock for :class:`SparsePasses` and :class:`ClockedBall` that adds up seconds.

    Attributes
    ----------
    spent : dict of str to float
        Seconds in each piece so far.
    """

    def __init__(self) -> None:
        self.spent = dict.fromkeys(PIECES, 0.0)

    @contextmanager
    def __call__(self, piece: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spent[piece] += time.perf_counter() - start


@dataclass(frozen=True)
class ClockedBall(L2Ball):
    """An l2 ball whose work is the piece "ball" of a clock.

    Attributes
    ----------
    clock : callable
    """

    clock: Clock = unclocked

    def steepest(self, G: np.ndarray) -> np.ndarray:
        """See :class:`~simulator.balls.L2Ball`."""
        with self.clock("ball"):
            return super().steepest(G)

    def project(self, D: np.ndarray) -> np.ndarray:
        """See :class:`~simulator.balls.L2Ball`."""
        with self.clock("ball"):
            return super().project(D)
