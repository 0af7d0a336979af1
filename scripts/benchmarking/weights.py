"""Stages of a real run: the weights that the benchmark's steps start from.

Our own code trains a preset once and keeps the weights at

    init   before the first step
    mid    halfway through clean training
    end    after adversarial training

and in the middle of each of nine stretches of the run. The time of a whole run is then the sum
over the stretches of their length times the time of a step there: steps get several times faster
as neurons fall silent, so no single place stands for the run.

A run that is stored can give its weights instead (:func:`stages_of_run`). It keeps those at the
end of each training, so it has `clean` (the end of clean training) in the place of `mid`, and no
stretches.
"""

import dataclasses
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.errors import RunError
from simulator.experiments import stored, stored_config
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PHASES, PurificationExperiment
from simulator.jit import fixed_threads
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.runs.config import config_hash
from simulator.runs.folder import RunFolder
from simulator.training import train

__all__ = ["WEIGHTS", "Stages", "Stretch", "stages_of_run"]

WEIGHTS = ("init", "mid", "end")
# Settings that move no weight: a run that differs from a size in these alone has its weights.
AFTERWARDS = ("name", "test_samples", "evaluation_chunk", "bracket_samples", "bracket_nodes",
              "learner_steps", "record_every", "threads")
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
    source : Path or None
        The run folder that the weights are taken from, if they are not trained here.
    """

    def __init__(self, config: PurificationConfig, folder: Path,
                 source: Path | None = None) -> None:
        self.config, self.simulation = config, PurificationExperiment(config)
        self.source, number = source, config_hash(config)
        self.path = folder / f"{'weights' if source is None else 'weights-of-run'}-{number}.npz"
        self.steps = config.clean_steps + config.adversarial_steps
        middle = (("mid", config.clean_steps // 2) if source is None
                  else ("clean", config.clean_steps))
        self.step_of = dict([("init", 0), middle, ("end", self.steps)])

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
        name_of = {step: name for name, step in self.step_of.items()}
        name_of = {place: f"step{place}" for place in wanted} | name_of

        def keep(step: int, loss: float) -> None:
            if step in wanted:
                kept(name_of[step], network.weights)
            progress(step, self.steps)

        with _Archive(self.path) as kept:
            keep(0, 0.0)
            with fixed_threads(config.threads):
                common: dict[str, Any] = {
                    "learning_rate": config.learning_rate, "weight_decay": config.weight_decay,
                    "seed": config.seed, "after_step": keep}
                train(network, simulation.batches, stop=config.clean_steps,
                      schedule=simulation.schedule, **common)
                train(network, simulation.batches, start=config.clean_steps, stop=self.steps,
                      adversary=Adversary(simulation.ball, simulation.training_attack), **common)

    def take(self) -> None:
        """Store the weights that the run folder has.

        Raises
        ------
        RunError
            Its training is not finished, or it was trained otherwise.
        """
        assert self.source is not None
        weights = _weights_of_run(self.source, self.config)
        with _Archive(self.path) as kept:
            kept("init", self.simulation.initial_network().weights)
            kept("clean", weights["clean"])
            kept("end", weights["adversarial"])

    def sampled_run(self, steps: int) -> list[Stretch]:
        """Return the nine stretches with ``steps`` steps to be done in each."""
        found = []
        for place, length in self._places():
            adversarial = place >= self.config.clean_steps
            end = min(place + steps, self.steps if adversarial else self.config.clean_steps)
            biases = [self.bias(step) for step in range(place, end)]
            name = next((name for name, step in self.step_of.items() if step == place),
                        f"step{place}")
            found.append(Stretch(name, place, adversarial, biases, length))
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


class _Archive:
    """An npz file whose arrays are written as they come; it appears when the last one is in it."""

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_suffix(".part")

    def __enter__(self) -> "_Archive":
        self.file = zipfile.ZipFile(self.partial, "w", zipfile.ZIP_STORED)
        return self

    def __call__(self, name: str, array: np.ndarray) -> None:
        with self.file.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)

    def __exit__(self, kind: object, *error: object) -> None:
        self.file.close()
        if kind is None:
            self.partial.replace(self.path)
        else:
            self.partial.unlink()


def stages_of_run(path: Path, config: PurificationConfig, folder: Path) -> Stages | None:
    """Return the stages that a run folder has for a size, or None if it is a run of another one.

    Raises
    ------
    RunError
        There is no run of these networks.
    """
    given = stored_config(RunFolder.existing(path))
    if not isinstance(given, PurificationConfig):
        raise RunError(f"{path}: expected a run of feature_purification, got one of {given.MODEL}")
    same = all(getattr(given, field.name) == getattr(config, field.name)
               for field in dataclasses.fields(config) if field.name not in AFTERWARDS)
    return Stages(config, folder, path) if same else None


def _weights_of_run(path: Path, config: PurificationConfig) -> Mapping[str, np.ndarray]:
    """The weights at the end of both trainings, of a run that may be in its evaluation."""
    folder = RunFolder.existing(path)
    if folder.is_done():
        run = stored(path)
        return {phase: run.network(phase).weights for phase in PHASES}
    state = folder.load_checkpoint(stored_config(folder)) or {}
    if not {*PHASES} <= {str(name) for name in state.get("stages", ())}:
        raise RunError(f"{path}: expected a run whose training is finished, got one at step "
                       f"{int(state.get('step', 0))} of "
                       f"{config.clean_steps + config.adversarial_steps}")
    return {phase: state[f"{phase}/weights"] for phase in PHASES}
