"""A5: planted networks share their direction; noise of equal length does not transfer."""

import numpy as np

from simulator.attacks.adversary import Adversary
from simulator.protocols import Perturbation
from simulator.runs.run import Run
from theory.claim import FAILS, HOLDS
from theory.feature_purification.perturbation_transfers import confront, strongest


class Isotropic:
    """An attack that goes in a random direction, as far as the ball allows."""

    def perturb(self, network, X, y, ball, rng):
        return Perturbation(ball.steepest(rng.standard_normal(X.shape)), 0)


def under_noise(run):
    """The run with an adversary that only adds noise."""
    experiment = run.config.experiment()
    experiment.adversary = Adversary(experiment.ball, Isotropic(), seed=run.config.seed)
    return Run(run.config, run.summary, run.history, run.arrays, experiment=experiment)


def test_a5_holds_between_networks_with_the_same_dense_direction(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a5_fails_for_isotropic_perturbations(planted):
    finding = confront([under_noise(run) for run in planted])
    assert finding.verdict == FAILS
    assert abs(finding.measured) < 0.1


def test_the_perturbations_are_those_of_the_attacked_accuracy(planted):
    run = planted[0]
    test, network = run.test_set, run.network("clean")
    margins = network.margins(test.X + strongest(run), test.y)
    assert np.mean(margins > 0.0) == run.summary["clean"]["attacked_accuracy"]
