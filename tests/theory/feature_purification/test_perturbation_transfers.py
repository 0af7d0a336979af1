"""A5: planted networks share their direction; noise of equal length does not transfer."""

import math

import numpy as np

from theory.claim import FAILS, HOLDS
from theory.feature_purification.perturbation_transfers import confront


def isotropic(like, seed=0):
    """Random directions of the same lengths."""
    rng = np.random.default_rng(seed)
    random = rng.standard_normal(like.shape)
    lengths = np.linalg.norm(like, axis=1, keepdims=True)
    return random * lengths / np.linalg.norm(random, axis=1, keepdims=True)


def isotropic_of(run, simulation):
    X = simulation.test_set.X
    return isotropic(np.full(X.shape, run.config.tau / math.sqrt(X.shape[1])), run.config.seed)


def test_a5_holds_between_networks_with_the_same_dense_direction(planted):
    finding = confront(planted)
    assert finding.verdict == HOLDS, finding.caveats


def test_a5_fails_for_isotropic_perturbations(planted):
    finding = confront(planted, isotropic_of)
    assert finding.verdict == FAILS
    assert abs(finding.measured) < 0.1
