"""The separable dual: the best bound of a pure network, in any basis."""

import numpy as np

from simulator.balls import L2Ball
from simulator.certificates.linear import linear_relaxation
from simulator.certificates.separable import separable_dual
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import case, quadratic_dual


def test_a_pure_network_is_solved_by_both_duals():
    """Without mixtures the separable dual and the quadratic one are the same bound."""
    rng = np.random.default_rng(3)
    W = np.zeros((24, 8))
    W[np.arange(24), np.arange(24) % 8] = 1.0  # three copies of each feature
    network = SymmetricReLU(W, 0.2)
    X = np.where(rng.random((20, 8)) < 0.3, rng.choice([-0.6, 0.6], (20, 8)), 0.0)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    ball = L2Ball(0.3)
    batch = Batch(X, y)
    separable = separable_dual(network, batch, ball)
    quadratic = quadratic_dual(network, batch, ball)
    np.testing.assert_allclose(quadratic, separable, atol=2e-2)
    assert np.all(linear_relaxation(network, batch, ball) <= separable + 1e-6)
    assert np.mean(separable - linear_relaxation(network, batch, ball)) > 0.1


def test_the_separable_dual_does_not_depend_on_the_basis():
    network, X, y, _, rng = case(4, 30, 6, pure=True)
    M = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    turned = SymmetricReLU(network.weights @ M.T, network.bias)
    np.testing.assert_allclose(separable_dual(turned, Batch(X @ M.T, y), L2Ball(0.2), dictionary=M),
                               separable_dual(network, Batch(X, y), L2Ball(0.2)), atol=1e-10)
