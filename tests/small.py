"""A run small enough for a test, shared by the tests of configs, runs and commands."""

from typing import Any

from simulator.experiments import preset
from simulator.experiments.feature_purification.config import PurificationConfig

SMALL = {"d": 20, "k": 2, "m": 40, "batch_size": 50, "clean_steps": 30, "adversarial_steps": 20,
         "test_samples": 60, "evaluation_chunk": 60, "bracket_samples": 0,
         "record_every": 10}
CERTIFIED = {"bracket_samples": 10, "bracket_nodes": 3}


def small_config(**changes: Any) -> PurificationConfig:
    """The smoke preset shrunk to a fraction of a second."""
    return PurificationConfig.from_settings(preset("smoke") | SMALL | changes)


def small_flags(**changes: Any) -> list[str]:
    """The same settings as command-line flags."""
    settings = SMALL | changes
    return ["--preset", "smoke"] + [f"--set={key}={value}" for key, value in settings.items()]
