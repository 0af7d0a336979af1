"""The linear relaxation is exact where the network is linear in the ball."""

import numpy as np
import pytest

from simulator.certificates.linear import linear_relaxation
from simulator.certificates.margins import certify
from simulator.protocols import Batch

from planted.certificates import BALLS, ROUND, all_bounds, case, quadratic_dual


@pytest.mark.parametrize("kind", BALLS)
def test_a_linear_network_is_certified_with_its_dual_norm_margin(kind):
    network, X, y, radius, _ = case(1, 12, 5, bias=0.0)
    exact = network.margins(X, y) - radius * kind(1.0).dual_norm(
        network.weights.sum(axis=0)[None])[0]
    batch = Batch(X, y)
    for bound in (linear_relaxation(network, batch, kind(radius)),
                  quadratic_dual(network, batch, kind(radius)),
                  certify(network, batch, kind(radius), methods=("branching",),
                          target=np.inf).margins):
        # with b = 0 the slope 1 is a corner of the relaxation; the ascent comes near it
        np.testing.assert_allclose(bound, exact, atol=2e-2)
        assert np.all(bound <= exact + ROUND)
    np.testing.assert_allclose(linear_relaxation(network, batch, kind(radius)), exact, atol=1e-8)


@pytest.mark.parametrize("kind", BALLS)
def test_neurons_that_stay_open_are_added_up_exactly(kind):
    network, X, y, _, _ = case(2, 12, 5, bias=0.3)
    U = np.abs(network.pre_activations(X))
    radius = 0.5 * float((np.abs(U - 0.3) / kind(1.0).dual_norm(network.weights)).min())
    ball = kind(radius)
    exact = network.margins(X, y) - radius * ball.dual_norm(network.margin_gradient(X, y))
    for name, bound in all_bounds(network, X, y, ball)[0].items():
        if name != "separable":
            np.testing.assert_allclose(bound, exact, atol=1e-8, err_msg=name)
