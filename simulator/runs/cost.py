"""What a run will cost, told before it starts: memory, floating-point work, and time.

Each experiment counts its own work and the arrays that are alive at its peak. Time is an estimate:
the matrix products, by the rate of one product timed now, and what the compiled kernels take, by
seconds that were measured on one machine.
"""

import time
from dataclasses import dataclass

__all__ = ["START_SECONDS", "Cost", "duration", "gemm_rate", "seconds"]

PROCESS_BYTES = 205 * 2**20  # interpreter, NumPy, SciPy, Numba; 40 more where it compiles
TRAINING_SLOWER = 1.5  # gates, draws and losses beside the products
EVALUATION_SLOWER = 2.1
STEP_SECONDS = 1.5e-3  # what a step costs however small it is
START_SECONDS = 3.5  # imports, kernels from the cache
DISK_BYTES = 3.5 * 2**20  # of a run folder: figures, page, frames and tables
DISK_WEIGHTS = 8  # (m, d) arrays in it: results, two checkpoints and one being written


@dataclass(frozen=True)
class Cost:
    """What a run will cost.

    Attributes
    ----------
    memory : float
        Bytes at the peak.
    training_flops, evaluation_flops : float
    product : tuple of int
        n, m, d of the matrix product that most of the work is.
    steps : int
    kernel_seconds : float
        What work takes that is no matrix product.
    item : int
        Bytes of a number in the run's files.
    """

    memory: float
    training_flops: float
    evaluation_flops: float
    product: tuple[int, int, int]
    steps: int
    kernel_seconds: float = 0.0
    item: int = 8

    @property
    def disk(self) -> float:
        """Bytes of the run folder at its largest, roughly."""
        _, m, d = self.product
        return DISK_BYTES + DISK_WEIGHTS * float(self.item) * m * d


def gemm_rate(product: tuple[int, int, int], dtype: str, threads: int,
              budget: float = 0.1) -> float:
    """Time a product of a batch with the weights; return its rate in flops a second.

    Parameters
    ----------
    product : tuple of int
        n, m, d; at most 2000 of each are taken, so that it stays quick.
    dtype : str
    threads : int
    budget : float
        Seconds to try for; the best of the repetitions counts.
    """
    import numpy as np
    import threadpoolctl
    n, m, d = (min(size, 2000) for size in product)
    X, W = np.ones((n, d), dtype), np.ones((m, d), dtype)
    best, end = float("inf"), time.perf_counter() + budget
    with threadpoolctl.threadpool_limits(threads):
        while best == float("inf") or time.perf_counter() < end:
            begin = time.perf_counter()
            X @ W.T
            best = min(best, max(time.perf_counter() - begin, 1e-9))
    return 2.0 * n * m * d / best


def seconds(need: Cost, rate: float) -> float:
    """Estimate the duration of a run in seconds, at a rate from :func:`gemm_rate`."""
    return (START_SECONDS + STEP_SECONDS * need.steps + need.kernel_seconds
            + (TRAINING_SLOWER * need.training_flops
               + EVALUATION_SLOWER * need.evaluation_flops) / rate)


def duration(length: float) -> str:
    """Return seconds in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if length < 90:
        return f"{length:.0f} s"
    return f"{length / 60:.0f} min" if length < 5400 else f"{length / 3600:.1f} h"
