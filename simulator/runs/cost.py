"""What a run will cost, told before it starts: memory, floating-point work, and time.

Memory is counted in arrays that are alive at the peak; the counts below are measured (see
``tests/simulator/runs/test_cost.py``). Time is an estimate: the work, by the rate of one product timed now.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from simulator.runs.config import SimulationConfig

__all__ = ["Cost", "available_memory", "cost", "duration", "gemm_rate", "physical_memory",
           "seconds"]

PROCESS_BYTES = 205 * 2**20  # interpreter, NumPy, SciPy, Numba; 40 more where it compiles
OWN_WEIGHTS = 2  # (m, d) arrays in the run's dtype: weights, gradient
WIDE_WEIGHTS = 7  # and in float64: parts of the feature metrics, copies, checkpoint bytes
PRE_ACTIVATIONS = 1  # (n, m) arrays; sampled smoothing holds its noise as well
INPUTS = 5  # (n, d) arrays: samples, perturbations, gradients
DICTIONARIES = 4  # (d, d) arrays while a random dictionary is made
PGD_PASSES = 3 * 20 * 3  # starts, steps, products a step
BRACKET_PASSES = 15 * PGD_PASSES  # radii, bisection and bounds, for each of two networks
LEARNER_ROWS = 5  # (n, d (d + 1) / 2) arrays of a polynomial learner
LEARNER_WEIGHTS = 11  # (d, d (d + 1) / 2) arrays: the cubics of a grid
LEARNER_PRODUCTS = 3 * (2 + 2 * 4) + 40  # grid, clean and adversarial; choice and attacks
TRAINING_SLOWER = 1.5  # gates, draws and losses beside the products
EVALUATION_SLOWER = 2.1
STEP_SECONDS = 1e-3  # what a step costs however small it is
START_SECONDS = 2.0  # imports


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
    """

    memory: float
    training_flops: float
    evaluation_flops: float
    product: tuple[int, int, int]
    steps: int


def cost(config: SimulationConfig) -> Cost:
    """Estimate a purification run.

    The work is that of the matrix products: 2 a clean step, 4 an adversarial step, the attacks
    of the evaluation and, of the low-complexity learners, those of the cubics.
    """
    item = 4 if config.dtype == "float32" else 8
    weights = float(config.m) * config.d
    rows = max(config.batch_size, min(config.test_samples, config.evaluation_chunk))
    sampled = config.smoothing > 0 and config.smoothing_mode == "sampled"
    memory = (PROCESS_BYTES + weights * (OWN_WEIGHTS * item + WIDE_WEIGHTS * 8)
              + float(rows) * config.m * item * (PRE_ACTIVATIONS + sampled)
              + float(rows) * config.d * item * INPUTS
              + (float(config.training_samples) + config.test_samples) * config.d * item)
    if config.dictionary == "random":
        memory += DICTIONARIES * 8.0 * config.d**2
    learning = 0.0
    if config.learner_steps:
        pairs = 0.5 * config.d * (config.d + 1.0)
        memory += item * pairs * (LEARNER_ROWS * rows + LEARNER_WEIGHTS * config.d)
        learning = (2.0 * LEARNER_PRODUCTS * config.learner_steps * config.batch_size
                    * config.d * pairs)
    product = 2.0 * config.batch_size * weights
    attack = 2 if config.training_attack == "fgm" else 2 * config.training_pgd_steps
    test = 2.0 * config.test_samples * weights
    records = (config.clean_steps + config.adversarial_steps) / config.record_every
    # 16 radii of the curves and about 10 of the bisection, many samples broken early
    return Cost(memory, product * (2.0 * config.clean_steps
                                   + (2.0 + attack) * config.adversarial_steps),
                test * (5.0 * records + 2 * 18 * PGD_PASSES)
                + 2.0 * config.bracket_samples * weights * 2 * BRACKET_PASSES + learning,
                (config.batch_size, config.m, config.d),
                config.clean_steps + config.adversarial_steps)


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
    return (START_SECONDS + STEP_SECONDS * need.steps
            + (TRAINING_SLOWER * need.training_flops
               + EVALUATION_SLOWER * need.evaluation_flops) / rate)


def duration(length: float) -> str:
    """Return seconds in words: ``40 s``, ``12 min``, ``3.5 h``."""
    if length < 90:
        return f"{length:.0f} s"
    return f"{length / 60:.0f} min" if length < 5400 else f"{length / 3600:.1f} h"


def physical_memory() -> float:
    """Return the machine's memory in bytes; infinite where it cannot be asked."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return float("inf")


def available_memory() -> float:
    """Return the bytes that can be taken without hurting others; at most the machine's."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(1024.0 * int(line.split()[1]), physical_memory())
    except (OSError, ValueError, IndexError):
        pass
    return physical_memory()
