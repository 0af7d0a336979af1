"""Training through factors: gradients, the start, and what a rank can and cannot reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.networks.low_rank import LowRankUpdate
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.training import train

from references.differences import difference

M, D, N = 9, 5, 7


def drawn(seed=0, m=M, d=D, n=N, bias=0.4, rank=2, dtype=np.float64, **options):
    """A network with an update that is not zero, and samples."""
    rng = np.random.default_rng(seed)
    clean = SymmetricReLU(rng.standard_normal((m, d)).astype(dtype), bias, **options)
    factors = (0.4 * rng.standard_normal((m + d, rank))).astype(dtype)
    X = rng.standard_normal((n, d)).astype(dtype)
    return LowRankUpdate(clean, factors), X, rng.choice([-1.0, 1.0], n).astype(dtype)


@given(seed=st.integers(0, 10**6), rank=st.integers(1, 4), bias=st.floats(0.0, 3.0),
       decay=st.sampled_from([0.0, 0.3]))
def test_the_gradient_is_that_of_the_merged_weights_through_the_factors(seed, rank, bias, decay):
    network, X, y = drawn(seed, rank=rank, bias=bias)
    loss, G = network.merged().loss_gradient(X, y, decay)
    U, V = network.factors
    found = network.loss_gradient(X, y, decay)
    assert found[0] == pytest.approx(loss, rel=1e-12)
    assert np.allclose(found[1], np.concatenate([G @ V, G.T @ U]), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_gradient_agrees_with_finite_differences(smoothing):
    network, X, y = drawn(3, smoothing=smoothing)
    flat = network.weights.reshape(-1)
    gradient = network.loss_gradient(X, y, 0.2)[1]

    def loss(values):
        flat[:] = values
        return network.loss_gradient(X, y, 0.2)[0]

    wanted = difference(loss, flat.copy())
    assert np.abs(gradient.ravel() - wanted).max() < 1e-7


def test_lists_of_open_gates_and_products_give_the_same_gradient():
    """A network large enough for the cascade, with few open gates."""
    network, X, y = drawn(1, m=600, d=60, n=1000, bias=28.0)
    listed = network.loss_gradient(X, y, 0.1)
    network._passes.dense_gates = 0.0
    dense = network.loss_gradient(X, y, 0.1)
    assert listed[0] == pytest.approx(dense[0], rel=1e-12)
    assert np.allclose(listed[1], dense[1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_starts_as_the_clean_network(dtype):
    clean = drawn(dtype=dtype)[0].clean
    network = LowRankUpdate.initialise(clean, 3, rng=1)
    U, V = network.factors
    assert np.array_equal(network.merged().weights, clean.weights) and not U.any()
    assert np.allclose(V.T @ V, network.size * np.eye(3), atol=1e-5)
    assert network.size == pytest.approx(np.linalg.norm(clean.weights, 2), rel=1e-5)
    assert network.weights.dtype == dtype and network.rank == 3


def test_a_gradient_gives_the_directions_to_start_along():
    network, X, y = drawn()
    G = network.clean.loss_gradient(X, y)[1]
    V = LowRankUpdate.initialise(network.clean, 2, G).factors[1]
    right = np.linalg.svd(G)[2]
    assert np.allclose(np.abs(V.T @ right.T) / np.sqrt(network.size), np.eye(2, D), atol=1e-9)


def test_its_first_step_is_the_full_one_projected():
    """At rate eta / s a start with all d directions moves W as unrestricted training does."""
    network, X, y = drawn()
    start = LowRankUpdate.initialise(network.clean, D, rng=2)
    free = network.clean.copy()
    start.gradient_step(X, y, 0.1 / start.size, 0.2)
    free.gradient_step(X, y, 0.1, 0.2)
    assert np.allclose(start.merged().weights, free.weights, atol=1e-12)


def test_training_moves_neither_the_clean_weights_nor_beyond_the_rank():
    network, X, y = drawn()
    before = network.clean.weights.copy()
    for _ in range(5):
        network.gradient_step(X, y, 0.1, 0.1)
    assert np.array_equal(network.clean.weights, before)
    sizes = np.linalg.svd(network.merged().weights - before, compute_uv=False)
    assert sizes[1] > 1e-3 and sizes[2:].max() < 1e-12


def planted(d, mixture, rank):
    """Neurons that are features and a mixture along one direction; the mixture is to go."""
    data = SparseCoding(d=d, k=4, c_weak=1.0, noise=0.05)
    weights = np.eye(d) + mixture
    return data, LowRankUpdate.initialise(SymmetricReLU(weights, 0.2), rank, rng=3)


def test_it_finds_the_direction_in_which_a_mixture_lies():
    """Full-rank decay would shrink everything; at rank 1 the dense direction pays best."""
    data, network = planted(16, -0.5, 1)
    direction = np.ones(16) / 4.0
    assert abs(network.factors[1][:, 0] @ direction) < 0.8 * np.sqrt(network.size)
    train(network, FreshBatches(data, 200, 0), learning_rate=1.0 / network.size, steps=300)
    change = network.merged().weights - network.clean.weights
    first = np.linalg.svd(change)[2][0]
    assert abs(first @ direction) > 0.98


@pytest.mark.parametrize("make, words", [
    (lambda net: LowRankUpdate.initialise(net.clean, 0), "rank: expected"),
    (lambda net: LowRankUpdate.initialise(net.clean, D + 1), "rank: expected"),
    (lambda net: LowRankUpdate.initialise(net.clean, 1, np.ones((2, 2))), "gradient: expected"),
    (lambda net: LowRankUpdate(net.clean, np.ones((M, 2))), "factors: expected"),
    (lambda net: LowRankUpdate(net, np.ones((M + D, 2))), "clean: expected a SymmetricReLU"),
    (lambda net: net.gradient_step(np.ones((0, D)), np.ones(0), 0.1), "X: expected at least one"),
    (lambda net: net.gradient_step(np.ones((2, D)), np.ones(2), 0.1, -1.0), "weight_decay")])
def test_bad_calls_say_what_was_expected(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make(drawn()[0])
