"""What a patch run costs: products of patches and filters, counted; the rest, measured.

The measured constants were read off runs of the desk preset (one thread, 2 cores).
"""

from simulator.experiments.structured_features.config import TRAININGS, StructuredConfig
from simulator.runs.cost import PROCESS_BYTES, Cost

__all__ = ["cost"]

STEP_PRODUCTS = 2  # of a descent step: forward and gradient by the weights
BESIDE_PRODUCTS = 2.0  # activations and searches beside the products, as multiples of them
CERTIFICATE_FLOPS = 2e7  # what a certificate of one patch of one sample costs, as if products
# A race is over once all samples are fitted, however many steps it may take. It is as dear as this
# many steps of another training, which records what it learns.
RACE_STEPS = 40
# Products a test sample meets for each step of PGD: two starts of plain PGD and two of the search
# patch by patch, each forward and backward.
ATTACK_PRODUCTS = 8.0
DIRECTION_PRODUCTS = 40  # the attacks without steps: directions of the features, single steps
# Arrays of the shape of the samples that are alive at once in a step or in an attack.
ALIVE_SAMPLES = 6.0
ALIVE_ACTIVATIONS = 3.0  # and of that of all pre-activations of a chunk
RACE_SAMPLES = 4.0  # arrays of the shape of the samples in a race, which nobody attacks


def cost(config: StructuredConfig) -> Cost:
    """Estimate a run: the matrix products of training and attacks, and the samples in memory."""
    filters = config.classes * config.m
    rows = config.training_samples * config.patches
    step = 2.0 * STEP_PRODUCTS * rows * filters * config.d
    product = rows, filters, config.d
    if config.races:
        steps = config.races * config.kappa_points * min(config.standard_steps, RACE_STEPS)
        memory = PROCESS_BYTES + RACE_SAMPLES * rows * config.d * _item(config)
        return Cost(memory, step * steps, 0.0, product, steps)
    if config.spectrum_points:  # descent and one ascent, each as dear as the other
        steps = config.spectrum_points * config.one_step_steps
        return Cost(_memory(config), 2.0 * BESIDE_PRODUCTS * step * steps, 0.0, product, steps)
    steps = sum(getattr(config, f"{name}_steps") for name in TRAININGS)
    return Cost(_memory(config), BESIDE_PRODUCTS * (step * steps + _ascents(config, step)),
                len(TRAININGS) * _evaluation(config), product, steps)


def _item(config: StructuredConfig) -> int:
    return 4 if config.dtype == "float32" else 8


def _inner_product(config: StructuredConfig, samples: int, classes: int) -> float:
    """Flops of a product of samples and the neurons of some classes, as attacks make it.

    They work in the span of the weights, which may have fewer dimensions than a patch.
    """
    neurons = classes * config.m
    return 2.0 * samples * config.patches * neurons * min(neurons, config.d)


def _memory(config: StructuredConfig) -> float:
    test = float(config.test_samples) * config.patches
    chunk = min(config.evaluation_chunk, config.test_samples) * config.patches
    rows = config.training_samples * config.patches
    return (PROCESS_BYTES + (test + ALIVE_SAMPLES * max(rows, chunk)) * config.d * _item(config)
            + ALIVE_ACTIVATIONS * chunk * config.classes * config.m * _item(config))


def _ascents(config: StructuredConfig, step: float) -> float:
    """Flops of the attacks within the trainings; one ascent costs as much as one descent."""
    product = _inner_product(config, config.training_samples, config.classes)
    searched = 2 if config.patch_search == "paired" else config.classes
    search = _inner_product(config, config.training_samples, searched) * (config.classes - 1) * (
        2 * config.m + 2.0 * config.inner_steps * (1 + config.restarts))
    return (step * config.one_step_steps + search * config.multi_start_steps
            + 2.0 * product * config.inner_steps * config.pgd_steps)


def _evaluation(config: StructuredConfig) -> float:
    """Flops of the attacks on one network, and of its certificates."""
    product = _inner_product(config, config.test_samples, config.classes)
    attacks = product * (config.classes - 1) * (
        ATTACK_PRODUCTS * config.attack_steps + 2 * config.m + DIRECTION_PRODUCTS)
    proofs = CERTIFICATE_FLOPS * config.certified_samples * config.patches
    return BESIDE_PRODUCTS * attacks + proofs
