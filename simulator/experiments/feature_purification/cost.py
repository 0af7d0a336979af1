"""What a purification run will cost.

Memory is counted in arrays that are alive at the peak; the counts below are measured (see
``tests/simulator/runs/test_cost.py``).
"""

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.runs.cost import (EVALUATION_SLOWER, PROCESS_BYTES, STEP_SECONDS, TRAINING_SLOWER,
                                 Cost)

__all__ = ["LEARNERS", "cost", "evaluation_steps"]

LEARNERS = ("linear", "degree 2", "degree 3", "symmetric cubic", "tangent kernel")

OWN_WEIGHTS = 2  # (m, d) arrays in the run's dtype: weights, gradient
WIDE_WEIGHTS = 7  # and in float64: parts of the feature metrics, copies, checkpoint bytes
PRE_ACTIVATIONS = 1  # (n, m) arrays; sampled smoothing holds its noise as well
INPUTS = 5  # (n, d) arrays: samples, perturbations, gradients
DICTIONARIES = 4  # (d, d) arrays while a random dictionary is made
PGD_PASSES = 3 * 20 * 3  # starts, steps, products a step
STRONG_PASSES = 6 * 12 * 3 + 40 + 6 * 9  # adaptive PGD, and of the features those beside 2 d
BRACKET_PASSES = 15 * PGD_PASSES  # radii, bisection and bounds, for each of two networks
RECORD_PASSES = 5  # of the test samples, for a row of the history
RATE = 2e10  # flops a second; only shares of the progress bar depend on it
BOX_SECONDS = 6e-4  # of branch and bound, at a size of seconds
BOXES = 15  # of a sample and radius on average, however many are allowed: few stay open
DUAL_SECONDS = 0.007  # of the bisections, a sample
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
    if config.learner_steps:
        pairs = 0.5 * config.d * (config.d + 1.0)
        memory += item * pairs * (LEARNER_ROWS * rows + LEARNER_WEIGHTS * config.d)
    work = _evaluation_work(config)
    records = (config.clean_steps + config.adversarial_steps) / config.record_every
    recording = RECORD_PASSES * 2.0 * config.test_samples * weights * records
    product = 2.0 * config.batch_size * weights
    attack = 2 if config.training_attack == "fgm" else 2 * config.training_pgd_steps
    return Cost(memory, product * (2.0 * config.clean_steps
                                   + (2.0 + attack) * config.adversarial_steps),
                recording + len(LEARNERS) * work["learner"]
                + 2 * sum(flops for what, flops in work.items() if what != "learner"),
                (config.batch_size, config.m, config.d),
                config.clean_steps + config.adversarial_steps)


def evaluation_steps(config: PurificationConfig) -> dict[str, int]:
    """Return how many training steps each stage of the evaluation is worth, for the progress bar.

    ``learner`` is one of the low-complexity learners; the others are of one network.
    """
    step = TRAINING_SLOWER * 4.0 * config.batch_size * config.m * config.d / RATE + STEP_SECONDS
    radii = 6.0
    small = {"attacks": 0.02, "curves": 0.1, "r50": 0.05, "masking": 0.05,
             "bracket": (BOX_SECONDS * radii * config.bracket_samples
                         * min(config.bracket_nodes, BOXES)),
             "interval": DUAL_SECONDS * config.bracket_samples}
    return {what: max(1, round((EVALUATION_SLOWER * flops / RATE + small.get(what, 0.0)) / step))
            for what, flops in _evaluation_work(config).items()}


def _evaluation_work(config: PurificationConfig) -> dict[str, float]:
    """Flops of the stages of the evaluation: of one network, and of one learner."""
    weights = float(config.m) * config.d
    attack = 2.0 * config.test_samples * weights * PGD_PASSES
    certified = 2.0 * config.bracket_samples * weights * BRACKET_PASSES
    pairs = 0.5 * config.d * (config.d + 1.0)
    learner = (2.0 * LEARNER_PRODUCTS * config.learner_steps * config.batch_size * config.d
               * pairs) / len(LEARNERS)
    strong = 2.0 * config.test_samples * weights * (STRONG_PASSES + 2.0 * config.d)
    # 16 radii of the curves and about 10 of the bisection, many samples broken early; strong
    # attacks see the samples that are left at tau, each about once for the curves, half at r50
    return {"attacks": attack + 0.6 * strong, "curves": 12.0 * attack + 1.2 * strong,
            "r50": 5.0 * attack + 0.7 * strong,
            "masking": 0.05 * certified, "bracket": 0.75 * certified, "interval": 0.2 * certified,
            "learner": learner}
