"""Stages of a real run: the weights that the benchmark's steps start from.

Our own code trains a preset once and keeps the weights at

    init   before the first step
    mid    halfway through clean training
    end    after adversarial training

and in the middle of each of nine stretches of the run. The time of a whole run is then the sum
over the stretches of their length times the time of a step there: steps get several times faster
as neurons fall silent, so no single place stands for the run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.config import config_hash
from simulator.training import train

__all__ = ["WEIGHTS", "Stages", "Stretch"]

WEIGHTS = ("init", "mid", "end")
CLEAN_STRETCHES, ADVERSARIAL_STRETCHES = 6, 3


@dataclass(frozen=True)
class Stretch:
    """Consecutive steps of the run to be done, and how many they stand for.

    Attributes
    ----------
    weights : str or None
        Stored weights to start from; None goes on from the stretch before.
    start : int
        First step: it fixes the batches.
    adversarial : bool
    biases : list of float
        The bias in each of the steps to be done.
    length : float
        Steps of the run that these stand for.
    """

    weights: str | None
    start: int
    adversarial: bool
    biases: list[float]
    length: float


class Stages:
    """The stored weights of one run.

    Parameters
    ----------
    config : PurificationConfig
    folder : Path
        Holds ``weights-<config hash>.npz``, an array for each name.
    """

    def __init__(self, config: PurificationConfig, folder: Path) -> None:
        self.config, self.simulation = config, PurificationExperiment(config)
        self.path = folder / f"weights-{config_hash(config)}.npz"
        self.steps = config.clean_steps + config.adversarial_steps
        self.step_of = {"init": 0, "mid": config.clean_steps // 2, "end": self.steps}

    def bias(self, step: int) -> float:
        """Return the bias of a step; it stays in the adversarial phase."""
        unused = SymmetricReLU(np.zeros((1, self.config.d)), 0.0)
        schedule = self.simulation.schedule
        assert schedule is not None  # no network was given
        return schedule.bias(min(step, self.config.clean_steps), unused)

    def train(self, progress: Callable[[int, int], None]) -> None:
        """Train and store the weights; ``progress`` is told (steps done, steps in all).

        Raises
        ------
        Diverged
            These settings do not train.
        """
        config, simulation = self.config, self.simulation
        network = simulation.initial_network()
        wanted = set(self.step_of.values()) | {place for place, _ in self._places()}
        kept: dict[int, np.ndarray] = {}

        def keep(step: int, loss: float) -> None:
            if step in wanted:
                kept[step] = network.weights.copy()
            progress(step, self.steps)

        keep(0, 0.0)
        with fixed_threads(config.threads):
            common: dict[str, Any] = {
                "learning_rate": config.learning_rate, "weight_decay": config.weight_decay,
                "seed": config.seed, "after_step": keep}
            train(network, simulation.batches, stop=config.clean_steps,
                  schedule=simulation.schedule, **common)
            train(network, simulation.batches, start=config.clean_steps, stop=self.steps,
                  adversary=Adversary(simulation.ball, simulation.training_attack), **common)
        arrays = {name: kept[step] for name, step in self.step_of.items()}
        arrays |= {f"step{place}": kept[place] for place, _ in self._places()}
        partial = self.path.with_suffix(".part")
        with open(partial, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        partial.replace(self.path)

    def sampled_run(self, steps: int) -> list[Stretch]:
        """Return the nine stretches with ``steps`` steps to be done in each."""
        found = []
        for place, length in self._places():
            adversarial = place >= self.config.clean_steps
            end = min(place + steps, self.steps if adversarial else self.config.clean_steps)
            biases = [self.bias(step) for step in range(place, end)]
            found.append(Stretch(f"step{place}", place, adversarial, biases, length))
        return found

    def whole_run(self) -> list[Stretch]:
        """Return the run itself, every step of it."""
        clean, after = self.config.clean_steps, self.config.adversarial_steps
        return [Stretch("init", 0, False, [self.bias(step) for step in range(clean)], clean),
                Stretch(None, clean, True, [self.bias(clean)] * after, after)]

    def _places(self) -> list[tuple[int, float]]:
        """Middle and length of each stretch."""
        config, places = self.config, []
        for first, steps, number in ((0, config.clean_steps, CLEAN_STRETCHES),
                                     (config.clean_steps, config.adversarial_steps,
                                      ADVERSARIAL_STRETCHES)):
            number = min(number, steps)
            places += [(first + (2 * i + 1) * steps // (2 * number), steps / number)
                       for i in range(number)]
        return places
