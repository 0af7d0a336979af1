"""Tickets: the masked kernel and its gradient, searches, swaps, and the other masks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.heartbeat import listening
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.ntk.empirical import empirical_ntk
from simulator.tickets import masks
from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import kept_count, largest
from simulator.tickets.search import straight_through
from simulator.tickets.swaps import greedy_swaps, propose_neuron_swaps, propose_swaps

from references import tickets as naive

B, SCALE = 0.7, 1.4


def case(seed=0, n=5, m=6, d=4, keep=0.5):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    return W, rng.random((m, d)) < keep, X


def masked_kernel(W, mask, b, X, scale=1.0):
    return Dynamics(W, b, X).outputs_and_kernel(mask, scale, b)[1]


def large(seed=0, n=60, m=80, d=20):
    rng = np.random.default_rng(seed)
    W, X = rng.standard_normal((m, d)), rng.standard_normal((n, d)) / np.sqrt(d)
    return Dynamics(W, B, X), rng


def objective(gap, gamma=1.0):
    return gap.outputs + gamma**2 * gap.kernel


# --- kernel and gradient --------------------------------------------------------------------


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


def test_every_step_and_every_hundred_swaps_are_heard():
    dynamics, rng = large()
    beats = []
    with listening(lambda: beats.append(1)):
        mask = straight_through(lambda step: dynamics, rng.random((80, 20)), 0.3, steps=3)
    assert len(beats) >= 3
    beats.clear()
    with listening(lambda: beats.append(1)):
        greedy_swaps(dynamics, mask, propose_swaps(mask, 1000, rng))
    assert len(beats) >= 10
    assert repr(dynamics) == "Dynamics(n=60, m=80, d=20, bias=0.7)"


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


# --- searches -------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True])
def test_the_search_keeps_what_it_was_told_to_keep(whole):
    dynamics, rng = large()
    mask = straight_through(lambda step: dynamics, rng.random((80, 20)), 0.3, 1.0, steps=3,
                            whole_neurons=whole)
    assert mask.sum() == 0.3 * 80 * 20
    assert not whole or set(mask.sum(axis=1)) == {0, 20}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_the_search_finds_a_smaller_objective_than_where_it_began(seed, weights):
    dynamics, rng = large(seed)
    scores, keep = rng.random((80, 20)), 0.3
    gamma, output_weight = weights

    def value(mask):
        gap = dynamics.gap(mask, keep**-0.5)
        return output_weight * gap.outputs + gamma**2 * gap.kernel

    found = straight_through(lambda step: dynamics, scores, keep, keep**-0.5, None, 40, gamma,
                             output_weight)
    assert value(found) < 0.5 * value(largest(scores, found.sum()))


@given(st.integers(0, 10**6))
def test_swaps_never_raise_the_objective_and_keep_the_count(seed):
    W, mask, X = case(seed, n=4, m=5, d=4)
    dynamics, rng = Dynamics(W, B, X), np.random.default_rng(seed)
    swaps = propose_swaps(mask, 30, rng)
    found, accepted = greedy_swaps(dynamics, mask, swaps, SCALE, None, 0.7, 0.4)
    values = [naive.objective(W, chosen, B, B, X, dynamics.outputs, dynamics.target, SCALE, 0.7,
                              0.4) for chosen in (mask, found)]
    assert found.sum() == mask.sum()
    assert values[1] < values[0] if accepted else values[1] == values[0]


def test_swaps_decide_as_the_loop_decides():
    W, mask, X = case(7, n=4, m=5, d=4)
    dynamics = Dynamics(W, B, X)
    swaps = propose_swaps(mask, 60, np.random.default_rng(0))
    found, accepted = greedy_swaps(dynamics, mask, swaps, SCALE, 0.5, 0.7, 0.4)

    def value(chosen):
        return naive.objective(W, chosen, 0.5, B, X, dynamics.outputs, dynamics.target, SCALE,
                               0.7, 0.4)

    wanted, count, best = mask.copy(), 0, value(mask)
    for i, j, k, l in swaps:
        if wanted[i, j] != wanted[k, l]:
            trial = wanted.copy()
            trial[i, j], trial[k, l] = wanted[k, l], wanted[i, j]
            if value(trial) < best - 1e-12:
                wanted, count, best = trial, count + 1, value(trial)
    assert count == accepted >= 3
    np.testing.assert_array_equal(found, wanted)


def test_whole_neurons_are_swapped_whole():
    dynamics, rng = large(1)
    mask = masks.neuron_mask((80, 20), 0.3, rng)
    found, accepted = greedy_swaps(dynamics, mask, propose_neuron_swaps(mask, 200, rng), 1.0)
    assert accepted > 5 and set(found.sum(axis=1)) == {0, 20} and found.sum() == mask.sum()
    assert objective(dynamics.gap(found)) < objective(dynamics.gap(mask))


def test_proposals_drop_a_kept_weight_for_a_dropped_one(rng):
    _, mask, _ = case(8, m=30, d=20)
    swaps = propose_swaps(mask, 500, rng)
    assert mask[swaps[:, 0], swaps[:, 1]].all() and not mask[swaps[:, 2], swaps[:, 3]].any()
    assert 0.2 < np.mean(swaps[:, 0] == swaps[:, 2]) < 0.8
    assert len(propose_swaps(np.ones((3, 3), bool), 5, rng)) == 0
    assert len(propose_neuron_swaps(np.zeros((3, 3), bool), 5, rng)) == 0


# --- the other masks ------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(0, 12))
def test_the_largest_are_kept_and_only_as_many(seed, count):
    scores = np.random.default_rng(seed).integers(0, 4, (3, 4)).astype(float)  # with ties
    mask = largest(scores, count)
    assert mask.sum() == count
    assert not (mask.any() and not mask.all()) or scores[mask].min() >= scores[~mask].max()


def test_each_mask_keeps_what_its_name_says(rng):
    W = rng.standard_normal((40, 10))
    gradient = rng.standard_normal((40, 10))
    assert np.abs(W[masks.magnitude_mask(W, 0.2)]).min() > np.abs(
        W[~masks.magnitude_mask(W, 0.2)]).max()
    sensitive = np.abs(W * gradient)
    chosen = masks.snip_mask(W, gradient, 0.2)
    assert sensitive[chosen].min() > sensitive[~chosen].max()
    assert set(masks.neuron_mask(W.shape, 0.3, rng).sum(axis=1)) == {0, 10}
    np.testing.assert_array_equal(masks.lottery_mask(gradient, 0.2),
                                  masks.magnitude_mask(gradient, 0.2))
    dynamics, _ = large(2)
    scores = dynamics.saliency(np.ones((80, 20), bool))
    chosen = masks.saliency_mask(dynamics, 0.2)
    assert scores[chosen].min() >= scores[~chosen].max()
    for mask in (chosen, masks.random_mask((80, 20), 0.2, rng)):
        assert mask.sum() == 320


def test_random_masks_of_two_draws_differ(rng):
    first, second = (masks.random_mask((40, 10), 0.5, rng) for _ in range(2))
    assert 0.3 < np.mean(first == second) < 0.7


def test_rescaling_by_rule():
    assert masks.rescaling("none", 0.25, 0.1) == masks.Rescaling(1.0, 0.1)
    assert masks.rescaling("weights", 0.25, 0.1) == masks.Rescaling(2.0, 0.1)
    assert masks.rescaling("outputs", 0.25, 0.1) == masks.Rescaling(2.0, 0.2)
    with pytest.raises(ValueError, match="rule: expected one of none, weights, outputs"):
        masks.rescaling("half", 0.25, 0.1)


def test_whole_neurons_rescaled_by_their_outputs_keep_the_kernel_on_average():
    dynamics, rng = large(3)
    rule = masks.rescaling("outputs", 0.5, B)
    kernels = [dynamics.outputs_and_kernel(masks.neuron_mask((80, 20), 0.5, rng), rule.scale,
                                           rule.bias)[1] for _ in range(400)]
    error = np.linalg.norm(np.mean(kernels, axis=0) - dynamics.target)
    assert error < 0.03 * np.linalg.norm(dynamics.target)  # one draw is 5 to 10 times as far
