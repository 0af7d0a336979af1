"""Geometry of the balls: steepest directions, projections, norms and random points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall, PatchL2Ball, ball_of

from references import patches as naive

BALLS = (L2Ball, LinfBall)
EPS = np.finfo(float).eps
shapes = st.one_of(st.tuples(st.integers(1, 5), st.integers(1, 6)),
                   st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)))
radii = st.sampled_from([1e-12, 0.3, 1.0, 7.0, 1e9])
seeds = st.integers(0, 10**6)
kinds = st.sampled_from(BALLS)
patch_shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
patch_radii = st.sampled_from([1e-9, 0.3, 1.0, 1e9])


def normal(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


def products(A, B):
    return (A * B).reshape(len(A), -1).sum(axis=1)


def inside(ball, seed, shape):
    """Random points of the ball, many of them at or near its surface."""
    rng = np.random.default_rng(seed)
    depth = np.minimum(1.0, rng.uniform(0.0, 1.5, shape[0]))
    D = normal(seed + 1, shape)
    if isinstance(ball, LinfBall):
        D = np.clip(D, -1.0, 1.0)
    else:
        D = D / np.sqrt(products(D, D)).reshape((-1,) + (1,) * (len(shape) - 1))
    return ball.radius * D * depth.reshape((-1,) + (1,) * (len(shape) - 1))


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_the_steepest_point_attains_the_dual_norm_on_the_surface(kind, shape, radius, seed):
    ball, G = kind(radius), normal(seed, shape)
    steepest = ball.steepest(G)
    assert steepest.shape == G.shape
    # norms of at most 36 entries: a few rounding errors
    assert np.allclose(products(G, steepest), radius * ball.dual_norm(G), rtol=1e-13)
    assert np.allclose(ball.norm(steepest), radius, rtol=4 * EPS)
    assert np.all(ball.norm(steepest) <= radius * (1.0 + 1e-12))


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_no_point_of_the_ball_is_steeper(kind, shape, radius, seed):
    ball, G = kind(radius), normal(seed, shape)
    limit = radius * ball.dual_norm(G) * (1.0 + 1e-12)
    for trial in range(20):
        assert np.all(products(G, inside(ball, seed + trial, shape)) <= limit)


@given(shape=shapes, seed=seeds)
def test_norms_and_dual_norms_are_the_textbook_ones(shape, seed):
    D = normal(seed, shape)
    flat = D.reshape(len(D), -1)
    for norm, dual, ball in ((2, 2, L2Ball(1.0)), (np.inf, 1, LinfBall(1.0))):
        assert np.allclose(ball.norm(D), np.linalg.norm(flat, norm, axis=1), rtol=1e-14)
        assert np.allclose(ball.dual_norm(D), np.linalg.norm(flat, dual, axis=1), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_norms_neither_underflow_nor_overflow(scale):
    D = scale * np.array([[3.0, 4.0], [0.0, 0.0]])
    assert np.allclose(L2Ball(1.0).norm(D), [5.0 * scale, 0.0], rtol=1e-14, atol=0.0)
    assert np.allclose(LinfBall(1.0).norm(D), [4.0 * scale, 0.0], rtol=1e-14, atol=0.0)


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_the_steepest_point_does_not_depend_on_the_length_of_the_gradient(
        kind, shape, radius, seed):
    ball, G = kind(radius), normal(seed, shape)
    # powers of two scale without rounding; 1e-300 rounds each entry once
    for exact in (2.0**-996, 2.0**900):
        assert np.array_equal(ball.steepest(exact * G), ball.steepest(G))
    for rounded in (1e-300, 1e-12, 1e300):
        assert np.allclose(ball.steepest(rounded * G), ball.steepest(G), rtol=1e-13, atol=0.0)


def test_the_smallest_number_is_a_direction_too():
    G = np.array([[0.0, 5e-324], [0.0, -5e-324]])
    for kind in BALLS:
        assert np.array_equal(kind(0.7).steepest(G), [[0.0, 0.7], [0.0, -0.7]])


@pytest.mark.parametrize("kind", BALLS)
def test_a_zero_gradient_has_no_direction(kind):
    G = np.array([[0.0, 0.0], [0.0, 2.0]])
    assert np.array_equal(kind(0.5).steepest(G), [[0.0, 0.0], [0.0, 0.5]])


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_a_projection_is_in_the_ball_and_nothing_there_is_nearer(kind, shape, radius, seed):
    ball, D = kind(radius), 1.5 * radius * normal(seed, shape)
    P = ball.project(D)
    assert np.all(ball.norm(P) <= radius * (1.0 + 1e-12))
    distance = L2Ball(1.0).norm(D - P)
    for trial in range(20):
        other = L2Ball(1.0).norm(D - inside(ball, seed + trial, shape))
        # rounding of D itself
        assert np.all(distance <= other + 1e-14 * L2Ball(1.0).norm(D))


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_points_inside_come_back_bit_for_bit(kind, shape, radius, seed):
    ball = kind(radius)
    D = 0.999 * inside(ball, seed, shape)
    assert np.array_equal(ball.project(D), D)


@given(kind=kinds, shape=shapes, radius=radii, seed=seeds)
def test_projecting_twice_is_projecting_once(kind, shape, radius, seed):
    ball = kind(radius)
    once = ball.project(1.5 * radius * normal(seed, shape))
    # a point scaled onto the sphere may be outside by an ulp and be scaled once more
    assert np.allclose(ball.project(once), once, rtol=4 * EPS, atol=0.0)


@pytest.mark.parametrize("kind", BALLS)
def test_far_points_are_projected_without_overflow(kind):
    P = kind(2.0).project(np.array([[1e200, -1e200], [1e308, 0.0], [1e-3, 0.0]]))
    assert np.all(kind(2.0).norm(P) <= 2.0 * (1.0 + 1e-12))
    assert np.array_equal(P[2], [1e-3, 0.0])
    assert np.all(P[0] * [1.0, -1.0] >= 1.0)


@pytest.mark.parametrize("kind", BALLS)
def test_a_ball_of_radius_zero_is_the_origin(kind, rng):
    ball, G = kind(0.0), rng.standard_normal((5, 4))
    for points in (ball.steepest(G), ball.project(G), ball.draw(rng, (5, 4))):
        assert np.array_equal(points, np.zeros((5, 4)))


@pytest.mark.parametrize("kind", BALLS)
@pytest.mark.parametrize("shape", [(0, 4), (0, 2, 3)])
def test_no_perturbation_at_all_is_fine(kind, shape, rng):
    ball, D = kind(1.0), np.empty(shape)
    assert ball.norm(D).shape == ball.dual_norm(D).shape == (0,)
    for points in (ball.steepest(D), ball.project(D), ball.draw(rng, shape)):
        assert points.shape == shape


def test_random_points_of_the_sphere_are_uniform(rng):
    ball, n, d = L2Ball(2.0), 20_000, 5
    D = ball.draw(rng, (n, d))
    assert np.allclose(ball.norm(D), 2.0, rtol=4 * EPS)
    # E delta = 0 and E delta delta^T = radius^2 / d I; entries of variance below 16; 5 sigma
    assert np.abs(D.mean(axis=0)).max() < 5.0 * 2.0 / np.sqrt(d * n)
    assert np.abs(D.T @ D / n - np.eye(d) * 4.0 / d).max() < 5.0 * 4.0 / np.sqrt(n)


def test_random_points_of_the_cube_are_corners(rng):
    n, d = 20_000, 5
    D = LinfBall(2.0).draw(rng, (n, d))
    assert set(np.unique(D)) == {-2.0, 2.0}
    # fair and independent signs; 5 sigma
    assert np.abs(D.T @ D / n - 4.0 * np.eye(d)).max() < 5.0 * 4.0 / np.sqrt(n)
    assert np.abs(D.mean(axis=0)).max() < 5.0 * 2.0 / np.sqrt(n)


@pytest.mark.parametrize("kind", BALLS)
def test_single_precision_stays_single(kind, rng):
    ball, G = kind(0.3), rng.standard_normal((6, 4)).astype(np.float32)
    far = 100.0 * G
    for points in (ball.steepest(G), ball.project(far), ball.draw(rng, (6, 4), np.float32)):
        assert points.dtype == np.float32
        # float32 rounds the radius itself: a few times 6e-8
        assert np.all(ball.norm(points) <= 0.3 * (1.0 + 4e-7))
        assert np.all(ball.norm(points) >= 0.3 * (1.0 - 4e-7))


def test_patches_of_a_sample_share_one_ball():
    D = np.array([[[3.0, 0.0], [0.0, 4.0]]])
    assert np.allclose(L2Ball(1.0).project(D), D / 5.0, rtol=1e-15)
    assert np.allclose(L2Ball(1.0).steepest(D), D / 5.0, rtol=1e-15)
    assert np.array_equal(LinfBall(3.5).project(D), [[[3.0, 0.0], [0.0, 3.5]]])


def test_balls_are_named_in_a_config_and_change_radius():
    assert ball_of("l2", 0.5) == L2Ball(0.5)
    assert ball_of("linf", 0.5) == LinfBall(0.5)
    assert L2Ball(0.5).with_radius(2.0) == L2Ball(2.0)
    assert LinfBall(0.5).with_radius(2.0) == LinfBall(2.0)


@pytest.mark.parametrize("kind", BALLS)
@pytest.mark.parametrize("radius, error, message", [
    (-1.0, ValueError, "radius: expected at least 0.0, got -1.0"),
    (np.nan, ValueError, "radius: expected a finite number"),
    (np.inf, ValueError, "radius: expected a finite number"),
    ("1", TypeError, "radius: expected a number"),
])
def test_a_radius_is_a_finite_number_of_at_least_zero(kind, radius, error, message):
    with pytest.raises(error, match=message):
        kind(radius)
    with pytest.raises(error, match=message):
        kind(1.0).with_radius(radius)


def test_an_unknown_norm_is_named():
    with pytest.raises(ValueError, match="norm: expected one of l2, linf, got 'l1'"):
        ball_of("l1", 1.0)


# --- the ball of patches ----------------------------------------------------------------------


@given(shape=patch_shapes, radius=patch_radii, seed=seeds)
def test_the_ball_of_patches_is_that_of_the_loops(shape, radius, seed):
    ball, D = PatchL2Ball(radius), radius * normal(seed, shape)
    assert np.allclose(ball.norm(D), naive.norms(D).max(axis=1), rtol=1e-13)
    assert np.allclose(ball.dual_norm(D), naive.norms(D).sum(axis=1), rtol=1e-13)
    assert np.allclose(ball.steepest(D), naive.steepest(D, radius), rtol=1e-13)
    assert np.allclose(ball.project(D), naive.project(D, radius), rtol=1e-13)


@given(shape=patch_shapes, radius=patch_radii, seed=seeds)
def test_the_steepest_point_attains_the_dual_norm(shape, radius, seed):
    ball, G = PatchL2Ball(radius), normal(seed, shape)
    attained = np.einsum("npd,npd->n", G, ball.steepest(G))
    assert np.allclose(attained, radius * ball.dual_norm(G), rtol=1e-13)
    other = ball.draw(np.random.default_rng(seed), shape)
    assert np.all(np.einsum("npd,npd->n", G, other) <= attained * (1.0 + 1e-12))
    assert np.allclose(naive.norms(other), radius, rtol=1e-13)


def test_patches_inside_come_back_bit_for_bit_while_others_are_cut(rng):
    D = rng.standard_normal((2, 3, 4))
    D[0, 1] *= 100.0
    D[D != D[0, 1]] *= 0.01
    projected = PatchL2Ball(1.0).project(D)
    assert np.linalg.norm(projected[0, 1]) == pytest.approx(1.0, rel=1e-14)
    D[0, 1] = projected[0, 1]
    assert np.array_equal(projected, D)


def test_with_one_patch_it_is_the_l2_ball_and_with_several_a_smaller_threat(rng):
    D = rng.standard_normal((5, 1, 4))
    one, patches = L2Ball(0.8), PatchL2Ball(0.8)
    assert np.array_equal(one.project(D), patches.project(D))
    assert np.array_equal(one.steepest(D), patches.steepest(D))
    wide = rng.standard_normal((5, 3, 4))
    assert np.allclose(one.norm(patches.steepest(wide)), 0.8 * 3**0.5, rtol=1e-13)


def test_vectors_are_no_patches():
    with pytest.raises(ValueError, match=r"expected shape \(n, P, d\), got \(3, 4\)"):
        PatchL2Ball(1.0).project(np.ones((3, 4)))
