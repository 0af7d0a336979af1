"""The kernels of the patch network: loops over pairs of patches, its Jacobian, JAX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.ntk.empirical import empirical_ntk
from simulator.ntk.patches import class_kernels

from references import ntk as naive


def patch_case(n=5, P=3, d=4, K=3, m=5, q=3, rho=0.8, seed=0):
    rng = np.random.default_rng(seed)
    network = SmoothedReLUCNN(rng.standard_normal((K, m, d)), q, rho)
    return network, rng.standard_normal((n, P, d))


def relative_error(got, wanted):
    return np.abs(got - wanted).max() / np.abs(wanted).max()


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
    network = SmoothedReLUCNN(rng.standard_normal((2, 3, 4)), 3, 0.8)
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


def test_jax_finds_the_same_class_kernels():
    jax = pytest.importorskip("jax", reason="bench extra not installed")
    jax.config.update("jax_enable_x64", True)
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


def test_the_door_to_kernels_takes_the_patch_network_too():
    network, X = patch_case()
    assert np.array_equal(empirical_ntk(network, X), class_kernels(network, X))


def test_bad_input_is_told():
    with pytest.raises(ValueError, match="X: expected shape .*patches of R\\^4"):
        class_kernels(patch_case()[0], np.zeros((2, 3, 5)))
    with pytest.raises(ValueError, match="block: expected at least 1"):
        empirical_ntk(*patch_case(), block=0)
