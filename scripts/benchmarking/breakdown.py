"""Where the time of our step goes, and how much work it does: for `purify benchmark`.

The pieces are timed in place, in the step itself, so that caches and threads are what they are
in training. Each piece is a few calls a step, so the clock costs nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.balls import L2Ball
from simulator.networks.sparse_passes import Clock, unclocked
from simulator.protocols import Passes

__all__ = ["ClockedBall", "Counted", "CountingPasses", "Stopwatch"]


@dataclass
class Counted:
    """What a number of forward passes and gradients did.

    Attributes
    ----------
    pairs : int
        Pairs of a sample and a neuron in all forward passes.
    pairs_open : int
        Those whose gate is open: no implementation can leave these out.
    pairs_computed : int
        Those whose product of full length was computed; the others are proved closed.
    products, passes : int
        Forward passes that were dense products of BLAS, and all of them.
    flops : float
        Floating-point operations that were not left out: of the pairs computed, and in gradients
        of the open ones.
    live : list of float
        The live fraction of each forward pass.
    """

    pairs: int = 0
    pairs_open: int = 0
    pairs_computed: int = 0
    products: int = 0
    passes: int = 0
    flops: float = 0.0
    live: list[float] = field(default_factory=list)

    def numbers(self) -> dict[str, Any]:
        """Return the counts as plain data, ``live`` as its mean."""
        return vars(self) | {"live": float(np.mean(self.live)) if self.live else None}


class CountingPasses:
    """The passes of a network, counted.

    Parameters
    ----------
    inner : Passes
        They do the work.

    Attributes
    ----------
    counted : Counted
        Since the last :meth:`reset`.
    """

    def __init__(self, inner: Passes[Any]) -> None:
        self.inner: Any = inner
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.counted = Counted()

    @contextmanager
    def clocked(self, clock: Clock) -> Iterator[None]:
        """Give the passes a clock while the block runs."""
        before, self.inner.clock = self.inner.clock, clock
        try:
            yield
        finally:
            self.inner.clock = before

    def forward(self, W: np.ndarray, b: float, X: np.ndarray) -> Any:
        """See :class:`~simulator.protocols.Passes`."""
        forward = self.inner.forward(W, b, X)
        now = self.counted
        now.pairs += len(X) * len(W)
        now.pairs_open += forward.pairs_open
        now.pairs_computed += forward.pairs_computed
        now.products += forward.by_product
        now.passes += 1
        now.flops += 2.0 * forward.pairs_computed * X.shape[1]
        now.live.append(forward.live_fraction)
        return forward

    def input_gradient(self, forward: Any, scale: np.ndarray) -> np.ndarray:
        """See :class:`~simulator.protocols.Passes`."""
        gradient: np.ndarray = self.inner.input_gradient(forward, scale)
        self.counted.flops += 2.0 * forward.pairs_open * gradient.shape[1]
        return gradient

    def weight_gradient(self, forward: Any, X: np.ndarray, scale: np.ndarray) -> Any:
        """See :class:`~simulator.protocols.Passes`."""
        self.counted.flops += 2.0 * forward.pairs_open * X.shape[1]
        return self.inner.weight_gradient(forward, X, scale)

    def descend(self, W: np.ndarray, forward: Any, G: Any, learning_rate: float,
                weight_decay: float) -> None:
        """See :class:`~simulator.protocols.Passes`."""
        self.inner.descend(W, forward, G, learning_rate, weight_decay)

    def __getattr__(self, name: str) -> Any:
        """What else the network asks of its passes."""
        return getattr(self.inner, name)


class Stopwatch:
    """A clock for passes and for :class:`ClockedBall` that adds up seconds.

    Pieces have the names that they are called by. A piece within another one stops the outer
    one meanwhile, so that no second is counted twice.

    Attributes
    ----------
    spent : dict of str to float
        Seconds in each piece so far, in the order in which they were first met.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, piece: str) -> Iterator[None]:
        self._turn()
        self._open.append(piece)
        self.spent.setdefault(piece, 0.0)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        """Book the time since the last turn on the innermost piece that is open."""
        now = time.perf_counter()
        if self._open:
            self.spent[self._open[-1]] += now - self._since
        self._since = now


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
