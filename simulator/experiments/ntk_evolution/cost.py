"""What a kernel run costs: its products of samples and weights, its kernels, its weights.

The products are counted; how many an evaluation takes was read off a run of the desk preset.
"""

from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.summary import first_phase, frozen_trainings, passing
from simulator.ntk.empirical import ntk_bytes
from simulator.runs.cost import PROCESS_BYTES, Cost

__all__ = ["cost"]

# Products of a batch with the weights. A step: forward and gradient; the two kinds of training
# of phase 1 take two steps each, of which one is attacked, with two more products an ascent step.
PHASE_ONE_PRODUCTS = 4
PHASE_ONE_ASCENT = 2
# Phase 2, over its three kinds of data: a step of each; the attack, once plain, once through
# smoothed gates, which needs the derivative of the gates as well.
PHASE_TWO_PRODUCTS = 6
PHASE_TWO_ASCENT = 8
EVALUATION_PRODUCTS = 600  # of one network: PGD from three starts, plain and at three widths
# Arrays (m, d) beside the four of each freeze time: gradients, copies, bytes of a checkpoint.
WORKING_WEIGHTS = 12
ALIVE_ACTIVATIONS = 3  # arrays (n, m) in a step or an attack
ALIVE_SAMPLES = 6  # arrays (n, d)
# Kernels on the probe samples beside those of the freeze times; on the spectrum's samples: the
# kernel, and what its eigenvectors take.
WORKING_KERNELS = 6
SPECTRUM_KERNELS = 4


def cost(config: NTKConfig) -> Cost:
    """Estimate a run by its matrix products."""
    product = 2.0 * config.batch_size * config.m * config.d
    pgd = config.training_pgd_steps if config.training_attack == "pgd" else 1
    frozen = len(frozen_trainings(config))
    runs = len(first_phase(config)) / 2  # in pairs of a clean and an attacked one
    triples = frozen / 3  # of benign, adversarial and masked data
    training = product * (
        runs * config.steps * (PHASE_ONE_PRODUCTS + PHASE_ONE_ASCENT * pgd)
        + triples * config.frozen_steps * (PHASE_TWO_PRODUCTS + PHASE_TWO_ASCENT * pgd))
    evaluation = 2.0 * config.test_samples * config.m * config.d * frozen * EVALUATION_PRODUCTS
    return Cost(_memory(config), training, evaluation, (config.batch_size, config.m, config.d),
                round(2 * runs) * config.steps + frozen * config.frozen_steps)


def _memory(config: NTKConfig) -> float:
    item, times = (4 if config.dtype == "float32" else 8), len(config.freeze_times)
    weights = float(config.m) * config.d
    rows = float(max(config.batch_size, min(config.test_samples, config.evaluation_chunk)))
    kernels, kept = 2 * times + 1, len(first_phase(config)) * times + len(passing(config))
    records = config.steps // config.record_every + times
    return (PROCESS_BYTES + weights * item * (kept + WORKING_WEIGHTS)
            + 12.0 * records * config.probe_samples**2  # in float32, with two checkpoints' copies
            + rows * item * (config.m * ALIVE_ACTIVATIONS + config.d * ALIVE_SAMPLES)
            + ntk_bytes(config.probe_samples, config.d, config.m)
            + 8.0 * config.probe_samples**2 * (2 * kernels + WORKING_KERNELS)
            + ntk_bytes(config.spectrum_samples, config.d, config.m)
            + 8.0 * config.spectrum_samples**2 * SPECTRUM_KERNELS)
