"""A run small enough for a test, shared by the tests of configs, runs and commands."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from simulator import low_complexity
from simulator.attacks.gradient import AdaptivePGD
from simulator.attacks.gradient_masking import gradient_masking
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.suites import sharp_attacks, standard_attacks
from simulator.experiments import preset
from simulator.experiments.feature_purification import experiment, run
from simulator.experiments.feature_purification.config import PurificationConfig
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.robustness.critical_radius import critical_interval, critical_radius
from simulator.robustness.tails import tail_radii
from simulator.sweeps import local

SMALL = {"d": 20, "k": 2, "m": 40, "batch_size": 50, "clean_steps": 30, "adversarial_steps": 20,
         "test_samples": 60, "evaluation_chunk": 60, "bracket_samples": 0,
         "record_every": 10, "frames": 4}
FEW = {RandomSearch: {"trials": 4}, AdaptivePGD: {"restarts": 1},
       FeatureGreedy: {"features": 2, "candidates": 2, "descents": 1}}
CERTIFIED = {"bracket_samples": 4, "bracket_nodes": 3}


def small_config(**changes: Any) -> PurificationConfig:
    """The smoke preset shrunk to a fraction of a second."""
    return PurificationConfig.from_settings(preset("smoke") | SMALL | changes)


def small_flags(**changes: Any) -> list[str]:
    """The same settings as command-line flags."""
    settings = SMALL | changes
    return ["--preset", "smoke"] + [f"--set={key}={value}" for key, value in settings.items()]


def brief(suite: Callable[..., Mapping[str, Any]]) -> Callable[..., Mapping[str, Any]]:
    """The same attacks, with a tenth of their work: for tests of all but their strength."""
    def attacks(*arguments: Any, **options: Any) -> dict[str, Any]:
        made = suite(*arguments, **options | {"steps": 3})
        return {name: replace(attack, **FEW.get(type(attack), {})) for name, attack in made.items()}

    return attacks


def every_fifth(radii: Callable[..., Any]) -> Callable[..., Any]:
    """Of the radii of the accuracy curves, the first, the last and two between."""
    return lambda experiment: radii(experiment)[::5]


def shorten_attacks(patch: Any) -> None:
    """Let the evaluations of this process, and of workers it starts for a sweep, be brief."""
    for place, suite in ((experiment, standard_attacks), (experiment, sharp_attacks),
                         (low_complexity, standard_attacks)):
        patch.setattr(place, suite.__name__, brief(suite))
    patch.setattr(PurificationExperiment, "radii", every_fifth(PurificationExperiment.radii))
    patch.setattr(run, "gradient_masking", partial(gradient_masking, steps=(1, 2, 4), restarts=2))
    # three searches for radii, coarse ones
    patch.setattr(run, "tail_radii", partial(tail_radii, tolerance=0.3))
    patch.setattr(run, "critical_radius", partial(critical_radius, tolerance=0.1))
    patch.setattr(run, "critical_interval", partial(critical_interval, tolerance=0.3))
    patch.setattr(local, "_begin_worker", begin_brief_worker)


def begin_brief_worker(*arguments: Any) -> None:
    """What a worker of such a sweep does first."""
    begin = local._begin_worker
    shorten_attacks(SimpleNamespace(setattr=setattr))
    begin(*arguments)
