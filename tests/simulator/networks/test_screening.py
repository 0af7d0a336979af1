"""Screening proves: no neuron that it drops opens, in any order of summation, at any scale."""

import numpy as np
import pytest

from simulator.networks.screening import Buffers, survey
from simulator.networks.symmetric_relu import SymmetricReLU

from planted.screening import dense_outputs


def summation_orders(X, W):
    """Pre-activations summed in every order we can think of."""
    d = W.shape[1]
    yield X @ W.T
    yield np.einsum("nj,ij->ni", X, W)
    yield (X[:, None, :] * W).sum(2, dtype=X.dtype)
    for order in (range(d), reversed(range(d))):
        total = np.zeros((len(X), len(W)), X.dtype)
        for j in order:
            total += X[:, j:j + 1] * W[:, j]
        yield total


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_the_bound_no_screened_neuron_opens_in_any_order_of_summation(dtype, sparse):
    """Inputs with <w_i, x_n> = b up to a few units in the last place."""
    rng = np.random.default_rng(0)
    screened = 0
    for trial in range(60):
        d, b = int(rng.choice([3, 16, 64, 200])), 0.5
        W = rng.standard_normal((64, d)).astype(dtype)
        if sparse:
            X, feature = np.zeros_like(W), rng.integers(0, d, 64)
            X[np.arange(64), feature] = b / W[np.arange(64), feature]
        else:
            X = W / np.einsum("ij,ij->i", W, W)[:, None] * dtype(b)
        X = (X * (1 + rng.integers(-3, 4, (64, 1)) * np.finfo(dtype).eps)).astype(dtype)
        X = np.ascontiguousarray(X[rng.integers(0, 64, 1 + trial % 5)])
        dead = np.ones(64, bool)
        dead[survey(W, b, X, Buffers()).live] = False
        for U in summation_orders(X, W):
            assert not (np.abs(U) > b)[:, dead].any()
        screened += int(dead.sum())
    assert screened > 0


@pytest.mark.parametrize("scale", [1e-320, 1e-170, 1e-30, 1.0, 1e30, 1e90, 1e300])
def test_the_proof_holds_at_every_scale(scale):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 12)) * (rng.random((20, 12)) < 0.3)
    W = scale * rng.standard_normal((40, 12)) * np.logspace(-3, 0, 40)[:, None]
    network = SymmetricReLU(W, float(scale * 0.5))
    open_somewhere = (np.abs(X @ W.T) > network.bias).any(axis=0)
    assert np.isin(np.flatnonzero(open_somewhere), survey(W, network.bias, X, Buffers()).live).all()
    assert np.allclose(network.forward(X), dense_outputs(network, X), rtol=1e-12, atol=0.0)
