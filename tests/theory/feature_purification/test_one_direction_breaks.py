"""A3: the planted direction breaks the network, a random one does not."""

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.worst_case import worst_case
from simulator.experiments.feature_purification.experiment import PurificationExperiment
from simulator.networks.symmetric_relu import SymmetricReLU
from theory.claim import FAILS, HOLDS, OUTSIDE
from theory.feature_purification.one_direction_breaks import confront

from planted.feature_purification import SEEDS, changed, planted_run


def under_a_random_direction(run):
    """The run with the universal direction replaced by a random one, really measured."""
    simulation = PurificationExperiment(run.config)
    network = SymmetricReLU(run.arrays["weights_clean"], float(run.arrays["bias"]))
    direction = np.random.default_rng(run.config.seed).standard_normal(run.config.d)
    test = simulation.test_set
    adversary = Adversary(simulation.ball, {"universal": Universal(direction)})
    accuracy = worst_case(network, test, adversary).accuracy("universal")
    return changed(run, clean={"universal_accuracy": accuracy})


def test_a3_holds_for_dense_mixtures(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a3_fails_for_a_random_direction(planted):
    finding = confront([under_a_random_direction(run) for run in planted])
    assert finding.verdict == FAILS
    assert finding.measured > 0.9


def test_a3_is_outside_where_the_direction_is_too_weak_to_tell():
    runs = [planted_run(64, 8, seed, before=0.02) for seed in SEEDS]
    finding = confront(runs)
    assert finding.verdict == OUTSIDE
    assert "d is large enough" in finding.caveats[0]
