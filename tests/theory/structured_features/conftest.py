"""Runs whose standard training reads v and whose adversarial training reads u."""

import pytest

from simulator.attacks.gradient import FGM
from simulator.experiments.structured_features.experiment import StructuredExperiment

from planted.structured_features import SEEDS, planted_run


@pytest.fixture
def one_attack(monkeypatch):
    """For claims that do not ask how robust a network is: most of a planted run are attacks."""
    monkeypatch.setattr(StructuredExperiment, "attacks", {"fgm": FGM()})


@pytest.fixture(scope="package")
def planted():
    return [planted_run(seed) for seed in SEEDS]
