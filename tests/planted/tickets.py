"""Random networks, masks and inputs, small and large, for tests of tickets."""

import numpy as np

from simulator.tickets.dynamics import Dynamics

B, SCALE = 0.7, 1.4


def case(seed=0, n=5, m=6, d=4, keep=0.5):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    return W, rng.random((m, d)) < keep, X


def large(seed=0, n=60, m=80, d=20):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((m, d)), rng.standard_normal((n, d)) / np.sqrt(d)
    return Dynamics(W, B, X), rng
