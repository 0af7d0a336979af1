"""What a kernel run leaves, and how it is shown.

Summary:

========================== ======================================================================
p                          ``P(z_j != 0)``
tau                        l2 radius of training and of attacked accuracy
linear_attacked_accuracy   exact, of ``sign <w*, x>``
between                    distance of the final kernels of clean and adversarial training
within_clean,
within_adversarial         that of two independent runs of one kind
frozen                     a row for each training of phase 2: time and mode (the kernel),
                           centred (0 or 1), data, and the accuracies
clean, adversarial         the networks of phase 1: accuracies, effective_rank, gate_rate;
                           leading_eigenvector_cosine with w* and leading_eigenvector_features,
                           how many features the kernel's first eigenvector spreads over
<data>_on_<mode>_kernel    the accuracies of benign and adversarial training on the centred
                           kernel of the first time after the start
========================== ======================================================================

The accuracies are accuracy, attacked_accuracy (the worst of all attacks at tau) and
plain_attacked_accuracy (PGD that sees true gates only).

History: rows of mode, run (1, or 2 for the second pair) and what
:meth:`~simulator.experiments.ntk_evolution.recorder.KernelRecord.record` measures in phase 1.

Arrays: times; distances (4, times, 4, times), of all frozen kernels of :data:`RUNS` in order;
weights_<mode> (times, m, d); spectrum_<kernel> and eigenvectors_<kernel> (4, d), of the kernels
"start", "clean" and "adversarial".
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.experiment import DATA, MODES, NTKExperiment
from simulator.experiments.records import rows_of
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import Table, by_network

__all__ = ["ROWS", "RUNS", "Frozen", "PhaseOne", "current", "finished_run",
           "frozen_trainings", "tables"]

ROWS = {"accuracy": "clean accuracy", "attacked_accuracy": "under the worst of the attacks",
        "plain_attacked_accuracy": "under PGD at true gates",
        "effective_rank": "effective rank of the kernel", "gate_rate": "gate rate",
        "leading_eigenvector_cosine": "first eigenvector, cosine to w*",
        "leading_eigenvector_features": "first eigenvector, features",
        "p": "p = P(z_j != 0)", "tau": "tau",
        "linear_attacked_accuracy": "linear classifier, attacked",
        "between": "distance between the kinds", "within_clean": "within clean training",
        "within_adversarial": "within adversarial training"}


class PhaseOne(NamedTuple):
    """A training of phase 1: its kind, and whether it is of the first or the second pair."""

    mode: str
    number: int

    @property
    def stage(self) -> str:
        """Name of its stage."""
        return self.mode if self.number == 1 else f"second {self.mode}"


class Frozen(NamedTuple):
    """A training of phase 2: the kernel by its time and kind, and what is trained on it."""

    time: int
    mode: str
    centred: bool
    data: str

    @property
    def stage(self) -> str:
        """Name of its stage."""
        kind = "centred" if self.centred else "uncentred"
        return f"frozen {self.mode} {self.time} {kind} {self.data}"


RUNS = tuple(PhaseOne(mode, number) for number in (1, 2) for mode in MODES)
CLEAN, ADVERSARIAL, SECOND_CLEAN, SECOND_ADVERSARIAL = range(4)  # their places


def frozen_trainings(config: NTKConfig) -> list[Frozen]:
    """Return the trainings of phase 2; both kinds of phase 1 start from the same kernel."""
    return [Frozen(time, mode, centred, data) for mode in MODES for time in config.freeze_times
            if time or mode == MODES[0] for centred in (False, True) for data in DATA]


def finished_run(experiment: NTKExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that the arrays of its stages make."""
    config = experiment.config
    history = [{"mode": run.mode, "run": run.number, **row}
               for run in RUNS for row in rows_of(done[run.stage])]
    moved = done["distances"]["distances"]
    arrays = {"times": np.array(config.freeze_times), "distances": moved}
    for mode in MODES:
        arrays |= {f"weights_{mode}": done[mode]["weights"]} | done[f"spectrum {mode}"]
    arrays |= done["spectrum start"]
    frozen = _frozen_rows(config, done)
    last = moved[:, -1, :, -1]  # between the final kernels of the four runs
    summary = {"p": experiment.data.activation_probability, "tau": config.tau,
               "linear_attacked_accuracy": experiment.linear_attacked_accuracy(),
               "between": float(last[CLEAN, ADVERSARIAL]),
               "within_clean": float(last[CLEAN, SECOND_CLEAN]),
               "within_adversarial": float(last[ADVERSARIAL, SECOND_ADVERSARIAL]),
               "frozen": frozen}
    for mode in MODES:
        row = rows_of(done[mode])[-1]
        summary[mode] = (_accuracies(done[f"attacking {mode}"])
                         | {name: row[name] for name in ("effective_rank", "gate_rate")}
                         | _leading(arrays[f"eigenvectors_{mode}"][0]))
    return Run(config, summary | _first_frozen(config, frozen), history, arrays)


def _frozen_rows(config: NTKConfig, done: Mapping[str, Arrays]) -> list[dict[str, Any]]:
    """A row for each training of phase 2; the kinds share those on the kernel of the start."""
    rows = []
    for mode in MODES:
        for frozen in frozen_trainings(config):
            if frozen.mode == mode or frozen.time == 0:
                rows.append({"time": frozen.time, "mode": mode, "centred": int(frozen.centred),
                             "data": frozen.data, **_accuracies(done[frozen.stage])})
    return rows


def _first_frozen(config: NTKConfig, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The centred trainings on the first kernel after the start, by name."""
    return {f"{row['data']}_on_{row['mode']}_kernel":
            {name: row[name] for name in ROWS if name in row}
            for row in rows if row["time"] == config.freeze_times[1] and row["centred"]
            and row["data"] != "masked"}


def _accuracies(measured: Arrays) -> dict[str, float]:
    return {name: float(share) for name, share in measured.items()}


def _leading(vector: np.ndarray) -> dict[str, float]:
    """Is the leading eigenvector the dense direction w*, or a few features?"""
    return {"leading_eigenvector_cosine": abs(float(vector.sum())) / math.sqrt(len(vector)),
            "leading_eigenvector_features": 1.0 / float(np.sum(vector**4))}


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words: these have not changed."""
    return dict(summary)


def tables(config: NTKConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary: phase 1, kernels, phase 2."""
    first = {f"{mode} training": summary[mode] for mode in MODES}
    second = {f"{data}, {mode}": summary[key] for mode in MODES for data in DATA
              if (key := f"{data}_on_{mode}_kernel") in summary}
    shares = ("accuracy", "attacked_accuracy", "plain_attacked_accuracy")
    samples = (dict.fromkeys(shares, config.test_samples)
               | dict.fromkeys(("effective_rank", "gate_rate"), config.probe_samples)
               | dict.fromkeys(("leading_eigenvector_cosine", "leading_eigenvector_features"),
                               config.spectrum_samples))
    kernels = Table(
        f"distances of the final kernels on {config.probe_samples} samples, between two runs",
        ("distance",), tuple((ROWS[key], (summary[key],)) for key in (
            "between", "within_clean", "within_adversarial")))
    return [by_network(f"p = {summary['p']:.4f}   tau = {summary['tau']:.4f}   linear classifier, "
                       f"attacked = {summary['linear_attacked_accuracy']:.4f}", first, ROWS,
                       samples, shares),
            kernels,
            by_network("trained on a kernel frozen early in phase 1 (data, kernel)", second, ROWS,
                       samples, shares)]
