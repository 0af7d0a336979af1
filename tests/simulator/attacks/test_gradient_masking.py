"""Each sign of masked gradients fires on a network that masks, and none on an honest one."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient_masking import gradient_masking
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

D = 10


def honest(seed=0):
    return SymmetricReLU(np.random.default_rng(seed).standard_normal((30, D)), 0.5)


def samples(network, n=40):
    X = np.random.default_rng(1).standard_normal((n, D))
    return Batch(X, np.where(network.margins(X, np.ones(n)) > 0.0, 1.0, -1.0))


class Masked:
    """Honest margins; the gradients are what ``spoil(gradient, X)`` makes of them."""

    def __init__(self, network, spoil):
        self.network, self.spoil = network, spoil

    def margins(self, X, y):
        return self.network.margins(X, y)

    def margin_gradient(self, X, y):
        return self.spoil(self.network.margin_gradient(X, y), X)


def silent(gradient, X):
    return np.zeros_like(gradient)


def shattered(gradient, X):
    """As if the margin carried a ripple too fine to matter: another direction everywhere."""
    return np.sin(1e6 * X)


def reversed_(gradient, X):
    return -gradient


def partly_silent(gradient, X):
    gradient = gradient.copy()
    gradient[::10] = 0.0
    return gradient


@pytest.mark.parametrize("kind, radius", [(L2Ball, 0.2), (L2Ball, 0.6), (LinfBall, 0.1)])
@pytest.mark.parametrize("seed", range(3))
def test_an_honest_network_raises_nothing(kind, radius, seed):
    network = honest(seed)
    found = gradient_masking(network, samples(network), Adversary(kind(radius)))
    assert found.raised == ()
    # the best point ever met is kept: more steps of the same attack may end a little higher
    assert list(found.steps) == [1, 5, 20, 40] and found.curve[-1] <= found.curve[0] + 1e-3


def test_a_linear_classifier_raises_nothing():
    network = LinearClassifier(np.linspace(-1.0, 2.0, D))
    assert gradient_masking(network, samples(network), Adversary(L2Ball(0.3))).raised == ()


@pytest.mark.parametrize("spoil, signs", [
    (silent, {"zero_gradients", "gradient_free", "stalled"}),
    (partly_silent, {"zero_gradients"}),
    (shattered, {"gradient_free", "stalled", "spread"}),
    (reversed_, {"gradient_free"}),
])
def test_a_masked_network_raises_its_signs(spoil, signs):
    network = honest()
    found = gradient_masking(Masked(network, spoil), samples(network), Adversary(L2Ball(0.4)))
    assert signs <= set(found.raised), found


def test_the_scale_of_the_gradients_does_not_matter():
    network = honest()
    for factor in (1e-12, 1e12):
        scaled = Masked(network, lambda gradient, X, factor=factor: factor * gradient)
        assert gradient_masking(scaled, samples(network), Adversary(L2Ball(0.4))).raised == ()


@pytest.mark.parametrize("change, message", [
    ({"ball": L2Ball(0.0)}, "ball: expected a radius above 0"),
    ({"steps": (5,)}, "steps: expected at least two, ascending"),
    ({"steps": (5, 5)}, "steps: expected at least two, ascending"),
    ({"restarts": 1}, "restarts: expected at least 2"),
])
def test_bad_arguments_are_named(change, message):
    network = honest()
    with pytest.raises(ValueError, match=message):
        ball = change.pop("ball", L2Ball(0.1))
        gradient_masking(network, samples(network), Adversary(ball), **change)


def test_a_network_that_is_always_wrong_is_refused():
    network = honest()
    batch = samples(network)
    with pytest.raises(ValueError, match="expected samples that the network gets right"):
        gradient_masking(network, Batch(batch.X, -batch.y), Adversary(L2Ball(0.1)))
