"""The ticket whose weights are trained: loops, difference quotients, and what it is good for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.tickets.dynamics import Dynamics
from simulator.tickets.masks import magnitude_mask
from simulator.tickets.trained import smoothed_objective, trained_ticket

from planted.tickets import SCALE, B, case, large
from references import tickets as naive

WIDTH = 0.4


def differences(value, W, h=1e-5):
    found = np.zeros(W.shape)
    for index in np.ndindex(W.shape):
        moved = [W.copy(), W.copy()]
        moved[0][index] += h
        moved[1][index] -= h
        found[index] = (value(moved[0]) - value(moved[1])) / (2.0 * h)
    return found


@given(seed=st.integers(0, 10**6), keep=st.floats(0.0, 1.0), width=st.sampled_from([0.05, 0.4, B]))
def test_the_objective_is_that_of_the_loops(seed, keep, width):
    W, mask, X = case(seed, keep=keep)
    dynamics, other = Dynamics(W, B, X), W + 0.3
    got = smoothed_objective(dynamics, other, mask, SCALE, B, width, 0.8, 0.6)[0]
    wanted = naive.smoothed_objective(other, mask, B, width, X, dynamics.outputs, dynamics.target,
                                      SCALE, 0.8, 0.6)
    assert got == pytest.approx(wanted, rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("gamma, output_weight", [(0.0, 1.0), (1.3, 0.0), (0.8, 0.6)])
def test_the_gradient_by_the_weights_is_that_of_the_objective(gamma, output_weight):
    W, mask, X = case(3, n=6, m=7, d=5)
    dynamics, other = Dynamics(W, B, X), W + 0.3
    got = smoothed_objective(dynamics, other, mask, SCALE, B, WIDTH, gamma, output_weight)[1]
    wanted = differences(lambda weights: naive.smoothed_objective(
        weights, mask, B, WIDTH, X, dynamics.outputs, dynamics.target, SCALE, gamma,
        output_weight), other)
    assert np.linalg.norm(wanted) > 0.0
    assert np.linalg.norm(got - wanted) < 1e-7 * np.linalg.norm(wanted)
    assert not got[~mask].any()


def test_narrow_gates_have_the_objective_of_true_ones():
    dynamics, rng = large()
    mask = rng.random(dynamics.weights.shape) < 0.5
    gap = dynamics.gap(mask, SCALE)
    value = smoothed_objective(dynamics, dynamics.weights, mask, SCALE, dynamics.bias, 1e-7)[0]
    assert value == pytest.approx(gap.outputs + gap.kernel, rel=1e-4)  # gates in the band: none


def test_trained_weights_are_nearer_to_the_dense_network_than_their_mask_alone():
    dynamics, rng = large()
    start = magnitude_mask(dynamics.weights, 0.3)
    weights, mask = trained_ticket(lambda step: dynamics, dynamics.weights, 0.3, SCALE,
                                   dynamics.bias, 250)
    assert mask.sum() == start.sum() and not weights[~mask].any()
    assert (mask != start).any()  # chosen anew on the way
    before, after = (dynamics.gap(chosen, SCALE, weights=own) for chosen, own in (
        (start, dynamics.weights), (mask, weights)))
    assert after.outputs + after.kernel < 0.5 * (before.outputs + before.kernel)


def test_without_steps_it_is_the_magnitude_mask():
    dynamics, _ = large()
    weights, mask = trained_ticket(lambda step: dynamics, dynamics.weights, 0.3, SCALE,
                                   dynamics.bias, 0)
    assert np.array_equal(mask, magnitude_mask(dynamics.weights, 0.3))
    assert np.array_equal(weights, np.where(mask, dynamics.weights, 0.0))


def test_a_band_wider_than_the_bias_is_refused():
    W, mask, X = case()
    with pytest.raises(ValueError, match="width: expected .* one kink at a time"):
        smoothed_objective(Dynamics(W, B, X), W, mask, SCALE, B, 1.1 * B)
