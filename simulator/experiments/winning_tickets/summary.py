"""What a ticket run leaves, and how it is shown.

Summary, for each mask of :attr:`~simulator.experiments.winning_tickets.config.TicketConfig.masks`
and each kept percentage, as in ``summary["ticket"]["20"]["kernel_error"]``:

==================== ============================================================================
kernel_distance      1 - cosine of the dense kernel before and after adversarial training
kernel_change        the same as relative distance
best_ticket          the ticket over fixed weights with the smallest objective, by percentage
dense                accuracy, attacked_accuracy of the dense network
kernel_error         relative, at initialisation
output_error         relative, at initialisation
trajectory_error     of the outputs at all recorded steps, trained on common examples
own_trajectory_error trained against the network's own attacks
accuracy,
attacked_accuracy    after that training; the worst attack at tau
objective            J at validation samples
flow_error           of the frozen flow; None where the mask's kernel has no inverse
bound_used           share of the flow's bound that its distance has used at the end, or None; None
                     too where the bound is 0
by_rule              where masks have their better rule: kernel_error, output_error and objective
                     by rule, "weights" and "outputs", with ``chosen`` the rule that all other
                     numbers are of
==================== ============================================================================

History: mask, keep, step, the relative errors common_error and own_error of the outputs at each
recorded step, loss (against its own attacks); limits over the samples of the last two:
own_error_low, own_error_high, loss_low, loss_high.

Arrays: steps (records,), and with a row for each mask, for each percentage as in
``trajectory_20``: trajectory (masks, records); flow (masks, 2, times), distance and bound;
per_neuron (masks, m), kept weights of the neurons, ascending; per_feature (masks, d), kept share
of the weights of a feature; per_rank (masks, d), kept share of the weights that are their
neuron's largest, second largest, ...

Limits over the samples, for each percentage: kernel_error, trajectory_error and
own_trajectory_error (2, masks); flow (2, masks, 2, times), NaN but for FLOWS.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from simulator.experiments.jackknife import without_each
from simulator.experiments.records import from_text, rows_of
from simulator.experiments.winning_tickets.config import RULES, TICKETS, TicketConfig
from simulator.experiments.winning_tickets.experiment import FLOW_TIMES, TicketExperiment
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import Table

__all__ = ["DENSE", "ROWS", "Masked", "current", "finished_run", "masked_networks", "tables"]

ROWS = {"kernel_error": "kernel", "output_error": "outputs", "trajectory_error": "path",
        "own_trajectory_error": "own path", "flow_error": "flow", "bound_used": "bound used",
        "accuracy": "clean", "attacked_accuracy": "attacked", "objective": "objective",
        "kernel_distance": "the dense kernel turns by", "kernel_change": "and changes by",
        "best_ticket": "best ticket"}
SHOWN = tuple(ROWS)[:8]


class Masked(NamedTuple):
    """A network of the run: a mask, and the percentage of the weights that it keeps."""

    name: str
    percent: int

    @property
    def keep(self) -> float:
        """Share of the weights that it keeps."""
        return self.percent / 100.0

    @property
    def found(self) -> str:
        """Name of the stage that finds it."""
        return f"finding {self.name} {self.percent} %"

    @property
    def common(self) -> str:
        """Name of the stage that trains it on common examples."""
        return f"{self.name} {self.percent} % on common examples"

    @property
    def own(self) -> str:
        """Name of the stage that trains it against its own attacks."""
        return f"{self.name} {self.percent} %"


DENSE = Masked("dense", 100)


def masked_networks(config: TicketConfig) -> list[Masked]:
    """Return all networks of a run but the dense one."""
    return [Masked(name, percent) for percent in config.percents for name in config.masks]


def finished_run(experiment: TicketExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that the arrays of its stages make."""
    config, moves = experiment.config, done["dense kernel"]
    summary: dict[str, Any] = {"kernel_distance": float(moves["distance"]),
                               "kernel_change": float(moves["change"]), "best_ticket": {},
                               "dense": _accuracies(done[DENSE.own]),
                               **{name: {} for name in config.masks}}
    arrays: Arrays = {"steps": _recorded(config)}
    limits: Arrays = {}
    history: list[dict[str, Any]] = []
    for percent in config.percents:
        networks = [Masked(name, percent) for name in config.masks]
        for masked in networks:
            summary[masked.name][str(percent)] = _numbers(masked, done)
            history += _rows(config, masked, done)
        summary["best_ticket"][str(percent)] = min(  # NaN is never the smallest
            TICKETS, key=lambda name: np.nan_to_num(summary[name][str(percent)]["objective"],
                                                    nan=np.inf))
        shapes = {"trajectory": _trajectories(networks, done),
                  "flow": np.array([done[masked.found]["flow"] for masked in networks]),
                  **_where(experiment, networks, done)}
        arrays |= {f"{name}_{percent}": array for name, array in shapes.items()}
        if all("kernel_without" in done[masked.found] for masked in networks):  # not of old ones
            limits |= {f"{name}_{percent}": array
                       for name, array in _limits(networks, done).items()}
    return Run(config, summary, history, arrays, limits=limits)


def _accuracies(trained: Arrays) -> dict[str, float]:
    return {name: float(trained[name]) for name in ("accuracy", "attacked_accuracy")}


def _numbers(masked: Masked, done: Mapping[str, Arrays]) -> dict[str, Any]:
    found = done[masked.found]
    distance, bound = found["flow"][:, -1]
    numbers = {name: float(found[name])
               for name in ("kernel_error", "output_error", "flow_error", "objective")}
    numbers |= {"trajectory_error": _error(_outputs(DENSE.common, done),
                                           _outputs(masked.common, done)),
                "own_trajectory_error": _error(_outputs(DENSE.own, done),
                                               _outputs(masked.own, done)),
                "bound_used": float(distance / bound) if bound else math.nan,
                **_accuracies(done[masked.own])}
    rules = from_text(found["by_rule"]) if "by_rule" in found else None
    return ({name: _measured(numbers[name]) for name in ROWS if name in numbers}
            | ({"by_rule": rules} if rules else {}))


def _measured(value: Any) -> Any:
    """Return a value, or None where there was nothing to measure."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rows(config: TicketConfig, masked: Masked,
          done: Mapping[str, Arrays]) -> list[dict[str, Any]]:
    common, own = ([_error(*pair) for pair in zip(_outputs(dense, done), _outputs(name, done))]
                   for dense, name in ((DENSE.common, masked.common), (DENSE.own, masked.own)))
    limits = [_error_limits(dense[None], one[None]) for dense, one in zip(
        _outputs(DENSE.own, done), _outputs(masked.own, done))]
    losses = [{name: value for name, value in row.items() if name.startswith("loss")}
              for row in rows_of(done[masked.own])]
    return [{"mask": masked.name, "keep": masked.keep, "step": int(step), "common_error": one,
             "own_error": other, "own_error_low": float(low), "own_error_high": float(high),
             **loss}
            for step, one, other, (low, high), loss in zip(_recorded(config), common, own, limits,
                                                           losses)]


def _outputs(stage: str, done: Mapping[str, Arrays]) -> np.ndarray:
    """The outputs at the held-out samples at every recorded step, shape (records, n)."""
    return np.array([row["outputs"] for row in rows_of(done[stage])], np.float64)


def _error(dense: np.ndarray, masked: np.ndarray) -> float:
    """Relative output error."""
    return float(np.linalg.norm(masked - dense) / np.linalg.norm(dense))


def _recorded(config: TicketConfig) -> np.ndarray:
    steps = list(range(0, config.steps + 1, config.record_every))
    return np.array(steps if steps[-1] == config.steps else [*steps, config.steps])


def _limits(networks: list[Masked], done: Mapping[str, Arrays]) -> Arrays:
    """95 % limits over the samples, by the jackknife; a column a network."""
    kernel = [without_each(done[masked.found]["kernel_error"], done[masked.found]["kernel_without"])
              for masked in networks]
    paths = {"trajectory_error": [_error_limits(_outputs(DENSE.common, done),
                                                _outputs(masked.common, done))
                                  for masked in networks],
             "own_trajectory_error": [_error_limits(_outputs(DENSE.own, done),
                                                    _outputs(masked.own, done))
                                      for masked in networks]}
    flows = [done[masked.found].get("flow_limits", np.full((2, 2, FLOW_TIMES), np.nan))
             for masked in networks]
    return {name: np.stack(columns, axis=1)
            for name, columns in ({"kernel_error": kernel, "flow": flows} | paths).items()}


def _error_limits(dense: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Limits of the relative output error over samples, outputs of shape (records, n)."""
    apart, power = (masked - dense) ** 2, dense**2
    ratio = ((apart.sum() - apart.sum(axis=0)) / (power.sum() - power.sum(axis=0)))
    return without_each(np.array(_error(dense, masked)), np.sqrt(np.maximum(ratio, 0.0)))


def _trajectories(networks: list[Masked], done: Mapping[str, Arrays]) -> np.ndarray:
    """Relative output errors at every recorded step, on common examples."""
    return np.array([[_error(*pair) for pair in zip(_outputs(DENSE.common, done),
                                                    _outputs(masked.common, done))]
                     for masked in networks])


def _where(experiment: TicketExperiment, networks: list[Masked],
           done: Mapping[str, Arrays]) -> Arrays:
    """Where the kept weights lie: by neuron, by feature, by rank within their neuron."""
    shape = experiment.initial.shape
    ranks = np.argsort(-np.abs(experiment.initial), axis=1, kind="stable")
    masks = [np.unpackbits(done[masked.found]["mask"], count=shape[0] * shape[1])
             .astype(bool).reshape(shape) for masked in networks]
    return {"per_neuron": np.array([np.sort(mask.sum(axis=1)) for mask in masks]),
            "per_feature": np.array([mask.mean(axis=0) for mask in masks]),
            "per_rank": np.array([np.take_along_axis(mask, ranks, 1).mean(axis=0)
                                  for mask in masks])}


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words, whenever it was written.

    Once the percentage stood at the end of a key, ``kernel_error_20``, and NaN for what could not
    be measured.
    """
    renamed: dict[str, Any] = {}
    for key, value in summary.items():
        word, _, percent = key.rpartition("_")
        if isinstance(value, Mapping):
            renamed[key] = current(value)
        elif word == "best_ticket" and percent.isdecimal():
            renamed.setdefault(word, {})[percent] = value
        elif word and percent.isdecimal():
            renamed.setdefault(percent, {})[word] = _measured(value)
        else:
            renamed[key] = _measured(value)
    if "dense" in renamed and "accuracy" not in renamed["dense"]:
        renamed["dense"] = next(iter(renamed["dense"].values()))
    return renamed


def tables(config: TicketConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary: one for each percentage, a row for each mask."""
    dense = ("dense", tuple(summary["dense"].get(name) for name in SHOWN))
    return [Table(f"{percent} % kept: relative errors of kernel and outputs at the start and of "
                  f"the outputs along training ({config.kernel_samples} samples), of the frozen "
                  f"flow ({config.flow_samples} samples); accuracies ({config.test_samples} "
                  f"samples); best ticket: {summary['best_ticket'][percent]}",
                  tuple(ROWS[name] for name in SHOWN),
                  (dense, *((mask, tuple(summary[mask][percent].get(name) for name in SHOWN))
                            for mask in config.masks)))
            for percent in map(str, config.percents)] + _rules_table(config, summary)


def _rules_table(config: TicketConfig, summary: Mapping[str, Any]) -> list[Table]:
    """The kernel error of each mask under both rules, and the one that it has."""
    if config.rescaling != "better":
        return []
    rules = RULES["better"]
    heads = tuple(f"{rule}, {percent} %" for percent in config.percents for rule in rules)
    rows = [(mask, [summary[mask][str(percent)].get("by_rule", {}) for percent in config.percents])
            for mask in config.masks]
    return [Table("kernel error at the start under both rules of rescaling",
                  heads, tuple((mask, tuple(entry.get(rule, {}).get("kernel_error")
                                            for entry in entries for rule in rules))
                               for mask, entries in rows))]
