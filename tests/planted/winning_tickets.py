"""Ticket runs with a planted truth: masks written down and measured as always, or summaries.

Summaries test the arithmetic of a verdict. Masks test what stands before it: in the planted
network a fifth of the neurons is e_1, ..., e_d, the others are zero; their gates never open, so
they change no output, no kernel and no step of a training. A mask that keeps the first fifth is
the dense network, and needs no rescaling.
"""

from unittest.mock import patch

import numpy as np

from simulator.experiments import config_of, preset
from simulator.experiments.winning_tickets.config import MASKS, TICKETS, TRAINED, TicketConfig
from simulator.experiments.winning_tickets.experiment import Found, TicketExperiment
from simulator.experiments.winning_tickets.run import simulate
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.tickets.masks import Rescaling
from theory.claim import Run

SEEDS = range(8)
TIMES = np.linspace(0.0, 1.0, 41)


def planted_run(seed, family="planted", ticket=0.7, others=(), gain=0.0, trained=0.0,
                distance=0.004, rescaling="better", bound=2.0, singular=(), **changes):
    """A run whose errors are 1 for the other masks and ``ticket`` for the tickets.

    ``others`` replaces errors of some masks; ``gain`` is the tickets' accuracy minus that of the
    dense network and ``trained`` that of the ticket with trained weights, ``bound`` the bound of
    the frozen flows over their distance at the end, ``singular`` the masks without one.
    """
    config = TicketConfig.from_settings(preset("smoke", "tickets") | {
        "name": family, "seed": seed, "rescaling": rescaling} | changes)
    rng = np.random.default_rng(seed)
    dense = {what: 0.9 + 0.02 * rng.random() for what in ("accuracy", "attacked_accuracy")}
    summary = {"kernel_distance": distance, "best_ticket": {}, "dense": dense}
    arrays = {}
    for percent in config.percents:
        level = rng.random()  # what a seed shares: only a paired test sees through it
        for name in config.masks:
            error = dict(others).get(name, ticket if name in TICKETS else 1.0)
            numbers = summary.setdefault(name, {})[str(percent)] = {}
            for what in ("kernel_error", "trajectory_error", "own_trajectory_error"):
                numbers[what] = level + error + 0.02 * rng.standard_normal()
            for what in ("accuracy", "attacked_accuracy"):
                numbers[what] = (dense[what] + 0.005 * (rng.random() - 0.5)
                                 + (gain if name in TICKETS else 0.0)
                                 + (trained if name == TRAINED else 0.0))
        summary["best_ticket"][str(percent)] = TICKETS[seed % 2]
        flow = np.tile([1.0 + TIMES, 1.0 + (2.0 * bound - 1.0) * TIMES], (len(config.masks), 1, 1))
        flow[[MASKS.index(name) for name in singular]] = np.nan
        arrays[f"flow_{percent}"] = flow
    return Run(config, summary, [], arrays)


def runs_of(**planted):
    return [planted_run(seed, **planted) for seed in SEEDS]


def caveat(finding, words):
    return any(words in note for note in finding.caveats)


D, M, BIAS = 20, 100, 0.3
PLANTED = {"name": "tickets-planted", "d": D, "m": M, "bias": BIAS, "keep_percents": "20",
           "learning_rate": 0.001, "steps": 4, "record_every": 2, "batch_size": 40,
           "kernel_samples": 30, "flow_samples": 4, "test_samples": 60, "evaluation_chunk": 60,
           "search_steps": 0, "swaps": 0, "rescaling": "better"}


def neurons_kept(keep, alive, rng):
    """A mask of whole neurons: so many that matter, drawn, and zero ones for the rest."""
    mask = np.zeros((M, D), bool)
    mask[rng.permutation(D)[:alive]] = True
    mask[D + rng.permutation(M - D)[:round(keep * M) - alive]] = True
    return mask


def measured_run(seed, ticket=D, other=D // 2):
    """A run whose tickets and other masks keep so many of the D neurons that matter."""
    def candidates(self, name, keep, trained):
        rng = np.random.default_rng([seed, MASKS.index(name), round(100 * keep)])
        alive = ticket if name in TICKETS else other
        return {"better": Found(neurons_kept(keep, alive, rng), Rescaling(1.0, self.bias))}

    weights = np.zeros((M, D))
    weights[:D] = np.eye(D)
    config = config_of(preset("smoke", "tickets") | PLANTED | {"seed": seed})
    with patch.object(TicketExperiment, "candidates", candidates):
        return simulate(config, network=SymmetricReLU(weights, BIAS))


def measured_runs(**kept):
    return [measured_run(seed, **kept) for seed in range(4)]
