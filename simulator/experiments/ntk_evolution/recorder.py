"""How the kernel of a network moves in phase 1: recorded along the training."""

import math
from collections.abc import Mapping

import numpy as np

from simulator.attacks.worst_case import worst_case
from simulator.experiments.jackknife import exact_loss
from simulator.experiments.ntk_evolution.experiment import NTKExperiment
from simulator.experiments.records import Record
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.measures import (alignment, centred_alignment, distance, effective_rank,
                                    linear_kernel, pure_kernel)

__all__ = ["KernelRecord"]


class KernelRecord(Record):
    """A training of phase 1 in progress, its kernel held against its start and its last record.

    Parameters
    ----------
    experiment : NTKExperiment
    network : SymmetricReLU
        At initialisation; to be trained.
    saved : mapping or None
        An earlier :meth:`state`.

    Attributes
    ----------
    network : SymmetricReLU
    frozen : list of ndarray, shape (m, d)
        The weights at the freeze times so far.
    kernels : list of ndarray, shape (n, n)
        The kernels recorded, in float32: the last one is known in the end only.
    """

    network: SymmetricReLU
    frozen: list[np.ndarray]
    kernels: list[np.ndarray]

    def __init__(self, experiment: NTKExperiment, network: SymmetricReLU,
                 saved: Mapping[str, np.ndarray] | None) -> None:
        self.experiment = experiment
        probe = experiment.probe
        self._pure, self._linear = pure_kernel(probe.X, probe.codes), linear_kernel(probe.X)
        self._first = self._last = experiment.kernel(network.weights)
        self.frozen, self.kernels = [network.weights.copy()], []
        super().__init__(network, saved)
        if saved is None:
            self.record(0, exact_loss(math.log(2.0)))
        else:
            self._last, self.frozen = saved["last_kernel"], list(saved["frozen"])
            self.kernels = list(saved["kernels"])

    def state(self) -> dict[str, np.ndarray]:
        """Return what a checkpoint needs."""
        return super().state() | {"last_kernel": self._last, "frozen": np.array(self.frozen),
                                  "kernels": np.array(self.kernels)}

    def finished_rows(self) -> list[dict[str, float]]:
        """Return the rows with the distance of each kernel to the last one."""
        return [row | {"distance_to_last": distance(kernel, self.kernels[-1])}
                for row, kernel in zip(self.rows, self.kernels)]

    def record(self, step: int, losses: Mapping[str, float]) -> None:
        """Append a row; its velocity is that of the interval that ends here.

        Parameters
        ----------
        step : int
        losses : mapping of str to float
            Columns: the loss and its limits.
        """
        experiment, network = self.experiment, self.network
        probe, kernel = experiment.probe, experiment.kernel(network.weights)
        passed = step - self.rows[-1]["step"] if self.rows else math.nan
        quick = worst_case(network, experiment.test_set, experiment.quick_adversary)
        self.rows.append({
            "step": step, **losses, "accuracy": quick.accuracy("clean"),
            "fgm_accuracy": quick.accuracy("fgm"),
            "velocity": distance(self._last, kernel) / passed,
            "distance_from_start": distance(self._first, kernel),
            "effective_rank": effective_rank(kernel),
            "participation": effective_rank(kernel, "participation"),
            "alignment": alignment(kernel, probe.y),
            "centred_alignment": centred_alignment(kernel, probe.y),
            "distance_to_pure": distance(kernel, self._pure),
            "distance_to_linear": distance(kernel, self._linear),
            "gate_rate": float(network.gates(probe.X).mean(dtype=np.float64))})
        self._last = kernel
        self.kernels.append(kernel.astype(np.float32))
