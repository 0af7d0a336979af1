"""The empirical NTK: loops, explicit Jacobian, JAX, neural-tangents, memory and measures."""

import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.data.sparse_coding import SparseCoding, random_dictionary
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk import empirical as ntk
from simulator.ntk.empirical import class_kernels, class_kernels_bytes, empirical_ntk, ntk_bytes
from simulator.ntk.measures import (alignment, centred_alignment, distance, distances,
                                    effective_rank, eigenvectors_on_features, linear_kernel,
                                    pure_kernel, spectrum, velocities)

from references import ntk as naive


def case(n=7, m=9, d=4, b=0.8, s=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return SymmetricReLU(rng.standard_normal((m, d)), b, s), rng.standard_normal((n, d))


def patch_case(n=5, P=3, d=4, K=3, m=5, q=3, rho=0.8, seed=0):
    rng = np.random.default_rng(seed)
    network = SimpleNamespace(weights=rng.standard_normal((K, m, d)), q=q, rho=rho)
    return network, rng.standard_normal((n, P, d))


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
    monkeypatch.setattr(ntk, "SPARSE_GATES", share)
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


def test_jax_finds_the_same_class_kernels():
    jax = _jax()
    network, X = patch_case()
    q, rho = network.q, network.rho

    def forward(W, X):
        z = jax.numpy.einsum("npd,krd->npkr", X, W)
        bent = jax.numpy.clip(z, 0.0, rho)
        sigma = bent**q / (q * rho ** (q - 1)) + jax.nn.relu(z - rho)
        return sigma.sum(axis=(1, 3))

    J = np.asarray(jax.jacobian(forward)(network.weights, X))  # (n, K, K, m, d)
    J = J.reshape(len(X), 3, -1)
    whole = np.einsum("nip,kjp->ijnk", J, J)
    found = class_kernels(network, X)
    for i in range(3):
        for j in range(3):
            wanted = found[i] if i == j else np.zeros_like(found[i])
            assert np.abs(whole[i, j] - wanted).max() < 1e-12 * np.abs(found).max()


def test_neural_tangents_finds_the_same_kernel():
    tangents = pytest.importorskip("neural_tangents", reason="neural-tangents is not installed "
                                   "(0.6.5 needs jax < 0.4.31)", exc_type=ImportError)
    jax = _jax()
    network, X = case(n=10, m=30, d=6)
    forward = _jax_network(jax, network.bias)
    kernel = tangents.empirical_ntk_fn(lambda W, X: forward(W, X)[:, None])
    assert relative_error(empirical_ntk(network, X), np.asarray(kernel(X, None, network.weights))
                          ) < 1e-13


# --- the patch network ----------------------------------------------------------------------


@given(n=st.integers(1, 4), P=st.integers(1, 3), d=st.integers(1, 4), m=st.integers(1, 4),
       q=st.integers(2, 4), block=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_class_kernels_equal_the_loop_over_patch_pairs(n, P, d, m, q, block, seed):
    network, X = patch_case(n, P, d, 2, m, q, seed=seed)
    other = np.random.default_rng(seed + 1).standard_normal((2, P, d))
    for X2 in (None, other):
        found = class_kernels(network, X, X2, block)
        for i in range(2):
            wanted = naive.class_kernel(network.weights[i], q, network.rho, X,
                                        X if X2 is None else X2)
            assert np.allclose(found[i], wanted, rtol=1e-11, atol=1e-12)


def test_class_kernels_are_those_of_the_patch_network(rng):
    """Its Jacobian by central differences: sigma' is continuous, so no kink is in the way."""
    cnn = pytest.importorskip("simulator.networks.smoothed_relu_cnn")
    network = cnn.SmoothedReLUCNN(rng.standard_normal((2, 3, 4)), 3, 0.8)
    X = rng.standard_normal((5, 2, 4))
    rows = []
    for index in np.ndindex(network.weights.shape):
        up, down = network.copy(), network.copy()
        up.weights[index] += 1e-5
        down.weights[index] -= 1e-5
        rows.append((up.forward(X) - down.forward(X)) / 2e-5)
    J = np.moveaxis(np.array(rows), 0, -1)  # (n, K, weights)
    found = class_kernels(network, X)
    for i in range(2):
        assert relative_error(found[i], J[:, i] @ J[:, i].T) < 1e-7
    assert np.abs(J[:, 0] @ J[:, 1].T).max() < 1e-7 * np.abs(found).max()


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


def test_the_kernel_of_2000_points_of_a_wide_network_fits_into_two_gibibytes():
    assert ntk_bytes(2000, 512, 8192) < 0.2 * 2**30
    assert 2000 * 8192 * 512 * 8 > 60 * 2**30  # its Jacobian


@pytest.mark.slow
def test_an_entry_costs_a_twentieth_of_the_jacobian_product():
    """At 2000 points, d = 512, m = 8192; the Jacobian of 8 points already fills 256 MiB."""
    network, X = case(2000, 8192, 512, b=30.0)
    assert peak(lambda: empirical_ntk(network, X)) < ntk_bytes(2000, 512, 8192)
    begin = time.process_time()
    found = empirical_ntk(network, X)
    ours = (time.process_time() - begin) / found.size
    few = X[:8]
    begin = time.process_time()
    jacobian = (network.gates(few)[:, :, None] * few[:, None, :]).reshape(8, -1)
    product = jacobian @ jacobian.T
    theirs = (time.process_time() - begin) / product.size
    assert relative_error(found[:8, :8], product) < 1e-12
    assert theirs > 20.0 * ours


def test_class_kernels_take_no_more_memory_than_told():
    network, X = patch_case(100, 20, 50, 3, 30)
    told = class_kernels_bytes(100, 20, 50, 3, 30)
    assert 0.2 * told < peak(lambda: class_kernels(network, X)) < told


# --- measures -------------------------------------------------------------------------------


def psd(n, rank, seed):
    A = np.random.default_rng(seed).standard_normal((n, rank))
    return A @ A.T


@given(n=st.integers(2, 8), seed=st.integers(0, 10**6), scale=st.sampled_from(
    [1e-200, 1e-8, 3.0, 1e200]))
def test_the_distance_is_a_cosine_distance(n, seed, scale):
    K, other = psd(n, n, seed), psd(n, n, seed + 1)
    wanted = 1.0 - np.sum(K * other) / np.sqrt(np.sum(K**2) * np.sum(other**2))
    assert distance(K, other) == pytest.approx(wanted, abs=1e-13)
    assert 0.0 <= distance(K, other) <= 1.0
    assert distance(K, scale * K) == pytest.approx(0.0, abs=1e-13)
    table = distances([K, other, scale * K])
    assert np.allclose(table, table.T) and np.array_equal(np.diag(table), np.zeros(3))
    assert table[0, 1] == pytest.approx(wanted, abs=1e-13)


def test_the_distance_of_kernels_without_overlap_is_one():
    K = np.diag([1.0, 0.0])
    assert distance(K, np.diag([0.0, 2.0])) == 1.0
    assert np.isnan(distance(K, np.zeros((2, 2))))


def test_velocities_are_distances_over_time():
    kernels = [psd(5, 5, seed) for seed in range(3)]
    found = velocities(kernels, [0, 10, 30])
    assert found == pytest.approx([distance(*kernels[:2]) / 10, distance(*kernels[1:]) / 20])


@given(rank=st.integers(1, 6), n=st.integers(6, 9), scale=st.sampled_from([1e-150, 1.0, 1e150]),
       seed=st.integers(0, 10**6))
def test_a_projection_has_its_rank_as_effective_rank(rank, n, scale, seed):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, rank)))[0]
    K = scale * (Q @ Q.T)
    assert effective_rank(K) == pytest.approx(rank, rel=1e-9)
    assert effective_rank(K, "participation") == pytest.approx(rank, rel=1e-12)
    assert spectrum(K)[:rank] == pytest.approx(np.full(rank, 1.0 / rank))


def test_both_effective_ranks_follow_their_formulas():
    K = np.diag([4.0, 2.0, 1.0, 1.0])
    p = np.array([0.5, 0.25, 0.125, 0.125])
    assert effective_rank(K) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert effective_rank(K, "participation") == pytest.approx(1.0 / (p**2).sum())
    assert np.isnan(effective_rank(np.zeros((3, 3))))
    assert np.isnan(effective_rank(np.zeros((3, 3)), "participation"))


def test_alignment_is_one_for_the_ideal_kernel_and_small_for_an_indifferent_one():
    y = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
    assert alignment(np.outer(y, y), y) == pytest.approx(1.0)
    assert alignment(np.eye(5), y) == pytest.approx(1.0 / np.sqrt(5.0))
    shifted = np.outer(y, y) + 7.0  # a constant means nothing once centred
    assert alignment(shifted, y) < 0.5
    assert centred_alignment(shifted, y) == pytest.approx(1.0)
    assert np.isnan(centred_alignment(np.eye(3), np.ones(3)))


def test_an_eigenvector_is_told_by_the_features_it_sees():
    data = SparseCoding(10, 2, dictionary=random_dictionary(10, np.random.default_rng(0)))
    batch = data.sample(400, np.random.default_rng(1))
    seen = batch.X @ data.dictionary[:, 3]
    K = np.outer(seen, seen)
    found = eigenvectors_on_features(K, batch.X, data.dictionary, 1)
    assert found.shape == (1, 10)
    assert found[0].argmax() == 3 and found[0, 3] > 0.9
    assert np.linalg.norm(found[0]) == pytest.approx(1.0)


# --- bad input ------------------------------------------------------------------------------


def test_bad_input_is_told():
    network, X = case()
    with pytest.raises(ValueError, match="X: expected shape .*the network reads d = 4"):
        empirical_ntk(network, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="other: expected shape"):
        empirical_ntk(network, X, np.zeros((3, 5)))
    with pytest.raises(ValueError, match="block: expected at least 1"):
        empirical_ntk(network, X, block=0)
    with pytest.raises(ValueError, match="X: expected shape .*patches of R\\^4"):
        class_kernels(patch_case()[0], np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match="K: expected a square matrix"):
        spectrum(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="the kernels of the same samples"):
        distance(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="kind: expected one of entropy, participation"):
        effective_rank(np.eye(2), "numerical")
    with pytest.raises(ValueError, match="times: expected ascending order"):
        velocities([np.eye(2), np.eye(2)], [1, 1])
    with pytest.raises(ValueError, match="times: expected 2, one a kernel, got 3"):
        velocities([np.eye(2), np.eye(2)], [1, 2, 3])
    with pytest.raises(ValueError, match="labels -1 and"):
        alignment(np.eye(2), np.array([0.0, 1.0]))
