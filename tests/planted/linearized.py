"""A random linearised network with inputs and labels."""

import numpy as np

from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU


def case(centred=False, s=0.0, n=4, m=6, d=3, seed=0, b=0.7):
    """(network, X, y): random weights and changes, about half of the gates open."""
    rng = np.random.default_rng(seed)
    origin = SymmetricReLU(rng.standard_normal((m, d)), b)
    network = LinearizedReLU(origin, centred, rng.standard_normal((m, d)), s)
    return network, rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)
