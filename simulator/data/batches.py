"""Training batches: fresh samples at every step, or a finite training set.

Fresh batches approximate the gradient of the population loss, which is what the theorems
speak about; a finite training set is what practice has. Either way the batch of a step
depends on the seed and the step alone.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from simulator.checks import require_int
from simulator.jit import threads
from simulator.protocols import Batch, Batches, DataModel
from simulator.randomness import Role, stream

__all__ = ["FreshBatches", "TrainingSet", "drawn_ahead"]


@dataclass(frozen=True)
class FreshBatches:
    """An endless stream: every step sees ``batch_size`` new samples."""

    data: DataModel
    batch_size: int = 1000
    seed: int = 0
    dtype: DTypeLike = np.float64

    def __post_init__(self) -> None:
        _require_data(self.data)
        require_int("batch_size", self.batch_size, low=1)

    def __repr__(self) -> str:
        return (f"FreshBatches({self.data!r}, batch_size={self.batch_size}, seed={self.seed}, "
                f"{np.dtype(self.dtype)})")

    def batch(self, step: int) -> Batch:
        """Return the samples of one step."""
        return self.data.sample(self.batch_size, stream(self.seed, Role.TRAINING_DATA, step),
                                self.dtype)


@dataclass(frozen=True)
class TrainingSet:
    """``size`` samples drawn once, visited in a new random order every epoch.

    A batch size of at least ``size`` gives full-batch gradient descent.
    """

    data: DataModel
    size: int
    batch_size: int = 1000
    seed: int = 0
    dtype: DTypeLike = np.float64

    def __post_init__(self) -> None:
        _require_data(self.data)
        require_int("size", self.size, low=1)
        require_int("batch_size", self.batch_size, low=1)

    def __repr__(self) -> str:
        return (f"TrainingSet({self.data!r}, size={self.size}, batch_size={self.batch_size}, "
                f"seed={self.seed}, {np.dtype(self.dtype)})")

    @cached_property
    def samples(self) -> Batch:
        """The whole training set."""
        return self.data.sample(self.size, stream(self.seed, Role.TRAINING_DATA), self.dtype)

    @property
    def batches_per_epoch(self) -> int:
        """Full batches in an epoch; the samples left over wait for the next order."""
        return max(1, self.size // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the samples of one step."""
        if self.batch_size >= self.size:
            return self.samples
        epoch, place = divmod(step, self.batches_per_epoch)
        order = stream(self.seed, Role.SHUFFLING, epoch).permutation(self.size)
        rows = order[place * self.batch_size:(place + 1) * self.batch_size]
        return self.samples[rows]


@contextmanager
def drawn_ahead(batches: Batches, last: int) -> Iterator[Callable[[int], Batch]]:
    """Give a function step -> batch that draws the next one while the last is used.

    With one thread nothing is drawn ahead. A batch depends on its step alone, so it is the same
    either way.

    Parameters
    ----------
    batches : Batches
    last : int
        Steps from here on are not asked for.
    """
    if threads() < 2:
        yield batches.batch
        return
    waiting: dict[int, Any] = {}
    with ThreadPoolExecutor(1, "batches") as drawer:
        def batch(step: int) -> Batch:
            drawn = waiting.pop(step, None)
            found: Batch = batches.batch(step) if drawn is None else drawn.result()
            if step + 1 < last:
                waiting[step + 1] = drawer.submit(batches.batch, step + 1)
            return found
        yield batch


def _require_data(data: Any) -> None:
    if isinstance(data, type) or not callable(getattr(data, "sample", None)):
        got = f"the class {data.__name__}" if isinstance(data, type) else type(data).__name__
        raise TypeError(f"data: expected a data model with a method sample, such as "
                        f"SparseCoding(d=64, k=4), got {got}")
