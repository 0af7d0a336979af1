"""What a purification run will cost.

Memory is counted in arrays that are alive at the peak; the counts below are measured (see
``tests/simulator/runs/test_cost.py``).
"""

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.cost import PROCESS_BYTES, Cost

__all__ = ["cost"]

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


def cost(config: PurificationConfig) -> Cost:
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
