"""What is kept of a network along its training, so that its training can be watched.

A frame is small, and there are few. Most happens in the first steps of a phase, so that there they
are dense and later sparse; the first and the last step of each phase always have one. The arrays of
``frames.npz``, T frames of F features,

    step            (T,) int
    features        (F,) int; all of them, or evenly spaced ones
    coefficients    (T, F, F) float16: row i is the strongest neuron of feature ``features[i]`` in
                    dictionary coordinates, entry j ``s_i w*_j C_ij`` (positive: it pushes towards
                    the neuron's own label); NaN where no neuron has the feature
    mixture_ratio, purity
                    (T,), of all neurons; see :func:`simulator.features.feature_metrics`
    perturbations   (T, 2, d) float16: the strongest perturbation at tau that three quick attacks
                    find of the first two test samples, ``-y w*_j (M^T delta)_j``: positive is
                    towards the other label
    tau             ()
    radii           (R,)
    accuracy_universal, accuracy_fgm
                    (T, R): what is left of the accuracy on ``samples`` test samples, the first ones
    samples         ()

They cost as much as a few training steps each, and change no bit of the run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM
from simulator.attacks.reach import within_reach
from simulator.attacks.suites import quick_attacks
from simulator.attacks.worst_case import worst_case
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PHASES, PurificationExperiment
from simulator.experiments.feature_purification.measured import neurons_of
from simulator.experiments.records import columns_of, rows_of
from simulator.features import Decomposition, feature_metrics, strongest_neurons
from simulator.protocols import Batch, Network
from simulator.runs.stages import Arrays

__all__ = ["Frames", "frame_steps", "frames_of"]

PREFIX = "frame."
MOST_FEATURES = 100  # more are not told apart in a moving picture, and fill the disk
DENSER = 2.5  # power by which frames are denser at the beginning of a phase
SAMPLES = 100  # of an accuracy: its standard error is .05 at most
RADII = 11  # of its curve
PERTURBED = 2  # samples whose perturbation is kept


def frame_steps(config: PurificationConfig) -> list[int]:
    """Return the steps at which a frame is taken, ascending, about ``frames`` of them.

    Both phases have as many; frame i of n is at the share ``(i / n)^2.5`` of the phase.
    """
    if not config.frames:
        return []
    clean, adversarial = config.clean_steps, config.adversarial_steps
    each = max(1, config.frames // (2 if adversarial else 1))
    shares = (np.arange(1, each + 1) / each) ** DENSER
    return sorted({0, *np.rint(clean * shares).astype(int).tolist(),
                   *np.rint(clean + adversarial * shares).astype(int).tolist()})


class Frames:
    """The frames of one phase of training, in progress.

    Parameters
    ----------
    experiment : PurificationExperiment
    saved : mapping or None
        An earlier :meth:`state`, to go on from.
    """

    def __init__(self, experiment: PurificationExperiment,
                 saved: Mapping[str, np.ndarray] | None = None) -> None:
        self.experiment = experiment
        self.steps = frozenset(frame_steps(experiment.config))
        self.taken = rows_of(saved or {}, PREFIX)

    def at(self, step: int, network: Network) -> None:
        """Take a frame of the network as it is after ``step`` steps, if one is due."""
        if step not in self.steps:
            return
        parts = neurons_of(self.experiment, network)
        if parts is None:
            return
        test, radii = self.experiment.test_set[:SAMPLES], _radii(self.experiment)
        ball = self.experiment.ball
        near = within_reach(network, test.X, ball.with_radius(max(radii[-1], ball.radius)))
        metrics = feature_metrics(parts)
        self.taken.append({
            "step": step, "mixture_ratio": metrics["mixture_ratio"], "purity": metrics["purity"],
            "coefficients": _coefficients(parts, _features(self.experiment.config.d)),
            "perturbations": self._perturbations(near, test[:PERTURBED]),
            **{f"accuracy_{name}": self._accuracy(near, test, attack, radii)
               for name, attack in (("universal", Universal(self.experiment.data.dense_direction)),
                                    ("fgm", FGM()))}})

    def state(self) -> Arrays:
        """Return what a checkpoint needs."""
        return columns_of(self.taken, PREFIX)

    def _perturbations(self, network: Network, few: Batch) -> np.ndarray:
        """The strongest at tau, in dictionary coordinates, signed towards the other label."""
        experiment, data = self.experiment, self.experiment.data
        delta = worst_case(network, few, Adversary(
            experiment.ball, quick_attacks(data.dense_direction), seed=experiment.config.seed,
            chunk=experiment.config.evaluation_chunk)).delta
        along = delta if data.dictionary is None else delta @ data.dictionary
        return np.asarray(-few.y[:, None] * np.sign(data.signs) * along, np.float16)

    def _accuracy(self, network: Network, test: Batch, attack: FGM | Universal,
                  radii: Sequence[float] | np.ndarray) -> np.ndarray:
        """Accuracy at every radius under an attack of one step, whose direction no radius changes.

        What breaks a sample lies in every larger ball too, so only those that hold are asked again.
        """
        largest = self.experiment.ball.with_radius(radii[-1])
        delta = attack.perturb(network, test.X, test.y, largest).delta
        holds, left = np.arange(len(test)), []
        for radius in radii:
            X = test.X[holds] + delta[holds] * test.X.dtype.type(radius / radii[-1])
            holds = holds[network.margins(X, test.y[holds]) > 0.0]
            left.append(len(holds) / len(test))
        return np.array(left)


def _radii(experiment: PurificationExperiment) -> np.ndarray:
    """As far as the curves of the run, in fewer steps."""
    return np.linspace(0.0, experiment.radii()[-1], RADII)


def _features(d: int) -> np.ndarray:
    return np.unique(np.linspace(0, d - 1, min(d, MOST_FEATURES)).astype(int))


def _coefficients(parts: Decomposition, features: np.ndarray) -> np.ndarray:
    """The strongest neuron of each of the features, in their coordinates; shape (F, F)."""
    strongest = strongest_neurons(parts)[features]
    found = np.flatnonzero(strongest >= 0)
    rows = np.full((len(features), len(features)), np.nan, np.float16)
    few = parts.of(strongest[found])
    aligned = few.signs[:, None] * np.sign(few.labeler) * few.coefficients
    rows[found] = aligned[:, features]
    return rows


def frames_of(experiment: PurificationExperiment, done: Mapping[str, Arrays]) -> dict[str, Any]:
    """Return the arrays of ``frames.npz`` from the finished trainings; {} where none were taken."""
    rows = [row for phase in PHASES for row in rows_of(done[phase], PREFIX)]
    if not rows:
        return {}
    return {"features": _features(experiment.config.d), "tau": np.array(experiment.config.tau),
            "radii": _radii(experiment),
            "samples": np.array(min(SAMPLES, experiment.config.test_samples)),
            **{name.removeprefix(PREFIX): column
               for name, column in columns_of(rows, PREFIX).items()}}
