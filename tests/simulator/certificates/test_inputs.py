"""What every certificate asks of its network, batch and ball."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.balls import L2Ball, LinfBall
from simulator.certificates import inputs as inputs_module
from simulator.certificates.checker.verdict import ExactNetwork, check_proof
from simulator.certificates.exact_linf import exact_margin
from simulator.certificates.inputs import Products, signed_inputs
from simulator.certificates.margins import METHODS, certify
from simulator.certificates.relaxation import Relaxation
from simulator.certificates.separable import separable_dual
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import BALLS, case


def test_an_adversary_is_its_ball():
    network, X, y, radius, _ = case(11, 12, 4)
    by_ball, by_adversary = (certify(network, Batch(X, y), threat)
                             for threat in (L2Ball(radius), Adversary(L2Ball(radius))))
    assert np.array_equal(by_ball.margins, by_adversary.margins)


def test_bounds_refuse_what_they_do_not_cover():
    network, X, y, radius, _ = case(9, 6, 3)
    smoothed = SymmetricReLU(network.weights, network.bias, smoothing=0.1)
    other = LinearClassifier(np.ones(3))
    with pytest.raises(TypeError, match="network: expected a SymmetricReLU, got LinearClassifier"):
        certify(other, Batch(X, y), L2Ball(radius))
    with pytest.raises(TypeError, match="ball: expected L2Ball, LinfBall or an Adversary"):
        certify(network, Batch(X, y), radius)
    with pytest.raises(TypeError, match=r"batch: expected a Batch\(X, y\), got .* ndarray"):
        certify(network, X, L2Ball(radius))
    with pytest.raises(ValueError, match="expected no smoothing"):
        certify(smoothed, Batch(X, y), L2Ball(radius))
    with pytest.raises(ValueError, match="product of intervals"):
        separable_dual(network, Batch(X, y), LinfBall(radius), dictionary=np.eye(3))
    with pytest.raises(ValueError, match="expected finite"):
        certify(network, Batch(np.full_like(X, np.nan), y), L2Ball(radius))
    problem = Relaxation.of_sample(network.weights, network.weights @ X[0], network.bias,
                                   L2Ball(radius))
    with pytest.raises(ValueError, match="expected LinfBall"):
        exact_margin(problem)


def with_dead(network, X, ball, rng, many=50):
    """The network with dead neurons among its own, some of them just below the threshold."""
    m, d = network.weights.shape
    dead = rng.standard_normal((many, d))
    most = (np.abs(X @ dead.T).max(axis=0) + ball.radius * ball.dual_norm(dead))
    dead *= ((1.0 - np.where(np.arange(many) % 2, 1e-9, 0.5)) * network.bias / most)[:, None]
    places = np.sort(rng.permutation(m + many)[:m])
    weights = np.empty((m + many, d))
    weights[places] = network.weights
    weights[np.setdiff1d(np.arange(m + many), places)] = dead
    return SymmetricReLU(weights, network.bias), places


@pytest.mark.parametrize("kind", BALLS)
def test_dead_neurons_are_left_out_and_change_no_bit(kind, monkeypatch):
    monkeypatch.setattr(inputs_module, "ROWS", 7)  # a last piece that is not full, too
    network, X, y, radius, rng = case(21, 12, 5, n=4)
    ball = kind(0.5 * radius)
    whole, places = with_dead(network, X, ball, rng)
    inputs = signed_inputs(whole, Batch(X, y), ball)
    assert set(inputs.neurons) <= set(places)
    few, many = (certify(one, Batch(X, y), ball, methods=METHODS, boxes=6, target=np.inf, steps=30,
                         root_steps=30, proofs=True) for one in (network, whole))
    for name in METHODS:
        assert np.array_equal(few.margins_of[name], many.margins_of[name])
    exact = ExactNetwork.of(whole.weights, whole.bias)
    for x, label, proof in zip(X, y, many.proofs):  # which name neurons of the whole network
        assert check_proof(exact, x, label, ball, proof).holds


@pytest.mark.parametrize("kind", BALLS)
def test_a_neuron_that_can_open_at_one_sample_is_kept(kind):
    network, X, y, radius, rng = case(22, 3, 4)
    ball = kind(radius)
    w = rng.standard_normal(4)
    most = (np.abs(X @ w) + ball.radius * ball.dual_norm(w[None])).max()
    for share, kept in ((1.0 + 1e-12, True), (1.0 - 1e-12, False), (1.0 - 1e-16, True)):
        whole = SymmetricReLU(np.vstack([network.weights, share * network.bias / most * w]),
                              network.bias)
        assert (3 in signed_inputs(whole, Batch(X, y), ball).neurons) == kept


def test_inputs_go_into_smaller_balls_alone():
    network, X, y, radius, _ = case(23, 6, 3)
    inputs = signed_inputs(network, Batch(X, y), L2Ball(radius))
    assert inputs.within(L2Ball(0.1 * radius)).ball.radius > 0.0
    for ball in (L2Ball(1.01 * radius), LinfBall(0.1 * radius)):
        with pytest.raises(ValueError, match="expected one inside of L2Ball"):
            inputs.within(ball)


def test_a_network_without_a_live_neuron_has_margin_zero():
    batch = Batch(np.eye(3), np.ones(3))
    network = SymmetricReLU(0.01 * np.ones((4, 3)), 1.0)
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    assert inputs.W.shape == (0, 3) and not inputs.network().forward(batch.X).any()
    found = certify(network, batch, L2Ball(0.5), target=np.inf, boxes=2, steps=5, root_steps=5)
    assert np.all(found.margins <= 0.0) and np.all(found.margins > -1e-12)


def test_products_are_those_of_the_neurons_asked_for(monkeypatch):
    W = np.random.default_rng(0).standard_normal((9, 4))
    some = np.array([1, 4, 8])
    kept = Products(W).of(some)
    monkeypatch.setattr(inputs_module, "MOST_PRODUCTS", 5)
    np.testing.assert_allclose(kept, W[some] @ W[some].T, rtol=1e-13)
    np.testing.assert_allclose(Products(W).of(some), kept, rtol=1e-13)


@pytest.mark.parametrize("kind", BALLS)
@pytest.mark.parametrize("seed", range(4))
def test_the_cheapest_attack_stays_in_the_ball_and_gains(kind, seed):
    network, X, y, radius, _ = case(seed, 12, 5)
    inputs = signed_inputs(network, Batch(X, y), kind(radius))
    delta = inputs.descended()
    assert np.all(inputs.ball.norm(delta) <= inputs.ball.radius * (1.0 + 1e-12))
    there = network.margins(X + inputs.length * delta, y)
    np.testing.assert_allclose(inputs.margins(delta)[0] * inputs.unit, there, atol=1e-9)
    assert np.all(there <= network.margins(X, y) + 1e-12) and np.any(there < network.margins(X, y))


def test_the_cheapest_attack_of_one_open_neuron_is_the_worst():
    network = SymmetricReLU(np.array([[2.0, 0.0]]), 0.5)
    inputs = signed_inputs(network, Batch(np.array([[1.0, 0.3], [-1.0, 0.3]]),
                                          np.array([1.0, -1.0])), L2Ball(0.4))
    np.testing.assert_allclose(inputs.descended() * inputs.length, [[-0.4, 0.0], [0.4, 0.0]])
