"""A linear classifier and a ReLU network, with samples, for tests of accuracy and radius."""

import numpy as np
import pytest

from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.robustness import WEIGHTS, D, N


@pytest.fixture(scope="module")
def linear():
    """A linear classifier and samples, one in five of them labelled wrongly."""
    rng = np.random.default_rng(0)
    network, X = LinearClassifier(WEIGHTS), rng.standard_normal((N, D))
    flip = np.where(rng.random(N) < 0.2, -1.0, 1.0)
    return network, Batch(X, flip * np.sign(X @ WEIGHTS))


@pytest.fixture(scope="module")
def curved():
    """A ReLU network and samples it gets right."""
    rng = np.random.default_rng(1)
    network = SymmetricReLU(0.5 * rng.standard_normal((20, D)), 0.5)
    X = rng.standard_normal((40, D))
    return network, Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))
