"""What a purification run will cost.

Memory is counted in arrays that are alive at the peak; the counts below are measured (see
``tests/simulator/runs/test_cost.py``).
"""

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.features import BLOCK
from simulator.low_complexity import LEARNERS
from simulator.robustness.bracket import is_huge
from simulator.runs.cost import PROCESS_BYTES, STEP_SECONDS, TRAINING_SLOWER, Cost

__all__ = ["cost", "evaluation_steps"]

# (m, d) arrays in the run's dtype: the weights, the initial and the clean ones, the state of the
# last checkpoint and of the next; groups of neurons, or a gradient.
OWN_WEIGHTS = 6
WIDE_BLOCKS = 5  # blocks of neurons in float64, of which the history is measured
PRE_ACTIVATIONS = 1  # (n, m) arrays; sampled smoothing holds its noise as well
INPUTS = 5  # (n, d) arrays: samples, perturbations, gradients
DICTIONARIES = 4  # (d, d) arrays while a random dictionary is made
LEARNER_ROWS = 5  # (n, d (d + 1) / 2) arrays of a polynomial learner
LEARNER_WEIGHTS = 11  # (d, d (d + 1) / 2) arrays: the cubics of a grid
LEARNER_PRODUCTS = 3 * (2 + 2 * 4) + 40  # grid, clean and adversarial; choice and attacks

RATE = 5e10  # flops a second; only shares of the progress bar depend on it
# Measured in seconds on one thread, lottery at d = 128 to 512 and desk at d = 100 and 200.
DRAWN = 1.5e-8  # a number of a batch: to draw it, and to split it
SHRUNK = 2.5e-10  # a weight, in a pass over lists of open gates
TRIED = 5e-10  # a pair of a sample and a neuron
SUMMED = 4.5e-10  # a number of a pair with an open gate: its product, its gradients
OPEN = 0.15  # open gates, in units of the share of coordinates that are on in a code
EARLY = 60  # steps before the bias closes most gates: one dense product each, gradients by lists
AWAKE = 0.2  # share of the neurons that win a feature
RECORDED = 2.5e-8  # a weight, in a row of the history
ATTACKED = 8e-3  # a test sample, through all attacks and radii
REACHED = 7e-9  # and for each weight of the neurons in its reach
SHARES = {"attacks": 0.2, "curves": 0.64, "r50": 0.1, "tails": 0.6, "masking": 0.06}
CERTIFIED = 9e-6  # a sample and d^2, at six radii
FACTORED = 1.2e-10  # a sample and d^3, where it has one factor a radius (measured at d = 4096)
BRACKETED = 0.75  # of that; the rest is the critical interval
CERTIFIED_TOGETHER = 6e-8  # a sample and weight, where one factor serves all of them
DECIDED = 2e-8  # m d^2: the samples on which r99 hangs, a factor for each step; huge: not counted


def cost(config: PurificationConfig) -> Cost:
    """Estimate a purification run.

    The work is that of the matrix products where they are done: one a clean step and two an FGM
    step, twice that where smoothing lets no gate be closed, and of the low-complexity learners
    those of the cubics; elsewhere that of the open gates.
    """
    item = 4 if config.dtype == "float32" else 8
    weights = float(config.m) * config.d
    rows = max(config.batch_size, min(config.test_samples, config.evaluation_chunk))
    sampled = config.smoothing > 0 and config.smoothing_mode == "sampled"
    memory = (PROCESS_BYTES + weights * OWN_WEIGHTS * item
              + WIDE_BLOCKS * 8.0 * min(weights, BLOCK)
              + float(rows) * config.m * item * (PRE_ACTIVATIONS + sampled)
              + float(rows) * config.d * item * INPUTS
              + (float(config.training_samples) + config.test_samples) * config.d * item)
    if config.dictionary == "random":
        memory += DICTIONARIES * 8.0 * config.d**2
    if config.learner_steps and config.learners == "all":
        pairs = 0.5 * config.d * (config.d + 1.0)
        memory += item * pairs * (LEARNER_ROWS * rows + LEARNER_WEIGHTS * config.d)
    records = (config.clean_steps + config.adversarial_steps) / config.record_every
    stages = _stage_seconds(config)
    flops, kernels = _training_work(config)
    return Cost(memory, flops, len(LEARNERS[config.learners]) * _learner_flops(config),
                (config.batch_size, config.m, config.d),
                config.clean_steps + config.adversarial_steps,
                kernels + RECORDED * weights * records
                + 2.0 * sum(stages.values()) - stages["certified"]
                + len(config.low_ranks) * (stages["attacks"] + stages["bracket"]), item)


def evaluation_steps(config: PurificationConfig) -> dict[str, int]:
    """Return how many training steps each stage of the evaluation is worth, for the progress bar.

    ``learner`` is one of the low-complexity learners; the others are of one network.
    """
    flops, kernels = _training_work(config)
    steps = config.clean_steps + config.adversarial_steps
    step = STEP_SECONDS + (TRAINING_SLOWER * flops / RATE + kernels) / steps
    stages = _stage_seconds(config) | {"learner": _learner_flops(config) / RATE}
    return {what: max(1, round(length / step)) for what, length in stages.items()}


def _by_lists(config: PurificationConfig) -> bool:
    """Whether nearly all gates close early on, so that steps are sums over lists of open ones."""
    return config.bias_schedule == "linear" and config.smoothing == 0.0


def _training_work(config: PurificationConfig) -> tuple[float, float]:
    """Flops of matrix products, and seconds of everything else."""
    n, m, d = float(config.batch_size), float(config.m), float(config.d)
    clean = float(config.clean_steps)
    adversarial = config.adversarial_steps + float(config.low_rank_steps * len(config.low_ranks))
    passes = 1.0 if config.training_attack == "fgm" else float(config.training_pgd_steps)
    drawn = DRAWN * n * d * (clean + adversarial)
    product = 2.0 * n * m * d
    if not _by_lists(config):
        each = product if config.smoothing == 0.0 else 2.0 * product
        return each * (clean + (1.0 + passes) * adversarial), drawn
    early = min(clean, EARLY)
    pairs = OPEN * (config.c_strong + config.c_weak * config.k) / d * n * m
    once = SHRUNK * m * d + TRIED * n * m + SUMMED * pairs * d
    return product * early, drawn + once * (clean - early + (1.0 + passes) * adversarial)


def _stage_seconds(config: PurificationConfig) -> dict[str, float]:
    """Seconds of the stages of the evaluation of one network."""
    reach = config.m * config.d * (AWAKE if _by_lists(config) else 1.0)
    attacked = config.test_samples * (ATTACKED + REACHED * reach)
    certified = config.bracket_samples * (
        FACTORED * config.d**3 if is_huge(reach / config.d, config.d) else CERTIFIED * config.d**2)
    dear = bool(config.tail_samples) and not is_huge(config.m, config.d)
    together = (CERTIFIED_TOGETHER * config.tail_samples
                + DECIDED * config.d * dear) * config.m * config.d
    return {what: share * attacked for what, share in SHARES.items()} | {
        "certified": together, "bracket": BRACKETED * certified,
        "interval": (1.0 - BRACKETED) * certified}


def _learner_flops(config: PurificationConfig) -> float:
    """Of one learner, on average: the cubic with all coefficients, or else the tangent kernel."""
    if config.learners != "all":
        passes = config.m if config.learners == "large" else 1.0
        return (4.0 * LEARNER_PRODUCTS * config.learner_steps * config.batch_size * config.d
                * passes) / len(LEARNERS[config.learners])
    pairs = 0.5 * config.d * (config.d + 1.0)
    return (2.0 * LEARNER_PRODUCTS * config.learner_steps * config.batch_size * config.d
            * pairs) / len(LEARNERS[config.learners])
