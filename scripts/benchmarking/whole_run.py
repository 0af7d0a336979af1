"""The time of one real run of ours, everything in: for `purify benchmark`.

Training with its history, and each part of the evaluation, in seconds of the clock and of all
threads of the process. The process is a fresh one whose kernels lie in the cache.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PHASES
from simulator.experiments.feature_purification.run import simulate
from simulator.runs.folder import RunFolder

__all__ = ["StageClock", "parts", "timed_run"]


class StageClock:
    """A progress callback that books the time of each stage of a run.

    Attributes
    ----------
    spent : dict of str to dict
        ``wall_s`` and ``cpu_s`` of each stage, in order.
    """

    def __init__(self) -> None:
        self.spent: dict[str, dict[str, float]] = {}
        self._name = ""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __call__(self, step: int, total: int, what: str) -> None:
        """See :data:`simulator.runs.stages.Progress`."""
        if what != self._name:
            self.turn(what)

    def turn(self, what: str) -> None:
        """Close the stage at work; from here on it is ``what``."""
        wall, cpu = time.perf_counter(), time.process_time()
        if self._name:
            own = self.spent.setdefault(self._name, {"wall_s": 0.0, "cpu_s": 0.0})
            own["wall_s"] += wall - self._wall
            own["cpu_s"] += cpu - self._cpu
        self._name, self._wall, self._cpu = what, wall, cpu


def timed_run(config: PurificationConfig, root: Path) -> dict[str, Any]:
    """Do a run from its beginning in a folder below ``root``, which holds no other.

    Returns
    -------
    dict
        What :func:`parts` does, and the name of the ``folder``.

    Raises
    ------
    RunError
        The folder cannot be made.
    Diverged
        These settings do not train.
    """
    folder, clock = RunFolder.create(root, config), StageClock()
    simulate(config, folder, clock)
    clock.turn("")
    return parts(clock.spent) | {"folder": folder.path.name}


def parts(stages: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Add up stages: ``training``, ``evaluation``, and the latter by its parts in ``by_part``."""
    training, evaluation = _nothing(), _nothing()
    by_part: dict[str, dict[str, float]] = {}
    for name, spent in stages.items():
        phase, _, what = name.partition(": ")
        part = what if phase in PHASES else phase
        for total in ((training,) if name in PHASES
                      else (evaluation, by_part.setdefault(part, _nothing()))):
            for kind, seconds in spent.items():
                total[kind] += seconds
    return {"training": training, "evaluation": evaluation, "by_part": by_part}


def _nothing() -> dict[str, float]:
    return {"wall_s": 0.0, "cpu_s": 0.0}
