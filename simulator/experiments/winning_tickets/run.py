"""One run about tickets: a dense network, masks at its initialisation, and the training of each.

Masks are found at the initialisation of a dense symmetric ReLU network
(:attr:`~simulator.experiments.winning_tickets.config.TicketConfig.masks`; one of them comes with
weights of its own), rescaled, and trained like the dense network, on the same samples, twice: on
adversarial examples of the dense initialisation, the same for all ("common"), which is where equal
kernels promise equal dynamics; and each against its own attacks ("own"), which is adversarial
training. Measured at held-out adversarial examples of the dense initialisation:

    kernel error       ||K_mask - K||_F / ||K||_F at initialisation
    trajectory error   ||F_mask - F|| / ||F||, F the outputs at all recorded steps together

then clean and attacked accuracy after adversarial training, and, on a set of its own, the two
flows on frozen kernels with the bound on their distance (:mod:`simulator.ntk.frozen_flow`).

The experiments of Shi et al., arXiv 2202.06488, on the data and the network of Allen-Zhu & Li
(arXiv 2005.10190). That trajectories are compared on common examples is a choice made here. What
a run leaves is told in :mod:`simulator.experiments.winning_tickets.summary`.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from simulator.attacks.worst_case import worst_case
from simulator.errors import NotInvertible
from simulator.experiments.jackknife import LossLimits
from simulator.experiments.records import Record, as_text, columns_of, unheard
from simulator.experiments.winning_tickets.config import CONFIG, FLOWS, TicketConfig
from simulator.experiments.winning_tickets.cost import cost
from simulator.experiments.winning_tickets.experiment import FLOW_TIMES, Found, TicketExperiment
from simulator.experiments.winning_tickets.summary import (DENSE, Masked, finished_run,
                                                           masked_networks)
from simulator.networks.masked import MaskedReLU
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.tickets.dynamics import Dynamics, Gap
from simulator.tickets.masks import Rescaling
from simulator.training import train

__all__ = ["CONFIG", "check", "cost", "find_mask", "simulate", "train_network"]


def check(config: TicketConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    TicketExperiment(config)


def simulate(config: TicketConfig, folder: RunFolder | None = None,
             progress: Progress = silent, **parts: Any) -> Run:
    """Do a run, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : TicketConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    **parts
        ``network``, ``data``, ``attack`` in the place of those of the config; see
        :class:`TicketExperiment`. With them a run belongs to no folder.

    Returns
    -------
    Run
        See :mod:`simulator.experiments.winning_tickets.summary`.

    Raises
    ------
    Diverged, Stopped, RunError
        See :func:`simulator.runs.stages.run_stages`.
    """
    experiment = TicketExperiment(config, **parts)
    stages = _stages(experiment)
    done = run_stages(config, stages, folder, progress)
    return write_run(finished_run(experiment, done), folder, sum(stage.steps for stage in stages))


def _stages(experiment: TicketExperiment) -> list[Stage]:
    """The dense network first: the lottery looks at its weights."""
    config = experiment.config
    stages = [*_trainings(experiment, DENSE),
              Stage("dense kernel", 1, partial(_kernel_moves, experiment))]
    for masked in masked_networks(config):
        stages += [Stage(masked.found, max(config.search_steps, 1),
                         partial(find_mask, experiment, masked)), *_trainings(experiment, masked)]
    return stages


def _trainings(experiment: TicketExperiment, masked: Masked) -> list[Stage]:
    steps = experiment.config.steps
    return [Stage(masked.common, steps, partial(_follow, experiment, masked)),
            Stage(masked.own, steps + 1, partial(_defend, experiment, masked))]


def find_mask(experiment: TicketExperiment, masked: Masked, done: Mapping[str, Arrays],
              saved: Arrays | None, tick: Tick) -> Arrays:
    """Find a mask, and measure it at initialisation.

    Returns
    -------
    dict
        ``mask``, its bits; ``rescaling``, scale and bias; ``objective``, ``kernel_error`` and
        ``output_error``; ``flow`` (2, times), distance and bound, and ``flow_error``, NaN where
        the mask's kernel has no inverse; ``kernel_without``, the kernel error without each sample,
        and of FLOWS ``flow_limits``.
    """
    candidates = experiment.candidates(masked.name, masked.keep, done[DENSE.own]["weights"])
    chosen = experiment.best_rule(candidates)
    found, gap = candidates[chosen], _gap(experiment, candidates[chosen])
    measured = {"objective": experiment.objective(*found),
                "kernel_error": gap.relative_kernel, "output_error": gap.relative_outputs}
    own = {} if found.weights is None else {"weights": found.weights}
    own["kernel_without"] = experiment.held_out.relative_kernel_without_each(
        found.mask, found.rule.scale, found.rule.bias, found.weights)
    try:
        flow = experiment.flow(*found)
        lines, measured["flow_error"] = np.array([flow.distance, flow.bound]), flow.relative_error
        if masked.name in FLOWS:
            with suppress(NotInvertible):  # without some of the samples: a flow without limits
                own["flow_limits"] = experiment.flow_limits(flow, found)
    except NotInvertible:
        lines, measured["flow_error"] = np.full((2, FLOW_TIMES), np.nan), np.nan
    if len(candidates) > 1:
        own["by_rule"] = as_text({"chosen": chosen} | {
            rule: {"kernel_error": gap.relative_kernel, "output_error": gap.relative_outputs,
                   "objective": experiment.objective(*one)}
            for rule, one in candidates.items() for gap in [_gap(experiment, one)]})
    return {"mask": np.packbits(found.mask),
            "rescaling": np.array([found.rule.scale, found.rule.bias]), "flow": lines, **own,
            **{name: np.array(value) for name, value in measured.items()}}


def _gap(experiment: TicketExperiment, found: Found) -> Gap:
    return experiment.held_out.gap(found.mask, found.rule.scale, found.rule.bias, found.weights)


def _follow(experiment: TicketExperiment, masked: Masked, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Train on adversarial examples of the dense initialisation; return the columns recorded."""
    network = _network(experiment, masked, done)
    return columns_of(train_network(experiment, network, True, saved, tick).rows)


def _defend(experiment: TicketExperiment, masked: Masked, done: Mapping[str, Arrays],
            saved: Arrays | None, tick: Tick) -> Arrays:
    """Train on the network's own adversarial examples, and attack what comes out.

    Returns
    -------
    dict
        The columns recorded, ``accuracy``, ``attacked_accuracy``, and ``weights`` of the dense
        network.
    """
    record = train_network(experiment, _network(experiment, masked, done), False, saved, tick)
    worst = worst_case(record.network, experiment.test_set, experiment.adversary)
    weights = {"weights": record.network.weights} if masked == DENSE else {}
    return {"accuracy": np.array(worst.accuracy("clean")),
            "attacked_accuracy": np.array(worst.accuracy()), **weights,
            **columns_of(record.rows)}


def train_network(experiment: TicketExperiment, network: MaskedReLU, common: bool,
                  saved: Arrays | None = None, tick: Tick = unheard) -> Record:
    """Do a training of a run.

    Parameters
    ----------
    experiment : TicketExperiment
    network : MaskedReLU
        At initialisation; trained in place.
    common : bool
        On adversarial examples of the dense initialisation, the same for every mask; otherwise
        on the network's own.
    saved, tick
        See :class:`simulator.runs.stages.Stage`.

    Returns
    -------
    Record
        Its rows hold loss and outputs at the held-out samples, before the first step and at
        each recorded one.
    """
    config, X = experiment.config, experiment.held_out.X.astype(experiment.config.dtype)
    record = Record(network, saved)

    def is_recorded(step: int) -> bool:
        return step % config.record_every == 0 or step == config.steps

    limits = LossLimits(network, lambda step: step == 1 or is_recorded(step), config.weight_decay)
    if not record.rows:
        record.rows.append({"outputs": network.forward(X), "loss": np.nan, **limits.row()})

    def after_step(step: int, loss: float) -> None:
        record.step = step
        if step == 1:  # of the network as it was
            record.rows[0] |= {"loss": loss, **limits.row()}
        if is_recorded(step):
            record.rows.append({"outputs": network.forward(X), "loss": loss, **limits.row()})
        tick(step, record.state)

    train(network, experiment.batches, learning_rate=config.learning_rate, start=record.step,
          stop=config.steps, weight_decay=config.weight_decay, seed=config.seed,
          adversary=experiment.training_adversary(common), before_step=limits,
          after_step=after_step)
    return record


def _network(experiment: TicketExperiment, masked: Masked,
             done: Mapping[str, Arrays]) -> MaskedReLU:
    """A network at initialisation, as its mask was found."""
    if masked == DENSE:
        return experiment.network(*experiment.everything)
    found, shape = done[masked.found], experiment.initial.shape
    mask = np.unpackbits(found["mask"], count=shape[0] * shape[1]).astype(bool).reshape(shape)
    return experiment.network(mask, Rescaling(*map(float, found["rescaling"])),
                              found.get("weights"))


def _kernel_moves(experiment: TicketExperiment, done: Mapping[str, Arrays],
                  saved: Arrays | None, tick: Tick) -> Arrays:
    """Return how far adversarial training moves the dense kernel: ``distance``, ``change``."""
    K, X = experiment.held_out.target, experiment.held_out.X
    trained = Dynamics(done[DENSE.own]["weights"], experiment.bias, X).target
    cosine = np.sum(K * trained) / (np.linalg.norm(K) * np.linalg.norm(trained))
    change = np.linalg.norm(trained - K) / np.linalg.norm(K)
    return {"distance": np.array(1.0 - cosine), "change": np.array(change)}
