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
                           dynamics, data, and the accuracies
clean, adversarial         the networks of phase 1: accuracies, effective_rank, gate_rate;
                           leading_eigenvector_cosine with w* and leading_eigenvector_features,
                           how many features the kernel's first eigenvector spreads over
<data>_on_<mode>_kernel    the accuracies of benign and adversarial training on the centred
                           kernel of the first regular time after the start
========================== ======================================================================

As published also mixed and flip beside clean and adversarial, mixed data, and

========================== ======================================================================
between_mixed              distance of the final kernels of clean and mixed training
adversarial_to_mixed       and of adversarial and mixed training
within_mixed               that of two independent mixed runs
transfer                   a row for each pair of networks: source, target (names of
                           :func:`passing`; as source also "random", a perturbation of length tau,
                           and "none"), accuracy of the target under the source's examples
========================== ======================================================================

The accuracies are accuracy, attacked_accuracy (the worst of all attacks at tau) and
plain_attacked_accuracy (PGD that sees true gates only).

History: rows of mode, run (1, or 2 for the second one of a kind) and what
:meth:`~simulator.experiments.ntk_evolution.recorder.KernelRecord.record` measures in phase 1, with
distance_to_last, of each kernel to the last.

Arrays: times; distances (runs, times, runs, times), of all frozen kernels of :func:`first_phase` in
order; weights_<mode> (times, m, d); spectrum_<kernel> and eigenvectors_<kernel> (4, d), of the
kernels "start", "clean", "adversarial", ...; as published also seen_<kernel> (3, eigenvectors): how
much of the labels, the features (their mean) and M w* lies in the span of the first eigenvectors.

Limits over the samples: spectrum_<kernel> (2, n), seen_<kernel> (2, 3, eigenvectors), perhaps
fewer of them.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from simulator.experiments.ntk_evolution.config import NTKConfig
from simulator.experiments.ntk_evolution.experiment import DATA, DYNAMICS, SHORT_DATA, NTKExperiment
from simulator.experiments.records import rows_of
from simulator.runs.run import Run
from simulator.runs.stages import Arrays
from simulator.runs.table import Table, by_network

__all__ = ["LIMITS_OF", "LINEAR", "ROWS", "Frozen", "PhaseOne", "current", "finished_run",
           "first_phase", "frozen_trainings", "passing", "tables"]

LIMITS_OF = "limits of "  # before the name of what the limits of a stage's arrays belong to
OF_KERNEL, LIMITED = ("spectrum", "eigenvectors", "seen"), ("spectrum", "seen")
LINEAR = "linear"  # the classifier sign <w*, x>, among what examples are passed between
ACCURACIES = {"accuracy": "clean accuracy", "attacked_accuracy": "under the worst of the attacks",
              "plain_attacked_accuracy": "under PGD at true gates"}
ROWS = {**ACCURACIES, "effective_rank": "effective rank of the kernel", "gate_rate": "gate rate",
        "leading_eigenvector_cosine": "first eigenvector, cosine to w*",
        "leading_eigenvector_features": "first eigenvector, features",
        "p": "p = P(z_j != 0)", "tau": "tau",
        "linear_attacked_accuracy": "linear classifier, attacked",
        "between": "distance between the kinds", "within_clean": "within clean training",
        "within_adversarial": "within adversarial training",
        "between_mixed": "between clean and mixed", "within_mixed": "within mixed training",
        "adversarial_to_mixed": "between adversarial and mixed"}


class PhaseOne(NamedTuple):
    """A training of phase 1: its kind, and whether it is of the first or the second pair."""

    mode: str
    number: int

    @property
    def stage(self) -> str:
        """Name of its stage."""
        return self.mode if self.number == 1 else f"second {self.mode}"


class Frozen(NamedTuple):
    """A training of phase 2: the checkpoint by its time and kind, and what is trained from it."""

    time: int
    mode: str
    dynamics: str
    data: str

    @property
    def stage(self) -> str:
        """Name of its stage."""
        return f"frozen {self.mode} {self.time} {self.dynamics} {self.data}"


def first_phase(config: NTKConfig) -> tuple[PhaseOne, ...]:
    """Return the trainings of phase 1; a flip is clean at first, and has no second run."""
    return tuple(PhaseOne(mode, number) for number in (1, 2) for mode in config.modes
                 if number == 1 or mode != "flip")


def frozen_trainings(config: NTKConfig) -> list[Frozen]:
    """Return the trainings of phase 2; where two kinds of phase 1 are the same they stand once.

    As published the first regular checkpoint after the start has all dynamics and kinds of data but
    for a few that would say nothing new, the other regular ones benign, adversarial and mixed data
    centred, and the early ones benign data centred.
    """
    return [Frozen(time, mode, dynamics, data) for mode in config.modes
            for time in config.freeze_times if _same_until(config, mode, time) == mode
            for dynamics in DYNAMICS for data in _data_of(config, time, dynamics)]


def _same_until(config: NTKConfig, mode: str, time: int) -> str:
    """The first kind of phase 1 that has the same checkpoint: all start alike, a flip is clean."""
    same = time == 0 or (mode == "flip" and time <= config.flip_step)
    return config.modes[0] if same else mode


def _data_of(config: NTKConfig, time: int, dynamics: str) -> tuple[str, ...]:
    if config.protocol == "short":
        return () if dynamics == "full" else SHORT_DATA
    if time == config.regular_times[1]:
        unseen = {"centred": (), "uncentred": ("masked", "flip"), "full": ("masked",)}[dynamics]
        return tuple(data for data in DATA if data not in unseen)
    if dynamics != "centred":
        return ()
    return ("benign", "adversarial", "mixed") if time in config.regular_times else ("benign",)


def passing(config: NTKConfig) -> dict[str, "Frozen | str"]:
    """Return between what adversarial examples are passed on, by name.

    The networks of phase 1 (its kinds); benign trainings on centred kernels, of the start and of
    each kind at its first and last regular time; the linear classifier.
    """
    if not config.transfer_samples:
        return {}
    first, last = config.regular_times[1], config.regular_times[-1]
    known = set(frozen_trainings(config))
    kernels = {f"kernel of {mode}, {time}": Frozen(time, mode, "centred", "benign")
               for mode in config.modes for time in dict.fromkeys((first, last))}
    return ({mode: mode for mode in config.modes}
            | {"kernel of the start": Frozen(0, config.modes[0], "centred", "benign")}
            | {name: entry for name, entry in kernels.items() if entry in known}
            | {LINEAR: LINEAR})


def finished_run(experiment: NTKExperiment, done: Mapping[str, Arrays]) -> Run:
    """Return the run that the arrays of its stages make."""
    config = experiment.config
    runs = first_phase(config)
    history = [{"mode": run.mode, "run": run.number, **row}
               for run in runs for row in rows_of(done[run.stage])]
    moved = done["distances"]["distances"]
    arrays = {"times": np.array(config.freeze_times), "distances": moved}
    limits: Arrays = {}
    for kernel in (*config.modes, "start"):
        if kernel in config.modes:
            arrays[f"weights_{kernel}"] = done[kernel]["weights"]
        found = done[f"spectrum {kernel}"]
        for into, before, names in ((arrays, "", OF_KERNEL), (limits, LIMITS_OF, LIMITED)):
            into.update((f"{name}_{kernel}", found[f"{before}{name}_{kernel}"])
                        for name in names if f"{before}{name}_{kernel}" in found)
    frozen = _frozen_rows(config, done)
    summary = {"p": experiment.data.activation_probability, "tau": config.tau,
               "linear_attacked_accuracy": experiment.linear_attacked_accuracy(),
               **_last_distances(runs, moved), "frozen": frozen}
    if config.transfer_samples:
        summary["transfer"] = _transfer_rows(config, done["transfer"]["right"])
    for mode in config.modes:
        row = rows_of(done[mode])[-1]
        summary[mode] = (_accuracies(done[f"attacking {mode}"])
                         | {name: row[name] for name in ("effective_rank", "gate_rate")}
                         | _leading(arrays[f"eigenvectors_{mode}"][0]))
    return Run(config, summary | _first_frozen(config, frozen), history, arrays, limits=limits)


def _last_distances(runs: tuple[PhaseOne, ...], moved: np.ndarray) -> dict[str, float]:
    """Distances between the final kernels of two runs, by name."""
    pairs = {"between": (("clean", 1), ("adversarial", 1)),
             "between_mixed": (("clean", 1), ("mixed", 1)),
             "adversarial_to_mixed": (("adversarial", 1), ("mixed", 1)),
             **{f"within_{mode}": ((mode, 1), (mode, 2))
                for mode in ("clean", "adversarial", "mixed")}}
    place = {tuple(run): number for number, run in enumerate(runs)}
    return {name: float(moved[place[one], -1, place[other], -1])
            for name, (one, other) in pairs.items() if one in place and other in place}


def _frozen_rows(config: NTKConfig, done: Mapping[str, Arrays]) -> list[dict[str, Any]]:
    """A row for each training of phase 2; the kinds share those on the same checkpoint."""
    rows = []
    for mode in config.modes:
        for frozen in frozen_trainings(config):
            if _same_until(config, mode, frozen.time) == frozen.mode:
                rows.append({"time": frozen.time, "mode": mode, "dynamics": frozen.dynamics,
                             "data": frozen.data, **_accuracies(done[frozen.stage])})
    return rows


def _first_frozen(config: NTKConfig, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The centred trainings on the first regular kernel after the start, by name."""
    return {f"{row['data']}_on_{row['mode']}_kernel":
            {name: row[name] for name in ROWS if name in row}
            for row in rows if row["time"] == config.regular_times[1]
            and row["dynamics"] == "centred" and row["data"] not in ("masked", "flip")}


def _transfer_rows(config: NTKConfig, right: np.ndarray) -> list[dict[str, Any]]:
    names = list(passing(config))
    return [{"source": source, "target": target, "accuracy": float(share)}
            for source, row in zip((*names, "random", "none"), right.mean(axis=2))
            for target, share in zip(names, row)]


def _accuracies(measured: Arrays) -> dict[str, float]:
    return {name: float(measured[name]) for name in ACCURACIES}


def _leading(vector: np.ndarray) -> dict[str, float]:
    """Is the leading eigenvector the dense direction w*, or a few features?"""
    return {"leading_eigenvector_cosine": abs(float(vector.sum())) / math.sqrt(len(vector)),
            "leading_eigenvector_features": 1.0 / float(np.sum(vector**4))}


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a summary in today's words: once a row said "centred", 0 or 1, for its dynamics."""
    rows = [{("dynamics" if name == "centred" else name):
             (DYNAMICS[int(value)] if name == "centred" else value) for name, value in row.items()}
            for row in summary.get("frozen", ())]
    return dict(summary) | ({"frozen": rows} if "frozen" in summary else {})


def tables(config: NTKConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Return the tables that show a summary: phase 1, kernels, phase 2, what is passed on."""
    first = {f"{mode} training": summary[mode] for mode in config.modes}
    samples = (dict.fromkeys(ACCURACIES, config.test_samples)
               | dict.fromkeys(("effective_rank", "gate_rate"), config.probe_samples)
               | dict.fromkeys(("leading_eigenvector_cosine", "leading_eigenvector_features"),
                               config.spectrum_samples))
    kernels = Table(
        f"distances of the final kernels on {config.probe_samples} samples, between two runs",
        ("distance",), tuple((words, (summary[key],)) for key, words in ROWS.items()
                             if key.startswith(("between", "within", "adversarial_to"))
                             and key in summary))
    frozen = Table(
        f"trained on a kernel frozen early in phase 1 ({config.test_samples} samples)",
        tuple(ACCURACIES.values()),
        tuple((f"{data} training, kernel of {mode}",
               tuple(summary[key][name] for name in ACCURACIES))
              for mode in config.modes for data in DATA
              if (key := f"{data}_on_{mode}_kernel") in summary))
    networks = by_network(
        f"p = {summary['p']:.4f}   tau = {summary['tau']:.4f}   linear classifier, "
        f"attacked = {summary['linear_attacked_accuracy']:.4f}", first, ROWS, samples,
        tuple(ACCURACIES))
    return [networks, kernels, frozen, *_transfer_table(config, summary)]


def _transfer_table(config: NTKConfig, summary: Mapping[str, Any]) -> list[Table]:
    """Accuracy of the networks of phase 1 under the examples of each source."""
    rows = {(row["source"], row["target"]): row["accuracy"] for row in summary.get("transfer", ())}
    if not rows:
        return []
    return [Table(f"accuracy under the adversarial examples of another "
                  f"({config.transfer_samples} samples)", config.modes,
                  tuple((source, tuple(rows[source, target] for target in config.modes))
                        for source in dict.fromkeys(source for source, _ in rows)))]
