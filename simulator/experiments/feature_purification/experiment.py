"""One purification run: clean training, adversarial training, and what they did to the network.

The run of Allen-Zhu & Li (arXiv 2005.10190): train on clean samples, look at the network, go on
with adversarial samples from the same weights and with the same bias, look again. Everything a
figure or a claim needs comes back in one :class:`~simulator.runs.run.Run`, and lies in the run folder.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.suites import standard_attacks, strong_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import ball_of
from simulator.bias_schedules import LinearThenConstant, TrackingNorm
from simulator.data.batches import FreshBatches, TrainingSet
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs
from simulator.errors import Diverged, Stopped
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.cost import cost
from simulator.features import (correlations, cosines, decompose, feature_metrics, gate_rate,
                                purification)
from simulator.jit import fixed_threads
from simulator.low_complexity import RADII, LearnerTask, learners_of, measure_all
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Attack, Batch, Batches, BiasSchedule
from simulator.randomness import Role, stream
from simulator.robustness.accuracy import accuracy_curves
from simulator.robustness.critical_radius import certified_summary, critical_radius
from simulator.runs.folder import RunFolder
from simulator.runs.run import Run, write_run
from simulator.runs.stages import Progress, run_threads, silent
from simulator.training import train

__all__ = ["CONFIG", "Simulation", "check", "cost", "simulate"]

CONFIG = PurificationConfig
CORRELATION_SAMPLES = 200  # enough for a mean over all neurons, and small beside the weights
SHOWN_PERTURBATIONS = 64


class Simulation:
    """The objects of one run, built from its config.

    Parameters
    ----------
    config : PurificationConfig

    Raises
    ------
    TypeError, ValueError
        Settings that do not fit together.
    """

    def __init__(self, config: PurificationConfig) -> None:
        self.config = config
        self.dtype = np.dtype(config.dtype)
        self.data = self._data()
        self.ball = ball_of(config.norm, config.tau)
        self.training_attack: Attack = (
            FGM() if config.training_attack == "fgm" else PGD(config.training_pgd_steps))
        # a label margin that no code reaches must be told now, not after the folder is made
        self.data.sample(1, stream(config.seed, Role.CALIBRATION))

    def _data(self) -> SparseCoding:
        config = self.config
        dictionary = labeler = None
        if config.dictionary == "random":
            dictionary = random_dictionary(config.d, stream(config.seed, Role.DICTIONARY))
        if config.labeler == "signs":
            labeler = random_signs(config.d, stream(config.seed, Role.LABELER))
        return SparseCoding.of(config, dictionary, labeler)

    @cached_property
    def batches(self) -> Batches:
        """Training samples: fresh ones, or a finite set."""
        config = self.config
        if config.training_samples == 0:
            return FreshBatches(self.data, config.batch_size, config.seed, self.dtype)
        return TrainingSet(self.data, config.training_samples, config.batch_size, config.seed,
                           self.dtype)

    @cached_property
    def test_set(self) -> Batch:
        """The samples of every reported accuracy."""
        return self.data.sample(self.config.test_samples,
                                stream(self.config.seed, Role.EVALUATION_DATA), self.dtype)

    @cached_property
    def attacks(self) -> dict[str, Attack]:
        """The attacks whose worst case is "attacked accuracy"."""
        return standard_attacks(self.data.dense_direction)

    @cached_property
    def adversary(self) -> Adversary:
        """Who attacks in the evaluation: a ball of radius tau, the attacks and strong ones."""
        config, data = self.config, self.data
        strong = strong_attacks(data.dense_direction, data.dictionary, steps=50, restarts=1)
        return Adversary(self.ball, self.attacks, strong=strong, seed=config.seed,
                         chunk=config.evaluation_chunk)

    @cached_property
    def schedule(self) -> BiasSchedule:
        """The bias schedule of the clean phase."""
        config = self.config
        if config.bias_schedule == "tracking":
            return TrackingNorm(config.bias_scale)
        growth = self.data.growth_rate(stream(config.seed, Role.CALIBRATION))
        return LinearThenConstant(
            start=config.bias_scale * math.sqrt(math.log(config.d)) * config.init_scale,
            slope=config.bias_growth * config.learning_rate * growth, maximum=config.bias_max)

    def initial_network(self) -> SymmetricReLU:
        """The network before training."""
        config = self.config
        network = SymmetricReLU.initialise(
            config.m, config.d, config.init_scale, stream(config.seed, Role.INITIALISATION),
            smoothing=config.smoothing, sampled_smoothing=config.smoothing_mode == "sampled",
            dtype=self.dtype)
        network.bias = self.schedule.bias(0, network)
        return network

    def network(self, weights: np.ndarray, bias: float) -> SymmetricReLU:
        """A network of this run with given weights."""
        return SymmetricReLU(weights, bias, self.config.smoothing,
                             self.config.smoothing_mode == "sampled")

    def radii(self) -> np.ndarray:
        """Radii of the accuracy curves, shape (16,): 0 to 1.5 / sqrt(k) (l_inf: 3 tau)."""
        config = self.config
        top = 1.5 / math.sqrt(config.k) if config.norm == "l2" else 3.0 * config.tau
        return np.linspace(0.0, top or 1.0, 16)

    def bracket_radii(self) -> list[float]:
        """Radii of the bracket: 0.05 to 0.25 and tau (l_inf: quarters of tau up to 1.25 tau).

        And those at which low-complexity learners are attacked, where they are trained.
        """
        tau = self.config.tau
        shares = RADII if self.config.learner_steps else (1.0,)
        fixed = ((0.05, 0.10, 0.15, 0.20, 0.25) if self.config.norm == "l2"
                 else [0.25 * tau * quarters for quarters in range(1, 6)])
        return sorted({*fixed, *(share * tau for share in shares)})

    def certify(self, network: SymmetricReLU) -> dict[str, Any]:
        """Return the bracket, r50 as an interval, and signs of masked gradients.

        The keys are those of :func:`simulator.robustness.critical_radius.certified_summary`.
        """
        few = self.test_set[:self.config.bracket_samples]
        if len(few) == 0:
            return {"bracket": []}
        with fixed_threads(1):  # small matrices, one sample at a time: a second thread waits
            return certified_summary(network, few, self.adversary, radii=self.bracket_radii(),
                                     boxes=self.config.bracket_nodes)

    def evaluate(self, network: SymmetricReLU) -> dict[str, Any]:
        """Return the summary of one network: accuracies, mixtures, critical radius.

        ``attacked_accuracy`` is the worst of all attacks at radius tau; ``r50`` the middle of
        its bisection interval, ``r50_tolerance`` half the interval's width.
        """
        test = self.test_set
        found = worst_case(network, test, self.adversary)
        parts = decompose(network.weights, self.data.dictionary, self.data.signs)
        radius = critical_radius(network, test, self.adversary)
        metrics = feature_metrics(parts)
        return {
            "accuracy": found.accuracy("clean"),
            "universal_accuracy": found.accuracy("universal"),
            "fgm_accuracy": found.accuracy("fgm"),
            "attacked_accuracy": found.accuracy(),
            "zero_gradients": found.zero_gradients["fgm"] / len(test),
            **{name: metrics[name] for name in ("mixture_ratio", "purity", "coverage")},
            "gate_rate": gate_rate(network, test.X, parts.is_feature_neuron),
            "r50": radius.value, "r50_tolerance": radius.tolerance,
        }

    def learners(self, progress: Callable[[str], None]) -> dict[str, Any]:
        """Return what :func:`simulator.low_complexity.measure_all` finds on the data of the run."""
        config, data = self.config, self.data
        validation = data.sample(config.test_samples,
                                 stream(config.seed, Role.CALIBRATION, 1), self.dtype)
        task = LearnerTask(self.batches, validation, self.test_set, self.ball,
                           config.learner_steps, config.seed, config.evaluation_chunk)
        return measure_all(learners_of(self.initial_network(), data.signs, data.dictionary,
                                       data.dense_direction, task), task, progress)

    def linear_r50(self) -> float:
        """Exact r50 of the linear classifier ``sign <M w*, x>`` on the test set."""
        linear = LinearClassifier(self.data.dense_direction)
        return float(np.median(linear.critical_radii(self.test_set.X, self.test_set.y, self.ball)))

    def row(self, step: int, loss: float, network: SymmetricReLU, initial: np.ndarray,
            clean: np.ndarray | None) -> dict[str, Any]:
        """Return one row of the history: every quantity of the paper at this step."""
        test = self.test_set
        quick = {name: self.attacks[name] for name in ("universal", "fgm")}
        found = worst_case(network, test, replace(self.adversary, attacks=quick))
        parts = decompose(network.weights, self.data.dictionary, self.data.signs)
        few = slice(CORRELATION_SAMPLES)
        neurons = parts.is_feature_neuron
        if clean is None:
            change = dict.fromkeys(("beta", "beta_positive", "kept_over_removed"), float("nan"))
        else:
            before = decompose(clean, self.data.dictionary, self.data.signs)
            change = purification(clean, network.weights, before.is_feature_neuron)
        return {
            "step": step, "phase": "clean" if clean is None else "adversarial",
            "bias": network.bias, "loss": loss, "accuracy": found.accuracy("clean"),
            "universal_accuracy": found.accuracy("universal"),
            "fgm_accuracy": found.accuracy("fgm"), **feature_metrics(parts),
            "gate_rate": gate_rate(network, test.X, neurons),
            **correlations(parts, test.X[few], test.y[few], self.data.dictionary),
            "cosine_to_initial": float(cosines(network.weights, initial)[neurons].mean()),
            **change,
        }


def check(config: PurificationConfig) -> None:
    """Raise TypeError or ValueError where settings do not fit together."""
    Simulation(config)


def simulate(config: PurificationConfig, folder: RunFolder | None = None,
             progress: Progress = silent,
             checkpoint_every: int = 200) -> Run:
    """Run a simulation, from the folder's checkpoint if there is one.

    Parameters
    ----------
    config : PurificationConfig
    folder : RunFolder or None
        Where checkpoints and results go; None keeps everything in memory.
    progress : callable
        Called with (steps done, steps in all, what is being done); may raise Stopped.
    checkpoint_every : int
        Steps between checkpoints. They change nothing: a resumed run ends with the same bits.

    Returns
    -------
    Run
        ``summary``: ``p``, ``tau``, ``linear_r50``, and under ``clean`` and ``adversarial`` the
        dictionaries of :meth:`Simulation.evaluate` and :meth:`Simulation.certify`; with
        ``learner_steps``, under ``learners`` that of :meth:`Simulation.learners`. ``history``:
        rows of :meth:`Simulation.row`. ``arrays``: ``weights_clean``, ``weights_adversarial``
        (m, d); ``bias``; ``radii`` and the curves ``curve_<phase>_<attack>``, ``curve_linear``;
        ``perturbation_<phase>`` (64, d), strongest perturbations at tau in dictionary
        coordinates; ``labels`` (64,), ``labeler`` (d,) and, unless it is the identity,
        ``dictionary`` (d, d).

    Raises
    ------
    Diverged
        The last good state is in the checkpoint, and the status says "diverged".
    Stopped
        Passed on from ``progress``, after a checkpoint of the last finished step.
    RunError
        Another process works in the folder, no checkpoint is whole, or the disk is full; the
        last checkpoint written stays.
    """
    with run_threads(config.threads), folder.locked() if folder else nullcontext():
        return _Run(config, folder, progress, checkpoint_every).to_the_end()


class _Run:
    """A run in progress: the state that a checkpoint stores, and how it moves on."""

    def __init__(self, config: PurificationConfig, folder: RunFolder | None,
                 progress: Progress, checkpoint_every: int) -> None:
        self.simulation = Simulation(config)
        self.config, self.folder, self.progress = config, folder, progress
        self.checkpoint_every = checkpoint_every
        self.network = self.simulation.initial_network()
        self.initial = self.network.weights.copy()
        self.clean: np.ndarray | None = None
        self.step = 0
        self.good: dict[str, np.ndarray] = {}
        self.history: list[dict[str, Any]] = []
        self.total = config.clean_steps + config.adversarial_steps

    def to_the_end(self) -> Run:
        state = self.folder.load_checkpoint(self.config) if self.folder else None
        if state is None:
            self.history.append(self.simulation.row(0, math.log(2.0), self.network,
                                                    self.initial, None))
        else:
            self._restore(state)
        self.good = self._state()
        try:
            self._train()
        except Diverged as error:
            self._save(self.good, "diverged", str(error))
            raise
        except Stopped:
            self._save(self._state(), "interrupted")
            raise
        self._save(self._state(), "running")
        return self._finish()

    def _train(self) -> None:
        """Do the steps that are left."""
        config, simulation = self.config, self.simulation

        def after_step(step: int, loss: float) -> None:
            self.step = step
            last = step in (config.clean_steps, self.total)
            if last or step % config.record_every == 0:
                self.history.append(simulation.row(step, loss, self.network, self.initial,
                                                   self.clean))
            if step % self.checkpoint_every == 0:
                if not np.isfinite(self.network.weights).all():
                    raise Diverged(step, float("nan"))
                self.good = self._state()
                self._save(self.good, "running")
            self.progress(step, self.total, "clean" if self.clean is None else "adversarial")

        common: dict[str, Any] = {
            "network": self.network, "data": simulation.batches, "seed": config.seed,
            "learning_rate": config.learning_rate, "weight_decay": config.weight_decay,
            "after_step": after_step}
        if self.clean is None:
            train(start=self.step, stop=config.clean_steps, schedule=simulation.schedule,
                  **common)
            self.clean = self.network.weights.copy()
        train(start=self.step, stop=self.total,
              adversary=Adversary(simulation.ball, simulation.training_attack), **common)

    def _state(self) -> dict[str, np.ndarray]:
        columns = list(self.history[0])
        rows = [[("clean", "adversarial").index(row[name]) if name == "phase" else row[name]
                 for name in columns] for row in self.history]
        state = {"step": np.array(self.step), "bias": np.array(self.network.bias),
                 "weights": self.network.weights.copy(), "history": np.array(rows, np.float64),
                 "history_columns": np.array(columns)}
        if self.clean is not None:
            state["clean_weights"] = self.clean
        return state

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.step = int(state["step"])
        self.network.bias = float(state["bias"])
        self.network.weights[:] = state["weights"]
        self.clean = state.get("clean_weights")
        columns = [str(name) for name in state["history_columns"]]
        for values in state["history"]:
            row: dict[str, Any] = dict(zip(columns, map(float, values)))
            row["step"] = int(row["step"])
            row["phase"] = ("clean", "adversarial")[int(row["phase"])]
            self.history.append(row)

    def _save(self, state: dict[str, np.ndarray], status: str, error: str = "") -> None:
        if self.folder is not None:
            self.folder.save_checkpoint(self.config, state)
            self.folder.write_status(status, int(state["step"]), error=error)

    def _finish(self) -> Run:
        """Evaluate both networks and write the results."""
        simulation, config, test = self.simulation, self.config, self.simulation.test_set
        assert self.clean is not None  # the clean phase has at least one step
        networks = {"clean": simulation.network(self.clean, self.network.bias),
                    "adversarial": self.network}
        radii = simulation.radii()
        linear = LinearClassifier(simulation.data.dense_direction)
        distance = linear.critical_radii(test.X, test.y, simulation.ball)
        summary: dict[str, Any] = {"p": simulation.data.activation_probability,
                                   "tau": config.tau, "linear_r50": simulation.linear_r50()}
        arrays = {"bias": np.array(self.network.bias), "radii": radii,
                  "curve_linear": np.array([np.mean(distance > radius) for radius in radii]),
                  "labels": test.y[:SHOWN_PERTURBATIONS], "labeler": simulation.data.signs}
        if simulation.data.dictionary is not None:
            arrays["dictionary"] = simulation.data.dictionary
        for phase, network in networks.items():
            self.progress(self.total, self.total, f"evaluating the {phase} network")
            summary[phase] = simulation.evaluate(network)
            self.progress(self.total, self.total, f"certifying the {phase} network")
            summary[phase] |= simulation.certify(network)
            arrays[f"weights_{phase}"] = network.weights
            curves = accuracy_curves(network, test, simulation.adversary, radii=list(radii))
            arrays |= {f"curve_{phase}_{name}": curve for name, curve in curves.items()}
            arrays[f"perturbation_{phase}"] = self._perturbations(network)
        if config.learner_steps:
            summary["learners"] = simulation.learners(
                lambda what: self.progress(self.total, self.total, what))
        return write_run(Run(self.config, summary, self.history, arrays), self.folder, self.total)

    def _perturbations(self, network: SymmetricReLU) -> np.ndarray:
        """The strongest perturbations at tau of the first samples, in dictionary coordinates."""
        simulation, few = self.simulation, self.simulation.test_set[:SHOWN_PERTURBATIONS]
        found = worst_case(network, few, simulation.adversary)
        dictionary = simulation.data.dictionary
        return found.delta if dictionary is None else found.delta @ dictionary
