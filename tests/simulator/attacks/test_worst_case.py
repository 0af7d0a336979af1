"""The smallest network of one's own is attacked; slips are one line; every step is heard."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD
from simulator.attacks.search import FeatureGreedy, RandomSearch
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.data.sparse_coding import SparseCoding
from simulator.heartbeat import listening
from simulator.protocols import Batch
from simulator.robustness.accuracy import accuracy, accuracy_curves
from simulator.robustness.critical_radius import critical_radius
from simulator.training import train


class Smallest:
    """Logistic regression with the five things that a network must have, and no more."""

    def __init__(self, d):
        self.weights = np.zeros(d)

    def margins(self, X, y):
        return y * (X @ self.weights)

    def margin_gradient(self, X, y):
        return y[:, None] * self.weights

    def loss_gradient(self, X, y, weight_decay=0.0, rng=None):
        margins = self.margins(X, y)
        slopes = -y / (1.0 + np.exp(margins)) / len(y)
        return (np.logaddexp(0.0, -margins).mean() + weight_decay * self.weights @ self.weights / 2,
                slopes @ X + weight_decay * self.weights)

    def gradient_step(self, X, y, learning_rate, weight_decay=0.0, rng=None):
        loss, gradient = self.loss_gradient(X, y, weight_decay)
        self.weights = self.weights - learning_rate * gradient
        return loss


def test_the_smallest_network_is_trained_attacked_and_measured():
    data = SparseCoding(d=20, k=2)
    network, test = Smallest(20), data.sample(200, np.random.default_rng(0))
    adversary = Adversary(L2Ball(0.1), FGM())
    train(network, data, learning_rate=1.0, steps=60, adversary=adversary, batch_size=100)
    assert accuracy(network, test) > 0.9
    curve = accuracy_curves(network, test, adversary, radii=[0.0, 0.5, 5.0])["strongest"]
    assert curve[0] == accuracy(network, test) and curve[-1] == 0.0
    exact = np.median(network.margins(test.X, test.y) / np.linalg.norm(network.weights))
    radius = critical_radius(network, test, adversary, tolerance=1e-3)
    assert radius.value == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("attack, least", [
    (FGM(), 2), (PGD(10), 10), (AdaptivePGD(10), 10), (RandomSearch(10), 10),
    (FeatureGreedy(features=1), 6)])
def test_every_step_of_an_attack_is_heard_and_changes_no_number(attack, least):
    network, beats = Smallest(3), []
    network.weights = np.array([1.0, -2.0, 0.5])
    batch = Batch(np.ones((4, 3)), np.ones(4))
    silent = worst_case(network, batch, Adversary(L2Ball(0.3), attack))
    with listening(lambda: beats.append(1)):
        heard = worst_case(network, batch, Adversary(L2Ball(0.3), attack))
    assert len(beats) >= least
    assert np.array_equal(silent.delta, heard.delta)


class Wrong:
    def perturb(self, network, X, y, ball, rng):
        return np.zeros_like(X)


@pytest.mark.parametrize("batch, adversary, message", [
    (np.ones((4, 3)), Adversary(L2Ball(0.3)), r"batch: expected a Batch\(X, y\), got .* ndarray"),
    (Batch(np.ones((4, 3)), np.ones(4)), 0.1, "adversary: expected an Adversary such as .* 0.1"),
    (Batch(np.ones((4, 3)), np.ones(4)), FGM(), "adversary: expected an Adversary such as"),
    (Batch(np.ones((4, 3)), np.ones(4)), Adversary(L2Ball(0.3), Wrong()),
     r"attack wrong: expected a Perturbation\(delta, zero_gradients\), got .* ndarray")])
def test_a_slip_is_one_line(batch, adversary, message):
    with pytest.raises(TypeError, match=message):
        worst_case(Smallest(3), batch, adversary)
