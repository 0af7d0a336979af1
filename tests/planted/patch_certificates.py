"""Random and trained-like patch networks, and points that fill a ball, for tests of bounds."""

import numpy as np
from hypothesis import strategies as st

from simulator.balls import PatchL2Ball
from simulator.certificates.patches.margins import patch_margins
from simulator.certificates.patches.problem import PatchProblem
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.protocols import Batch

ROUND = 1e-9  # a margin is a float64 sum of at most a few hundred terms below 100
SEEDS = st.integers(0, 2**32 - 1)
POWERS = st.sampled_from([2.0, 2.5, 3.0, 4.0])


def case(seed, K=2, m=3, d=2, P=2, n=1):
    """A random network and inputs; radii at which many activations change their piece."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((K, m, d)) * rng.uniform(0.05, 2.0, (K, m, 1))
    if rng.random() < 0.3:
        W[1, 0] = 0.0
    X = rng.standard_normal((n, P, d)) * rng.choice([0.3, 2.0])
    return W, X, rng.integers(0, K, n), rng.uniform(0.5, 2.0), rng.uniform(0.1, 1.5), rng


def network_of(W, q, rho):
    """The network of any real power: the bounds hold for all, training takes integers."""
    network = SmoothedReLUCNN(W, 3, rho)
    network.q = q
    return network


def certified(W, q, rho, X, y, radius, **settings):
    return patch_margins(network_of(W, q, rho), Batch(X, y), PatchL2Ball(radius), **settings)


def filling(radius, d, rng, count=600):
    """Points that fill the ball, many of them on its surface."""
    if d == 1:
        return np.linspace(-radius, radius, count)[:, None]
    directions = rng.standard_normal((count, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inner = rng.uniform(0.0, radius, (count, 1)) * rng.permutation(directions)
    return np.concatenate([radius * directions, inner, np.zeros((1, d))])


def problem_of(W, X, label, rival, q, rho, radius):
    pair = np.concatenate([W[label], W[rival]])
    return PatchProblem(pair, X @ pair.T, q, rho, radius, pair @ pair.T)


def trained(robust, P=41, d=30, m=6, seed=0, n=3):
    """Weights as training leaves them, planted: few large neurons and many small ones.

    The robust network reads u with alpha = 5 and its neurons fall with the other class's v; the
    non-robust one reads v with beta = .98 in every patch but the first.
    """
    rng = np.random.default_rng(seed)
    u, v = np.eye(d)[:2], np.eye(d)[2:4]
    W = 0.02 * rng.standard_normal((2, m, d))
    y = np.arange(n) % 2
    X = 0.5 / np.sqrt(d) * rng.standard_normal((n, P, d))
    X[:, 0] += 5.0 * u[y]
    X[:, 1:] += 0.98 * v[y][:, None]
    for i in range(2):
        if robust:
            W[i, 0] += 0.9 * u[i] - 1.5 * v[1 - i]
            W[i, 1] += 0.7 * u[i] - 1.1 * v[1 - i] + 0.1 * v[i]
        else:
            W[i, 0] += 0.7 * v[i]
    return W, X, y
