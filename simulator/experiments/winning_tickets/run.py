"""One run about tickets: a dense network, masks at its initialisation, and the training of each.

Masks are found at the initialisation of a dense symmetric ReLU network
(:data:`~simulator.experiments.winning_tickets.config.MASKS`), rescaled, and trained like the dense network, on the same
samples, twice: on adversarial examples of the dense initialisation, the same for all ("common"),
which is where equal kernels promise equal dynamics; and each against its own attacks ("own"),
which is adversarial training. Measured at held-out adversarial examples of the dense
initialisation:

    kernel error       ||K_mask - K||_F / ||K||_F at initialisation
    trajectory error   ||F_mask - F|| / ||F||, F the outputs at all recorded steps together

then clean and attacked accuracy after adversarial training, and, on a set of its own, the two
flows on frozen kernels with the bound on their distance (:mod:`simulator.ntk.frozen_flow`).

The experiments of Shi et al., arXiv 2202.06488, on the data and the network of Allen-Zhu & Li
(arXiv 2005.10190). That trajectories are compared on common examples is a choice made here.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from simulator.experiments.winning_tickets.config import MASKS, TICKETS, TicketConfig
from simulator.experiments.winning_tickets.experiment import TicketTrials
from simulator.runs.cost import PROCESS_BYTES, Cost
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Arrays, Progress, Stage, Tick, run_stages, silent
from simulator.tickets.masks import Rescaling
from simulator.tickets.search import Dynamics

__all__ = ["CONFIG", "check", "cost", "simulate"]

CONFIG = TicketConfig


def check(config: TicketConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    TicketTrials(config)


def cost(config: TicketConfig) -> Cost:
    """Estimate a run: its trainings, and the searches, whose work is that of their kernels."""
    weights = float(config.m) * config.d
    item = 4 if config.dtype == "float32" else 8
    trainings = 2 * (1 + len(MASKS) * len(config.percents))
    searches = 6 * len(config.percents) * config.search_steps  # tickets, swaps, their targets
    memory = (PROCESS_BYTES + 8.0 * weights * (6 + len(config.percents))
              + float(config.batch_size) * config.m * (item + 4)
              + 8.0 * config.search_steps * config.search_samples**2)
    return Cost(memory, 8.0 * config.batch_size * weights * config.steps * trainings,
                8.0 * config.search_samples * weights * searches
                + 20.0 * config.test_samples * weights * trainings,
                (config.batch_size, config.m, config.d), config.steps * trainings)


def simulate(config: TicketConfig, folder: RunFolder | None = None,
             progress: Progress = silent) -> Run:
    """Do a run.

    The summary has ``dense`` and a dict for each mask of :data:`~simulator.experiments.winning_tickets.config.MASKS`,
    its numbers followed by the kept percentage (``kernel_error_20``): errors of kernel, outputs at
    initialisation, trajectory (``own_``: on its own attacks) and frozen flow, accuracies, the
    objective at validation samples, and the share of the flow's bound that its distance has used
    at the end. ``best_ticket_20`` is the ticket with the smallest objective; ``kernel_distance``
    (1 - cosine) and ``kernel_change`` (relative) tell how far the dense kernel moved.

    Arrays, with a row for each mask: ``trajectory_20`` (masks, records); ``flow_20`` (masks, 2,
    times), distance and bound; ``per_neuron_20`` (masks, m), kept weights of the neurons,
    ascending; ``per_rank_20`` (masks, d), kept share of the weights that are their neuron's
    largest, second largest, ...; ``per_feature_20`` (masks, d). The history has the relative error
    of the outputs of each mask at each recorded step.
    """
    trials = TicketTrials(config)
    stages = [Stage("dense", 2 * config.steps, lambda done, saved, tick: _dense(trials, tick))]
    for percent in config.percents:
        stages += [Stage(f"{name} {percent} %", 2 * config.steps, _masked(trials, name, percent))
                   for name in MASKS]
    done = run_stages(config, stages, folder, progress)
    return write_run(_result(trials, done), folder, sum(stage.steps for stage in stages))


def _dense(trials: TicketTrials, tick: Callable[[int], None]) -> Arrays:
    """Train the dense network: a mask that keeps everything."""
    config = trials.config
    everything = np.ones((config.m, config.d), bool), Rescaling(1.0, config.bias)
    found, weights = _trainings(trials, *everything, tick)
    K = trials.held_out.target
    trained = Dynamics(weights, config.bias, trials.held_out.X).target
    cosine = np.sum(K * trained) / (np.linalg.norm(K) * np.linalg.norm(trained))
    change = np.linalg.norm(trained - K) / np.linalg.norm(K)
    return found | {"weights": weights, "kernel_moves": np.array([1.0 - cosine, change])}


def _masked(trials: TicketTrials, name: str,
            percent: int) -> Callable[[Mapping[str, Arrays], Callable[[int], None]], Arrays]:
    def work(done: Mapping[str, Arrays], saved: Arrays | None, tick: Tick) -> Arrays:
        mask, rule = trials.find(name, percent / 100.0, done["dense"]["weights"])
        held = trials.held_out.gap(mask, rule.scale, rule.bias)
        return {"mask": np.packbits(mask), "rescaling": np.array([rule.scale, rule.bias]),
                "errors": np.array([trials.objective(mask, rule), held.relative_kernel,
                                    held.relative_outputs]),
                **_trainings(trials, mask, rule, tick)[0], **trials.flow(mask, rule)}
    return work


def _trainings(trials: TicketTrials, mask: np.ndarray, rule: Rescaling,
               tick: Callable[[int], None]) -> tuple[Arrays, np.ndarray]:
    """Train on common and on own adversarial examples; return what came of it, and W at the end."""
    found = trials.trained(trials.network(mask, rule), tick, common=True)
    network = trials.network(mask, rule)
    own = trials.trained(network, lambda step: tick(trials.config.steps + step))
    return ({"common": found["outputs"], "own": own["outputs"], "losses": own["losses"],
             "accuracies": trials.accuracies(network)}, network.weights)


def _result(trials: TicketTrials, done: Mapping[str, Arrays]) -> Run:
    config, dense = trials.config, done["dense"]
    moves = dense["kernel_moves"]
    summary: dict[str, Any] = {"kernel_distance": float(moves[0]),
                               "kernel_change": float(moves[1]),
                               "dense": {}, **{name: {} for name in MASKS}}
    arrays: Arrays = {"steps": _recorded(config)}
    history = []
    for percent in config.percents:
        found = {name: done[f"{name} {percent} %"] for name in MASKS}
        summary["dense"] |= _accuracies(dense, percent)
        for name, stage in found.items():
            summary[name] |= _numbers(dense, stage, percent)
            history += _rows(config, dense, stage, name, percent)
        summary[f"best_ticket_{percent}"] = min(
            TICKETS, key=lambda name: summary[name][f"objective_{percent}"])
        arrays |= _stacked(trials, dense, found, percent)
    return Run(config, summary, history, arrays)


def _accuracies(stage: Arrays, percent: int) -> dict[str, float]:
    clean, attacked = map(float, stage["accuracies"])
    return {f"accuracy_{percent}": clean, f"attacked_accuracy_{percent}": attacked}


def _numbers(dense: Arrays, stage: Arrays, percent: int) -> dict[str, float]:
    objective, kernel, outputs = map(float, stage["errors"])
    distance, bound = stage["flow"]
    return {f"kernel_error_{percent}": kernel,
            f"trajectory_error_{percent}": _error(dense["common"], stage["common"]),
            f"own_trajectory_error_{percent}": _error(dense["own"], stage["own"]),
            f"output_error_{percent}": outputs, **_accuracies(stage, percent),
            f"objective_{percent}": objective,
            f"flow_error_{percent}": float(stage["flow_error"]),
            f"bound_used_{percent}": float(distance[-1] / bound[-1])}


def _rows(config: TicketConfig, dense: Arrays, stage: Arrays, name: str,
          percent: int) -> list[dict[str, Any]]:
    return [{"mask": name, "keep": percent / 100.0, "step": int(step),
             "common_error": _error(dense["common"][at], stage["common"][at]),
             "own_error": _error(dense["own"][at], stage["own"][at]),
             "loss": float(stage["losses"][max(0, step - 1)])}
            for at, step in enumerate(_recorded(config))]


def _error(dense: np.ndarray, masked: np.ndarray) -> float:
    """Relative output error."""
    return float(np.linalg.norm(masked - dense) / np.linalg.norm(dense))


def _recorded(config: TicketConfig) -> np.ndarray:
    steps = list(range(0, config.steps + 1, config.record_every))
    return np.array(steps if steps[-1] == config.steps else [*steps, config.steps])


def _stacked(trials: TicketTrials, dense: Arrays, found: Mapping[str, Arrays],
             percent: int) -> Arrays:
    shape = trials.initial.shape
    ranks = np.argsort(-np.abs(trials.initial), axis=1, kind="stable")
    masks = [np.unpackbits(stage["mask"], count=shape[0] * shape[1]).astype(bool).reshape(shape)
             for stage in found.values()]
    return {
        f"trajectory_{percent}": np.array([
            [_error(*pair) for pair in zip(dense["common"], stage["common"])]
            for stage in found.values()]),
        f"flow_{percent}": np.array([stage["flow"] for stage in found.values()]),
        f"per_neuron_{percent}": np.array([np.sort(mask.sum(axis=1)) for mask in masks]),
        f"per_feature_{percent}": np.array([mask.mean(axis=0) for mask in masks]),
        f"per_rank_{percent}": np.array([np.take_along_axis(mask, ranks, 1).mean(axis=0)
                                         for mask in masks])}
