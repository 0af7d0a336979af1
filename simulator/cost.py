"""What a run will cost, told before it starts: memory and floating-point work."""

import os
from dataclasses import dataclass

from simulator.config import SimulationConfig

__all__ = ["Cost", "cost", "physical_memory"]

PROCESS_BYTES = 300e6  # interpreter, NumPy, SciPy, Numba and compiled kernels
PGD_PASSES = 3 * 20 * 3  # starts, steps, products a step


@dataclass(frozen=True)
class Cost:
    """Attributes: peak memory in bytes, work of training and evaluation in flops."""

    memory: float
    training_flops: float
    evaluation_flops: float


def cost(config: SimulationConfig) -> Cost:
    """Estimate a run.

    Counts the (m, d) arrays (weights, gradient, initial and clean copies, checkpoint copies and
    their bytes, the float64 copies of the feature metrics), the (n, m) pre-activations, and the
    matrix products: 2 a clean step, 4 an adversarial step, and the attacks of the evaluation.
    """
    item = 4 if config.dtype == "float32" else 8
    weights = float(config.m) * config.d
    rows = max(config.batch_size, min(config.test_samples, config.evaluation_chunk))
    memory = (PROCESS_BYTES + weights * (7 * item + 4 * 8) + 2.0 * rows * config.m * item
              + 8.0 * rows * config.d * item)
    if config.training_samples:
        memory += float(config.training_samples) * config.d * item
    product = 2.0 * config.batch_size * weights
    attack = 2 if config.training_attack == "fgm" else 2 * config.training_pgd_steps
    test = 2.0 * config.test_samples * weights
    records = (config.clean_steps + config.adversarial_steps) / config.record_every
    # 16 radii of the curves and about 10 of the bisection, many samples broken early
    return Cost(memory, product * (2.0 * config.clean_steps
                                   + (2.0 + attack) * config.adversarial_steps),
                test * (5.0 * records + 2 * 18 * PGD_PASSES))


def physical_memory() -> float:
    """Return the machine's memory in bytes; infinite where it cannot be asked."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return float("inf")
