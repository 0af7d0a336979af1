"""The empirical NTK: loops, explicit Jacobian, JAX, neural-tangents, memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.networks.linear import LinearClassifier
from simulator.networks.linearized import LinearizedReLU
from simulator.networks.masked import MaskedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk import empirical as ntk
from simulator.ntk.empirical import empirical_ntk, ntk_bytes
from simulator.ntk.measures import linear_kernel, pure_kernel

from references import ntk as naive


def case(n=7, m=9, d=4, b=0.8, s=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return SymmetricReLU(rng.standard_normal((m, d)), b, s), rng.standard_normal((n, d))


def relative_error(got, wanted):
    return np.abs(got - wanted).max() / np.abs(wanted).max()


# --- the kernel -----------------------------------------------------------------------------


@given(n=st.integers(1, 6), m=st.integers(1, 8), d=st.integers(1, 5), block=st.integers(1, 9),
       s=st.sampled_from([0.0, 0.4]), seed=st.integers(0, 10**6))
def test_the_kernel_equals_the_loop(n, m, d, block, s, seed):
    network, X = case(n, m, d, s=s, seed=seed)
    other = np.random.default_rng(seed + 1).standard_normal((3, d))
    W, b = network.weights, network.bias
    close = dict(rtol=1e-12, atol=1e-12)  # sums of at most 40 terms of order 1
    assert np.allclose(empirical_ntk(network, X, block=block), naive.ntk(W, b, X, X, s), **close)
    assert np.allclose(empirical_ntk(network, X, other, block), naive.ntk(W, b, X, other, s),
                       **close)


@pytest.mark.parametrize("s", [0.0, 0.4])
def test_the_kernel_is_the_product_of_the_explicit_jacobian(s):
    """The Jacobian by central differences of the network itself, away from the kinks."""
    network, X = next(found for found in (case(s=s, seed=seed) for seed in range(100))
                      if s > 0.0 or np.abs(np.abs(found[1] @ found[0].weights.T)
                                           - found[0].bias).min() > 1e-3)
    rows = []
    for index in np.ndindex(network.weights.shape):
        up, down = network.copy(), network.copy()
        up.weights[index] += 1e-5
        down.weights[index] -= 1e-5
        rows.append((up.forward(X) - down.forward(X)) / 2e-5)
    jacobian = np.array(rows).T
    assert relative_error(empirical_ntk(network, X), jacobian @ jacobian.T) < 1e-8


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["products", "lists"])
def test_lists_and_products_count_the_same_gates(monkeypatch, share):
    network, X = case(n=40, m=200, d=6, b=3.0)
    gates = network.gates(X)
    assert 0.01 < gates.mean() < 0.5
    monkeypatch.setattr(ntk, "DENSE_GATES", share)
    for block in (7, 200):
        found = empirical_ntk(network, X, block=block)
        assert np.array_equal(found, found.T)
        assert np.allclose(found, (gates @ gates.T) * (X @ X.T), rtol=1e-14)
        cross = empirical_ntk(network, X[:9], X[9:], block)
        assert np.allclose(cross, found[:9, 9:], rtol=1e-13)


def test_float32_weights_give_a_float64_kernel_close_by():
    network, X = case(n=20, m=50, d=6)
    single = SymmetricReLU(network.weights.astype(np.float32), network.bias)
    found = empirical_ntk(single, X)
    assert found.dtype == np.float64
    # rounding moves no gate here: what is left is the float64 product of the inputs
    assert np.array_equal(single.gates(X), network.gates(X))
    assert relative_error(found, empirical_ntk(network, X)) < 1e-14


def test_the_kernel_is_positive_semidefinite_and_turns_with_the_data():
    network, X = case(n=12, m=30, d=5)
    found = empirical_ntk(network, X)
    assert np.linalg.eigvalsh(found).min() > -1e-12 * np.trace(found)
    M = random_dictionary(5, np.random.default_rng(2))
    turned = SymmetricReLU(network.weights @ M.T, network.bias)
    assert relative_error(empirical_ntk(turned, X @ M.T), found) < 1e-12


def test_without_a_bias_it_is_the_linear_kernel_and_with_a_huge_one_it_is_zero():
    network, X = case(b=0.0)
    assert np.allclose(empirical_ntk(network, X), 9 * linear_kernel(X), rtol=1e-13)
    assert not empirical_ntk(case(b=100.0)[0], X).any()


def test_one_feature_a_neuron_gives_the_pure_kernel():
    data = SparseCoding(12, 3, noise=0.05)
    batch = data.sample(50, np.random.default_rng(0))
    network = SymmetricReLU(np.eye(12), 0.3)  # weak entries are at least 1 / sqrt(3)
    assert relative_error(empirical_ntk(network, batch.X),
                          pure_kernel(batch.X, batch.codes)) < 1e-14


def _jax():
    jax = pytest.importorskip("jax", reason="bench extra not installed")
    jax.config.update("jax_enable_x64", True)
    return jax


def _jax_network(jax, bias):
    def forward(W, X):
        U = X @ W.T
        return jax.numpy.sum(jax.nn.relu(U - bias) - jax.nn.relu(-U - bias), axis=1)
    return forward


def test_jax_finds_the_same_kernel():
    jax = _jax()
    network, X = case(n=10, m=30, d=6)
    J = np.asarray(jax.jacobian(_jax_network(jax, network.bias))(network.weights, X))
    J = J.reshape(len(X), -1)
    assert relative_error(empirical_ntk(network, X), J @ J.T) < 1e-13
    assert relative_error(empirical_ntk(network, X[:4], X[4:]), J[:4] @ J[4:].T) < 1e-13


def test_neural_tangents_finds_the_same_kernel():
    tangents = pytest.importorskip("neural_tangents", reason="neural-tangents is not installed "
                                   "(0.6.5 needs jax < 0.4.31)", exc_type=ImportError)
    jax = _jax()
    network, X = case(n=10, m=30, d=6)
    forward = _jax_network(jax, network.bias)
    kernel = tangents.empirical_ntk_fn(lambda W, X: forward(W, X)[:, None])
    assert relative_error(empirical_ntk(network, X), np.asarray(kernel(X, None, network.weights))
                          ) < 1e-13


# --- memory, told in advance ----------------------------------------------------------------


def peak(function):
    function()  # compile first
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n, d, m, b, other", [
    (300, 20, 2000, 0.5, None), (300, 20, 2000, 12.0, None), (50, 100, 3000, 0.5, None),
    (400, 20, 300, 3.0, 100)])
def test_the_kernel_takes_no_more_memory_than_told(n, d, m, b, other):
    network, X = case(n, m, d, b)
    second = None if other is None else case(other, 1, d, seed=1)[1]
    taken = peak(lambda: empirical_ntk(network, X, second))
    told = ntk_bytes(n, d, m, other)
    assert 0.2 * told < taken < told
    assert taken < n * m * d * 8  # the Jacobian it never forms


@pytest.mark.slow
def test_a_wide_network_at_2000_points_needs_no_jacobian():
    """At d = 512, m = 8192 the Jacobian of 8 points already fills 256 MiB, of all 62 GiB."""
    network, X = case(2000, 8192, 512, b=30.0)
    assert peak(lambda: empirical_ntk(network, X)) < ntk_bytes(2000, 512, 8192) < 0.2 * 2**30
    few = X[:8]
    J = (network.gates(few)[:, :, None] * few[:, None, :]).reshape(8, -1)
    assert relative_error(empirical_ntk(network, X)[:8, :8], J @ J.T) < 1e-12


# --- other networks, bad input -----------------------------------------------------------


def test_bad_input_is_told():
    network, X = case()
    with pytest.raises(ValueError, match="X: expected shape .*the network reads d = 4"):
        empirical_ntk(network, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="other: expected shape"):
        empirical_ntk(network, X, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="block: expected at least 1"):
        empirical_ntk(network, X, block=0)


@pytest.mark.parametrize("network, got", [
    (LinearClassifier(np.ones(4)), "LinearClassifier"), (SymmetricReLU, "the class SymmetricReLU"),
    (MaskedReLU(np.ones((2, 4)), np.ones((2, 4), bool), 0.1), "MaskedReLU")])
def test_a_network_without_a_closed_form_is_refused(network, got):
    with pytest.raises(TypeError, match=f"network: expected a SymmetricReLU, got {got}: its ker"):
        empirical_ntk(network, np.ones((2, 4)))


def test_the_kernel_of_a_linearised_network_is_that_of_its_checkpoint():
    network, X = case()
    tangent = LinearizedReLU(network, centred=True)
    tangent.weights += 1.0  # what it has learned since does not matter
    assert np.array_equal(empirical_ntk(tangent, X), empirical_ntk(network, X))
