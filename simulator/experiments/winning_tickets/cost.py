"""What a ticket run costs: its trainings, counted, and the searches, as if they were products."""

from simulator.experiments.winning_tickets.config import RULES, TicketConfig
from simulator.runs.cost import PROCESS_BYTES, Cost

__all__ = ["cost"]

STEP_FLOPS = 8.0  # a weight and a sample: forward and gradient, of the attack and of the step
SEARCH_FLOPS = 8.0  # a weight and a sample of a search step: kernel, its gradient, the target's
# Searches of all steps for each share kept: five tickets, and the swaps, which cost another one.
SEARCHES = 6
EVALUATION_FLOPS = 20.0  # a weight and a test sample: ten steps of PGD
WORKING_WEIGHTS = 6  # float64 arrays (m, d) beside one for each share kept
ALIVE_ACTIVATIONS = 4  # bytes beside those of the run's dtype, of each entry of an array (n, m)


def cost(config: TicketConfig) -> Cost:
    """Estimate a run: its trainings, and the searches, whose work is that of their kernels."""
    weights = float(config.m) * config.d
    item = 4 if config.dtype == "float32" else 8
    trainings = 2 * (1 + len(config.masks) * len(config.percents))
    searches = len(RULES[config.rescaling]) * len(config.percents) * (
        SEARCHES * config.search_steps + config.transfer_steps)
    memory = (PROCESS_BYTES + 8.0 * weights * (WORKING_WEIGHTS + len(config.percents))
              + float(config.batch_size) * config.m * (item + ALIVE_ACTIVATIONS)
              + 8.0 * config.search_steps * config.search_samples**2)
    return Cost(memory, STEP_FLOPS * config.batch_size * weights * config.steps * trainings,
                SEARCH_FLOPS * config.search_samples * weights * searches
                + EVALUATION_FLOPS * config.test_samples * weights * trainings,
                (config.batch_size, config.m, config.d), config.steps * trainings)
