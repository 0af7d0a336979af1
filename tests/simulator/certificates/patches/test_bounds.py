"""Bounds of one patch: sound at every multiplier, exact formulas, a descent that never climbs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.certificates.patches import bounds
from simulator.certificates.patches.bounds import (_rival_minimum, _true_minimum, attack_patches,
                                                   descend, tighten)
from simulator.networks.smoothed_relu_cnn import smoothed_relu, smoothed_relu_slope

from planted.patch_certificates import POWERS, ROUND, SEEDS, case, filling, problem_of, trained
from references import patch_certificates as naive

# --- soundness ----------------------------------------------------------------------------


@settings(max_examples=60)
@given(seed=SEEDS, d=st.integers(1, 3), q=POWERS)
def test_every_point_of_the_dual_is_sound(seed, d, q):
    """Not only the optimised one: soundness never rests on the optimiser."""
    W, X, y, rho, radius, rng = case(seed, m=3, d=d, P=4)
    problem = problem_of(W, X[0], 0, 1, q, rho, radius)
    boxes = problem.whole(np.zeros((4, 6)))
    middle, half = rng.uniform(-0.5, 0.5, (4, 6)), rng.uniform(0.0, 1.0, (4, 6))
    boxes.low[:] = np.maximum(boxes.low, problem.reach * (middle - half))
    boxes.high[:] = np.minimum(boxes.high, problem.reach * (middle + half))
    boxes.slopes[:] = rng.normal(0.0, 0.7, (4, 6))
    boxes.curvatures[:, 3:] = rng.exponential(0.3, (4, 3)) * rng.integers(0, 2, (4, 3))
    boxes.log_lam[:] = rng.normal(0.0, 1.0, 4)
    tighten(problem, boxes, np.full(4, np.inf), steps=1, curved=True)
    points = filling(radius, d, rng)
    moved = points @ problem.W.T
    for p in range(4):
        inside = ((moved >= boxes.low[p]) & (moved <= boxes.high[p])).all(axis=1)
        terms = smoothed_relu(problem.T[p] + moved[inside], q, rho)
        values = terms[:, :3].sum(axis=1) - terms[:, 3:].sum(axis=1)
        assert np.all(boxes.bounds[p] <= values + ROUND)


@given(seed=SEEDS, q=POWERS)
def test_the_minimum_at_a_neuron_is_that_of_a_fine_grid(seed, q):
    rng = np.random.default_rng(seed)
    t, a, rho = rng.normal(0.0, 2.0), rng.normal(0.0, 0.7), rng.uniform(0.3, 2.0)
    low, high = np.sort(rng.normal(0.0, 2.0, 2))
    mu = rng.choice([0.0, rng.exponential(0.3)])
    s = np.linspace(low, high, 20001)
    z = smoothed_relu(t + s, q, rho)
    for (value, at), grid in ((_true_minimum(t, a, low, high, q, rho), z - a * s),
                              (_rival_minimum(t, a, mu, low, high, q, rho),
                               -z - a * s + mu * s * s)):
        assert low <= at <= high
        assert value <= grid.min() + 1e-12
        # the grid misses the minimum by half a step of a function with slope below 20 there
        assert value >= grid.min() - 20.0 * (s[1] - s[0]) - 1e-12


# --- the numbers are those of the formulas ------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_the_lagrangian_at_its_multipliers(seed):
    W, X, y, rho, radius, rng = case(seed, m=3, d=4, P=1)
    W[1, 0] = rng.standard_normal(4)
    X[:] = np.abs(X) * np.sign(W.sum(axis=(0, 1)))  # most neurons are alive
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, radius)
    boxes = problem.whole(np.zeros((1, 6)))
    alive = problem.T[0] + problem.reach > 0.0
    boxes.slopes[:] = np.where(alive, np.where(np.arange(6) < 3, 0.3, -0.3), 0.0)
    boxes.curvatures[:] = np.where(alive & (np.arange(6) >= 3), 0.01, 0.0)
    boxes.log_lam[:] = np.log(0.4)
    tighten(problem, boxes, np.full(1, np.inf), steps=1, curved=True)
    expected = naive.dual_value(problem.W[alive], int(alive[:3].sum()), problem.T[0][alive],
                                -problem.reach[alive], problem.reach[alive], 3.0, rho, radius,
                                boxes.slopes[0][alive], boxes.curvatures[0][alive],
                                np.exp(boxes.log_lam[0]))
    # the bound adds what lam r^2 - lam ||delta||^2 leaves unused, so it may only be better
    assert boxes.bounds[0] >= expected - 1e-6
    unused = abs(boxes.bounds[0] - expected)
    assert unused <= np.exp(boxes.log_lam[0]) * radius ** 2 * 4.0


@pytest.mark.parametrize("curved", [False, True])
def test_patches_that_are_not_needed_any_more_are_left_alone(curved):
    W, X, y = trained(robust=True)
    problem = problem_of(W, X[0], y[0], 1 - y[0], 3.0, 2.0, 1.15)
    few, all_of_them = (problem.whole(np.zeros_like(problem.T)) for _ in range(2))
    for boxes, enough in ((few, 0.0), (all_of_them, np.inf)):
        boxes.bounds[:] = start = problem.interval_bounds()
        tighten(problem, boxes, np.full(len(start), np.inf), 30, curved, enough=enough)
    left = few.bounds == start
    assert start.sum() < 0.0 < few.bounds.sum() < all_of_them.bounds.sum() and left.any()
    np.testing.assert_array_equal(few.bounds[~left], all_of_them.bounds[~left])


# --- the search ---------------------------------------------------------------------------


@given(seed=SEEDS)
def test_descent_never_climbs_and_stays_in_the_ball(seed):
    W, X, _, rho, radius, rng = case(seed, m=3, d=5, P=4)
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, radius)
    b = rng.standard_normal((4, 6))
    start = b @ problem.W
    start *= np.minimum(1.0, radius / np.linalg.norm(start, axis=1, keepdims=True))
    values = descend(problem, np.arange(4), b)
    delta = b @ problem.W
    assert np.all(np.linalg.norm(delta, axis=1) <= radius * (1.0 + 1e-7))
    for p in range(4):
        here = naive.phi(W[0], W[1], X[0, p] + delta[p], 3.0, rho)
        np.testing.assert_allclose(values[p], here, atol=1e-7)
        assert values[p] <= naive.phi(W[0], W[1], X[0, p] + start[p], 3.0, rho) + 1e-7


def test_patch_by_patch_no_single_direction_is_stronger():
    W, X, y = trained(robust=True)
    problem = problem_of(W, X[0], y[0], 1 - y[0], 3.0, 2.0, 1.0)
    least = attack_patches(problem)[0]
    for w in (-W[y[0], 0], W[1 - y[0], 0], W[1 - y[0], 0] - W[y[0], 0]):
        along = smoothed_relu(problem.T + problem.W @ w / np.linalg.norm(w), 3.0, 2.0)
        assert np.all(least <= along[:, :6].sum(axis=1) - along[:, 6:].sum(axis=1) + 1e-9)


# --- twins: a kernel calls kernels of its own file only, so these are written twice ---------


@given(st.floats(-3.0, 5.0), POWERS, st.floats(0.1, 3.0))
def test_the_activation_is_that_of_the_network(z, q, rho):
    Z = np.array([z])
    np.testing.assert_allclose(bounds._sigma(z, q, rho), smoothed_relu(Z, q, rho)[0], rtol=1e-13)
    np.testing.assert_allclose(bounds._slope(z, q, rho), smoothed_relu_slope(Z, q, rho)[0],
                               rtol=1e-13)


def test_a_coordinate_without_gradient_stays():
    x = np.array([1.0, 2.0])
    bounds._adam(x, np.array([0.0, 1e-20]), np.zeros((2, 2)), 0, 0.1)
    np.testing.assert_allclose(x, [1.0, 2.1])
