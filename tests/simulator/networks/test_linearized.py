"""The linearised network: loops, its Taylor expansion, its kernel, its attacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.through import ThroughSmoothedGates
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches, TrainingSet
from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.errors import Diverged
from simulator.networks import linearized
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.training import train

from planted.linearized import case
from references import ntk as naive
from references.differences import relative_error


def away_from_gates(centred):
    """A case no gate of which jumps where a pre-activation moves by 1e-3."""
    for seed in range(100):
        network, X, y = case(centred, seed=seed)
        if np.abs(np.abs(X @ network.frozen_weights.T) - network.bias).min() > 1e-3:
            return network, X, y
    raise AssertionError("no such case")


both = pytest.mark.parametrize("centred", [False, True], ids=["uncentred", "centred"])
widths = pytest.mark.parametrize("s", [0.0, 0.3, 1.5])


@both
@widths
def test_a_step_descends_the_gradient_of_the_loss(centred, s):
    network, X, y = case(centred, s)
    loss, gradient = network.loss_gradient(X, y, 0.3)
    stepped, descended = network.weights.copy(), network.weights - 0.1 * gradient
    other = LinearizedReLU(SymmetricReLU(network.frozen_weights, network.bias), centred, stepped,
                           s)
    assert other.gradient_step(X, y, 0.1, 0.3) == pytest.approx(loss, rel=1e-14)
    assert other.weights is stepped
    assert np.abs(stepped - descended).max() < 1e-14
    network.descend(gradient, 0.1)
    assert np.array_equal(network.weights, descended)


# --- against the loops ----------------------------------------------------------------------


@given(n=st.integers(1, 4), m=st.integers(1, 5), d=st.integers(1, 5), centred=st.booleans(),
       seed=st.integers(0, 10**6), s=st.sampled_from([0.0, 0.2, 0.7, 3.0]))
def test_outputs_gates_and_loss_equal_the_loops(n, m, d, centred, seed, s):
    network, X, y = case(centred, s, n, m, d, seed)
    W, b, D = network.frozen_weights, network.bias, network.weights
    close = dict(rtol=1e-11, atol=1e-12)  # sums of at most 10 terms of order 10
    assert np.allclose(network.forward(X), naive.linearised(W, b, D, X, centred, s), **close)
    gates = [[naive.gate(float(w @ x), b, s) for w in W] for x in X]
    assert np.allclose(network.gates(X), gates, **close)
    wanted = naive.ridge_loss(W, b, D, X, y, centred, s, 0.2)
    assert network.loss_gradient(X, y, 0.2)[0] == pytest.approx(wanted, rel=1e-12)


@both
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_sums_over_open_gates_and_products_are_the_same(monkeypatch, centred, dtype, tolerance):
    rng = np.random.default_rng(5)
    origin = SymmetricReLU(rng.standard_normal((60, 8)).astype(dtype), 3.0)
    network = LinearizedReLU(origin, centred, rng.standard_normal((60, 8)).astype(dtype))
    X, y = rng.standard_normal((40, 8)).astype(dtype), rng.choice([-1.0, 1.0], 40)
    assert 0.1 < network.gates(X).mean() < 0.5
    found = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(linearized, "DENSE_GATES", share)
        found.append((*network.margins_and_gradient(X, y), network.loss_gradient(X, y, 0.1)[1]))
    for dense, sparse in zip(*found):
        assert relative_error(dense, sparse) < tolerance


# --- what the linearisation is --------------------------------------------------------------


def test_without_a_change_it_is_the_checkpoint_or_nothing():
    network, X, _ = case()
    origin = SymmetricReLU(network.frozen_weights, network.bias)
    assert np.allclose(LinearizedReLU(origin).forward(X), origin.forward(X), rtol=1e-13)
    assert not LinearizedReLU(origin, centred=True).forward(X).any()


@both
def test_as_long_as_no_gate_flips_it_is_the_network_itself(centred):
    """f is linear in W between the kinks, so the expansion has no error at all."""
    network, X, _ = away_from_gates(centred)
    origin = SymmetricReLU(network.frozen_weights, network.bias)
    network.weights *= 1e-5  # moves every u by less than any gate's distance
    moved = SymmetricReLU(origin.weights + network.weights, network.bias).forward(X)
    wanted = moved - origin.forward(X) if centred else moved
    assert np.abs(network.forward(X) - wanted).max() < 1e-14
    assert np.abs(network.forward(X)).max() > 1e-6


def test_the_frozen_weights_stay():
    network, X, y = case()
    before = network.frozen_weights.copy()
    origin = SymmetricReLU(before.copy(), network.bias)
    linear = LinearizedReLU(origin)
    for _ in range(3):
        linear.gradient_step(X, y, 0.5)
        origin.gradient_step(X, y, 0.5)
    assert np.array_equal(linear.frozen_weights, before)
    with pytest.raises(ValueError, match="read-only"):
        linear.frozen_weights[0, 0] = 1.0


def test_training_it_is_gradient_descent_with_the_frozen_kernel():
    """Without decay, ``f <- f - eta K dL/df``: outputs follow from the kernel alone."""
    data = SparseCoding(8, 2, noise=0.3, label_margin=0.0)
    origin = SymmetricReLU.initialise(30, 8, 0.5, np.random.default_rng(0), bias=0.3)
    batches = TrainingSet(data, 12, 12, seed=3)
    X, y = batches.samples.X, batches.samples.y
    network = LinearizedReLU(origin)
    gates = network.gates(X)
    kernel = (gates @ gates.T) * (X @ X.T)
    f = origin.forward(X)
    for _ in range(25):
        f = f + 0.05 * kernel @ (y / (1.0 + np.exp(y * f))) / len(X)
    train(network, batches, learning_rate=0.05, steps=25)
    # 25 steps of rounding of numbers of order 1
    assert np.abs(network.forward(X) - f).max() < 1e-12
    assert np.abs(f - origin.forward(X)).max() > 0.05


def test_the_dictionary_only_rotates_it():
    network, X, y = case(d=5, m=9)
    M = random_dictionary(5, np.random.default_rng(1))
    turned = LinearizedReLU(SymmetricReLU(network.frozen_weights @ M.T, network.bias), False,
                            network.weights @ M.T)
    assert np.allclose(turned.forward(X @ M.T), network.forward(X), atol=1e-12)
    assert np.allclose(turned.margin_gradient(X @ M.T, y), network.margin_gradient(X, y) @ M.T,
                       atol=1e-12)


def test_adversarial_training_lowers_the_adversarial_loss():
    data = SparseCoding(10, 2, label_margin=0.5)
    origin = SymmetricReLU.initialise(60, 10, 0.3, np.random.default_rng(0), bias=0.2)
    ball, losses = L2Ball(0.2), []
    network = LinearizedReLU(origin, centred=True)
    train(network, FreshBatches(data, 200, 0), learning_rate=0.5, steps=60, weight_decay=1e-3,
          adversary=Adversary(ball, ThroughSmoothedGates(FGM(), (0.0, 0.5))),
          after_step=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-10:]) < 0.9 * np.mean(losses[:3])


def test_a_nan_stops_training():
    data = SparseCoding(4, 1, label_margin=0.0)
    for weights in (np.full((3, 4), np.nan), np.ones((3, 4))):
        origin = SymmetricReLU(np.ones((3, 4)), 0.1)
        network = LinearizedReLU(origin, weights=weights)
        network.weights[0] = np.nan
        with pytest.raises(Diverged, match="step 0"):
            train(network, FreshBatches(data, 50, 0), learning_rate=0.1, steps=3)


@pytest.mark.parametrize("s", [0.0, 0.5])
def test_float32_stays_float32_and_close(s):
    network, X, y = case(s=s)
    single = LinearizedReLU(SymmetricReLU(network.frozen_weights.astype(np.float32),
                                          network.bias),
                            weights=network.weights.astype(np.float32), smoothing=s)
    loss, gradient = single.loss_gradient(X, y, 0.1)
    wanted_loss, wanted = network.loss_gradient(X, y, 0.1)
    margins, slopes = single.margins_and_gradient(X, y)
    assert gradient.dtype == margins.dtype == slopes.dtype == np.float32
    # sums of a few dozen terms of order 1 in units of 6e-8
    assert relative_error(gradient, wanted) < 1e-5 and loss == pytest.approx(wanted_loss, rel=1e-5)
    assert relative_error(margins, network.margins(X, y)) < 1e-5
    assert relative_error(slopes, network.margin_gradient(X, y)) < 1e-5


# --- smoothed gates -------------------------------------------------------------------------


@both
def test_smoothed_gates_are_the_true_ones_outside_their_band(centred):
    network, X, y = case(centred)
    distance = np.abs(np.abs(X @ network.frozen_weights.T) - network.bias).min()
    narrow = network.smoothed(0.9 * distance)
    assert np.array_equal(narrow.gates(X), network.gates(X))
    assert np.allclose(narrow.margins(X, y), network.margins(X, y), rtol=1e-12)
    assert np.allclose(narrow.margin_gradient(X, y), network.margin_gradient(X, y), atol=1e-12)
    wide = network.smoothed(10.0 * distance)
    assert np.abs(wide.margins(X, y) - network.margins(X, y)).max() > 1e-3


def test_smoothed_networks_share_the_trained_weights():
    network, X, y = case()
    seen = network.smoothed(0.5)
    before = seen.margins(X, y)
    network.gradient_step(X, y, 0.5)
    assert seen.weights is network.weights
    assert np.abs(seen.margins(X, y) - before).max() > 1e-3
    assert network.smoothing == 0.0


# --- bad input ------------------------------------------------------------------------------


def test_bad_input_is_told():
    plain, X, y = case()
    origin = SymmetricReLU(plain.frozen_weights, 0.5)
    with pytest.raises(ValueError, match="origin: expected no smoothing, got 0.1"):
        LinearizedReLU(SymmetricReLU(plain.frozen_weights, 0.5, smoothing=0.1))
    with pytest.raises(ValueError, match=r"weights: expected shape \(6, 3\), got \(3, 3\)"):
        LinearizedReLU(origin, weights=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="smoothing: expected at least 0"):
        plain.smoothed(-1.0)
    with pytest.raises(ValueError, match="the network reads d = 3 coordinates"):
        plain.forward(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="labels -1 and \\+1"):
        plain.margins(X, 0.5 * y)
    with pytest.raises(ValueError, match="expected at least one sample, got none"):
        plain.loss_gradient(X[:0], y[:0])
    with pytest.raises(ValueError, match="weight_decay: expected at least 0"):
        plain.gradient_step(X, y, 0.1, -1.0)
    with pytest.raises(ValueError, match="widths: expected at least one, got none"):
        ThroughSmoothedGates(FGM(), ())
    with pytest.raises(ValueError, match="widths: expected at least 0"):
        ThroughSmoothedGates(FGM(), (0.5, -0.5))
