"""The masked network: loops, masks that hold, sparse passes, training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding
from simulator.networks.masked import SPARSE_BELOW, MaskedPasses, MaskedReLU
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.training import train

from references import tickets as naive

SCALE = 1.7


def case(seed=0, n=5, m=7, d=4, keep=0.5):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    mask = rng.random((m, d)) < keep
    mask[0] = False  # a neuron without weights
    return W, mask, X, rng.choice([-1.0, 1.0], n)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_outputs_and_gates_are_those_of_the_loop(seed, sparse):
    W, mask, X, _ = case(seed)
    net = MaskedReLU(W, mask, 0.6, SCALE, sparse)
    np.testing.assert_allclose(net.forward(X), naive.forward(W, mask, 0.6, X, SCALE), rtol=1e-12,
                               atol=1e-13)
    gates = [[naive.gate(W, mask, 0.6, x, i, SCALE) for i in range(len(W))] for x in X]
    np.testing.assert_array_equal(net.gates(X), gates)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_step_is_the_gradient_it_says(sparse):
    W, mask, X, y = case(3)
    net = MaskedReLU(W, mask, 0.6, SCALE, sparse)
    loss, gradient = net.loss_gradient(X, y, 0.3)
    wanted = net.weights - 0.1 * gradient
    assert net.gradient_step(X, y, 0.1, 0.3) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(net.weights, wanted, rtol=1e-12, atol=1e-15)


@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
def test_sparse_and_dense_passes_agree_to_rounding(seed, keep):
    W, mask, X, y = case(seed, n=6, m=9, d=11, keep=keep)
    slow, fast = (MaskedReLU(W, mask, 0.6, 1.0 / np.sqrt(keep), sparse)
                  for sparse in (False, True))
    np.testing.assert_allclose(fast.forward(X), slow.forward(X), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(fast.margin_gradient(X, y), slow.margin_gradient(X, y), rtol=1e-11,
                               atol=1e-12)
    assert fast.gradient_step(X, y, 0.2, 0.1) == pytest.approx(slow.gradient_step(X, y, 0.2, 0.1),
                                                               rel=1e-11)
    np.testing.assert_allclose(fast.weights, slow.weights, rtol=1e-11, atol=1e-12)


def test_everything_kept_is_the_dense_network():
    W, mask, X, y = case(1)
    net, dense = MaskedReLU(W, np.ones_like(mask), 0.6), SymmetricReLU(W.copy(), 0.6)
    np.testing.assert_array_equal(net.forward(X), dense.forward(X))
    assert net.gradient_step(X, y, 0.1, 0.1) == dense.gradient_step(X, y, 0.1, 0.1)
    np.testing.assert_array_equal(net.weights, dense.weights)


def test_scale_with_the_threshold_along_scales_the_outputs():
    W, mask, X, _ = case(2)
    plain = MaskedReLU(W, mask, 0.6).forward(X)
    np.testing.assert_allclose(MaskedReLU(W, mask, 0.6 * SCALE, SCALE).forward(X), SCALE * plain,
                               rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("keep", [0.1, 0.6])
def test_adversarial_training_in_the_one_loop_never_leaves_the_mask(keep):
    rng = np.random.default_rng(0)
    W, mask = 0.1 * rng.standard_normal((60, 20)), rng.random((60, 20)) < keep
    net = MaskedReLU(W, mask, 0.1, keep**-0.5)
    losses = []
    train(net, FreshBatches(SparseCoding(d=20, k=2), 100, 0), learning_rate=1.0, steps=40,
          weight_decay=1e-3, adversary=Adversary(L2Ball(0.1), FGM()),
          after_step=lambda step, loss: losses.append(loss))
    assert isinstance(net.plain.passes, MaskedPasses) == (keep < SPARSE_BELOW)
    assert not net.weights[~mask].any() and (net.weights[mask] != W[mask]).any()
    assert losses[-1] < 0.6 * losses[0]


def test_float32_stays_float32():
    W, mask, X, y = case(4, keep=0.1)
    net = MaskedReLU(W.astype(np.float32), mask, 0.1, 3.0)
    net.gradient_step(X, y, 0.1)
    assert net.weights.dtype == net.forward(X).dtype == net.margin_gradient(X, y).dtype == (
        np.float32)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_weight_that_is_nan_reaches_the_loss(sparse):
    W, mask, X, y = case(5)
    mask[1, 1], W[1, 1] = True, np.nan
    assert np.isnan(MaskedReLU(W, mask, 0.6, 1.0, sparse).gradient_step(X, y, 0.1))


def test_bad_masks_and_scales_are_told():
    W, mask, _, _ = case()
    with pytest.raises(TypeError, match="mask: expected booleans, got float64"):
        MaskedReLU(W, mask.astype(float), 0.1)
    with pytest.raises(ValueError, match=r"mask: expected shape \(7, 4\), got \(7, 3\)"):
        MaskedReLU(W, mask[:, :3], 0.1)
    with pytest.raises(ValueError, match="scale: expected more than 0"):
        MaskedReLU(W, mask, 0.1, 0.0)
