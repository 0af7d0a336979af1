"""The masked kernel, its gradient by the mask, and the gap to the dense network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import kept_count
from simulator.tickets.swaps import greedy_swaps

from planted.tickets import SCALE, B, case
from references import tickets as naive


def masked_kernel(W, mask, b, X, scale=1.0):
    return Dynamics(W, b, X).outputs_and_kernel(mask, scale, b)[1]


@given(st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_the_masked_kernel_is_that_of_the_loop(seed, keep):
    W, mask, X = case(seed, keep=keep)
    np.testing.assert_allclose(masked_kernel(W, mask, B, X, SCALE),
                               naive.kernel(W, mask, B, X, SCALE), rtol=1e-12, atol=1e-13)


def test_the_masked_kernel_is_the_jacobian_with_itself():
    W, mask, X = case(1, n=8, m=9, d=7)
    J = naive.jacobian(W, mask, B, X, SCALE)
    np.testing.assert_allclose(masked_kernel(W, mask, B, X, SCALE), J @ J.T, rtol=1e-12,
                               atol=1e-13)


def test_the_full_mask_has_the_kernel_of_the_dense_network():
    W, mask, X = case(2, n=9, m=30, d=8)
    G = SymmetricReLU(W, B).gates(X)
    np.testing.assert_allclose(masked_kernel(W, np.ones_like(mask), B, X), (G @ G.T) * (X @ X.T),
                               rtol=1e-12, atol=1e-13)


def test_the_full_mask_has_the_kernel_of_the_ntk_module():
    W, mask, X = case(2, n=9, m=30, d=8)
    np.testing.assert_allclose(masked_kernel(W, np.ones_like(mask), B, X),
                               empirical_ntk(SymmetricReLU(W, B), X), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("gamma, output_weight", [(0.0, 1.0), (1.3, 0.0), (0.8, 0.6)])
def test_the_gradient_by_the_mask_is_that_of_the_objective_at_fixed_gates(gamma, output_weight):
    W, mask, X = case(3)
    dynamics = Dynamics(W, B, X)
    got = dynamics.gradient(mask, SCALE, None, gamma, output_weight)
    U = SCALE * X @ np.where(mask, W, 0.0).T
    fixed = (np.abs(U) > B, np.sign(U))

    def value(real):
        return naive.objective_at_fixed_gates(W, real, *fixed, B, X, dynamics.outputs,
                                              dynamics.target, SCALE, gamma, output_weight)

    wanted, real, h = np.zeros(W.shape), mask.astype(float), 1e-4  # quadratic: only rounding
    for index in np.ndindex(W.shape):
        real[index] += h
        up = value(real)
        real[index] -= 2.0 * h
        wanted[index] = (up - value(real)) / (2.0 * h)
        real[index] += h
    assert np.linalg.norm(got - wanted) < 1e-7 * np.linalg.norm(wanted)


def test_saliency_is_the_kernels_product_with_its_derivative():
    W, mask, X = case(4)
    full = np.ones_like(mask)
    dynamics, h = Dynamics(W, B, X), 1e-4
    got = dynamics.saliency(full)
    gates = np.abs(X @ W.T) > B
    for i, j in np.ndindex(W.shape):  # the kernel is linear in the mask: its derivative is phi phi'
        phi = gates[:, i] * X[:, j]
        assert got[i, j] == pytest.approx(phi @ dynamics.target @ phi, rel=1e-10, abs=h * 1e-8)
    assert got.sum() == pytest.approx(np.sum(dynamics.target**2), rel=1e-12)


def test_the_gap_is_zero_for_the_full_mask_and_one_for_none():
    W, mask, X = case(5)
    dynamics = Dynamics(W, B, X)
    full = dynamics.gap(np.ones_like(mask))
    assert full.outputs == full.kernel == 0.0
    nothing = dynamics.gap(np.zeros_like(mask))
    assert nothing.relative_kernel == nothing.relative_outputs == 1.0


def test_bad_input_is_told():
    W, mask, X = case()
    with pytest.raises(ValueError, match="X: expected at least one input"):
        Dynamics(W, B, X[:0])
    with pytest.raises(TypeError, match="mask: expected booleans"):
        Dynamics(W, B, X).gap(mask.astype(int))
    with pytest.raises(ValueError, match="keep: expected more than 0"):
        kept_count((3, 3), 0.0)
    with pytest.raises(ValueError, match="swaps: expected rows below 6"):
        greedy_swaps(Dynamics(W, B, X), mask, np.array([[9, 0, 0, 0]]))
