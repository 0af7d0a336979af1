"""Neurons that nothing in a ball can wake are left out, and no others."""

import numpy as np
import pytest

from simulator.attacks.reach import within_reach
from simulator.balls import L2Ball, LinfBall
from simulator.networks.symmetric_relu import SymmetricReLU

from planted.attacks import NETWORKS, D, both_balls, samples


def graded(dtype=np.float64):
    """Neurons of all lengths, more of them short than long."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((200, D)) * np.geomspace(0.02, 1.0, 200)[:, None]
    return SymmetricReLU(W.astype(dtype), 0.5)


@both_balls
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("radius", [0.0, 0.1, 1.0])
def test_the_network_is_the_same_in_the_balls_and_no_neuron_sleeps_there(kind, dtype, radius):
    net, X, ball = graded(dtype), samples().astype(dtype), kind(radius)
    near = within_reach(net, X, ball)
    assert 0 < near.neurons < net.neurons
    y, eps = np.ones(len(X), dtype), np.finfo(dtype).eps
    worst = [ball.steepest(np.broadcast_to(sign * w, X.shape)) for w in net.weights
             for sign in (dtype(1), dtype(-1))]
    for delta in worst[::7]:
        assert np.allclose(near.margins(X + delta, y), net.margins(X + delta, y), rtol=0.0,
                           atol=1e3 * eps)
    # every neuron is woken by its own steepest perturbation if it was kept, and only then
    woken = [max(np.abs((X + delta) @ w).max() for delta in worst[2 * i:2 * i + 2]) > net.bias
             for i, w in enumerate(net.weights)]
    assert near.neurons == np.count_nonzero(woken)


def test_other_networks_come_back_as_they_are():
    for name in ("smooth", "linear"):
        assert within_reach(NETWORKS[name], samples(), L2Ball(0.1)) is NETWORKS[name]


def test_a_network_that_sleeps_altogether_keeps_a_neuron():
    net = SymmetricReLU(1e-3 * np.eye(D), 1.0)
    near = within_reach(net, samples(), LinfBall(0.1))
    assert near.neurons == 1
    assert not near.margins(samples(), np.ones(len(samples()))).any()


def test_weights_of_nan_are_within_reach():
    W = np.full((3, D), 1e-3)
    W[1, 0] = np.nan
    near = within_reach(SymmetricReLU(W, 1.0), samples(), L2Ball(0.1))
    assert near.neurons == 1 and np.isnan(near.weights[0, 0])
