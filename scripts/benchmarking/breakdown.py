"""Where the time of our step goes, and how much work it does: for `purify benchmark`.

The pieces are timed in place, in the step itself, so that caches and threads are what they are
in training. Each piece is a few calls a step, so the clock costs nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from simulator import balls
from simulator.networks import screening, sparse_passes, symmetric_relu
from simulator.networks.sparse_passes import ForwardPass, SparsePasses

__all__ = ["PIECES", "CountingPasses", "clocked_pieces"]


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
        done = super().forward(W, b, X)
        self.flops += 2.0 * X.size * len(done.live)
        self.live.append(done.live_fraction)
        return done

    def input_gradient(self, done: ForwardPass, scale: np.ndarray) -> np.ndarray:
        """See :class:`SparsePasses`."""
        self._count_gradient(done)
        return super().input_gradient(done, scale)

    def weight_gradient(self, done: ForwardPass, X: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """See :class:`SparsePasses`."""
        self._count_gradient(done)
        return super().weight_gradient(done, X, scale)

    def _count_gradient(self, done: ForwardPass) -> None:
        dense = done.open_fraction > self.dense_gates
        pairs = done.U.size if dense else int(done.counts.sum())
        self.flops += 2.0 * pairs * done.live.shape[1]


# piece -> the calls it is made of
PIECES: dict[str, tuple[tuple[Any, str], ...]] = {
    "split": ((screening, "_split_rows"),),
    "survey": ((screening, "_survey"),),
    "live rows": ((sparse_passes, "np.take"),),
    "GEMM": ((sparse_passes, "np.matmul"),),
    "scan": ((sparse_passes, "_open_gates"),),
    "gradients": ((sparse_passes, "_expand"), (sparse_passes, "_input_gradient"),
                  (sparse_passes, "_by_neuron"), (sparse_passes, "_weight_gradient")),
    "descend": ((sparse_passes, "_descend_rows"),),
    "loss": ((symmetric_relu, "_logistic_loss"),),
    "ball": ((balls.L2Ball, "steepest"), (balls.L2Ball, "project")),
}


class _Clocked:
    """A module in which some functions are replaced."""

    def __init__(self, module: Any, replaced: dict[str, Callable]) -> None:
        self._module, self._replaced = module, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._module, name)


@contextmanager
def clocked_pieces() -> Iterator[dict[str, float]]:
    """Yield a dictionary that gathers the seconds spent in each piece while the block runs.

    The kernels must have been compiled before: the compiler must not meet a replaced name.
    """
    spent = dict.fromkeys(PIECES, 0.0)
    before: list[tuple[Any, str, Any]] = []
    modules: dict[str, Callable] = {}

    def clocked(piece: str, function: Callable) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[piece] += time.perf_counter() - start
        return call

    for piece, functions in PIECES.items():
        for owner, name in functions:
            if name.startswith("np."):
                modules[name[3:]] = clocked(piece, getattr(np, name[3:]))
            else:
                before.append((owner, name, getattr(owner, name)))
    before.append((sparse_passes, "np", np))
    try:
        for piece, functions in PIECES.items():
            for owner, name in functions:
                if not name.startswith("np."):
                    setattr(owner, name, clocked(piece, getattr(owner, name)))
        setattr(sparse_passes, "np", _Clocked(np, modules))
        yield spent
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
