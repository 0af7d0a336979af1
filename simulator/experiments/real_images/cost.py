"""What a run on real images costs: its trainings, counted; attacks and the dictionary, in steps."""

from simulator.experiments.real_images.config import PHASES, ImageConfig
from simulator.runs.cost import PROCESS_BYTES, Cost

__all__ = ["cost"]

STEP_FLOPS = 4.0  # a weight and an image: forward and gradient
EVALUATION_STEPS = 400  # passes of all attacks and radii over the test set, of each network
PACKAGES_BYTES = 90 * 2**20  # scikit-learn and what it loads
PATCH = 144  # pixels of a natural patch
CERTIFICATE_SECONDS = 0.04  # a certified image of one network, most of them decided cheaply
DICTIONARY_SECONDS = 2.5e-4  # a natural patch
DRAWING_SECONDS = 4.0  # the photographs read, four of them rebuilt


def cost(config: ImageConfig) -> Cost:
    """Estimate a run: its trainings, attacks on every network, the dictionary of the patches."""
    weights = float(config.m) * config.d
    item = 4 if config.dtype == "float32" else 8
    images = float(max(config.test_samples, 200))
    passes = (2.0 * config.clean_steps + config.adversarial_steps
              + 2.0 * config.adversarial_steps * (config.attack_steps + 2))
    steps = 2 * config.clean_steps + 3 * config.adversarial_steps
    memory = (PROCESS_BYTES + PACKAGES_BYTES + item * (10.0 * weights + 3.0 * images * config.m)
              + 8.0 * 4.0 * PATCH * config.natural_patches
              + 8.0 * config.d * (config.training_samples + images))
    seconds = (DRAWING_SECONDS + DICTIONARY_SECONDS * config.natural_patches
               + CERTIFICATE_SECONDS * 2 * config.certified_samples)
    return Cost(memory, STEP_FLOPS * config.batch_size * weights * passes,
                STEP_FLOPS * images * weights * EVALUATION_STEPS * len(PHASES),
                (config.batch_size, config.m, config.d), steps, seconds)
