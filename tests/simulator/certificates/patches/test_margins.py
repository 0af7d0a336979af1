"""Certificates of the patch network are sound, and tight where the worst case is known."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.balls import L2Ball, LinfBall, PatchL2Ball
from simulator.certificates.patches.bounds import descend
from simulator.certificates.patches.margins import PATCH_METHODS, certified_radius, patch_margins
from simulator.heartbeat import listening
from simulator.networks.smoothed_relu_cnn import smoothed_relu
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.patch_certificates import (POWERS, ROUND, SEEDS, case, certified, filling, network_of,
                                        problem_of, trained)
from references import patch_certificates as naive


def radius_of(W, q, rho, X, y, share=0.9, **settings):
    """The certified radius; the ball's own is not used."""
    return certified_radius(network_of(W, q, rho), Batch(X, y), PatchL2Ball(7.0), share=share,
                            **settings)


def least_of(W, X, label, q, rho, points):
    """``naive.least_margin`` without its loops, for many points."""
    values = smoothed_relu((X[:, None] + points) @ np.concatenate(W).T, q, rho)
    F = values.reshape(len(X), len(points), len(W), -1).sum(axis=3)
    rivals = [j for j in range(len(W)) if j != label]
    return min((F[:, :, label] - F[:, :, j]).min(axis=1).sum() for j in rivals)


# --- soundness ----------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=SEEDS, K=st.integers(2, 3), m=st.integers(1, 4), d=st.integers(1, 3),
       P=st.integers(1, 3), q=POWERS)
def test_no_point_of_the_balls_is_below_a_certificate(seed, K, m, d, P, q):
    W, X, y, rho, radius, rng = case(seed, K, m, d, P)
    found = certified(W, q, rho, X, y, radius, boxes=20, target=np.inf, steps=30)
    least = least_of(W, X[0], y[0], q, rho, filling(radius, d, rng))
    for name in PATCH_METHODS:
        assert found.margins_of[name][0] <= least + ROUND, name
    assert found.margins[0] <= found.upper[0] + ROUND


@settings(max_examples=12)
@given(seed=SEEDS, q=POWERS)
def test_no_attack_in_many_dimensions_lands_below_a_certificate(seed, q):
    W, X, y, rho, radius, rng = case(seed, m=8, d=20, P=5, n=2)
    found = certified(W, q, rho, X, y, radius, boxes=40, target=np.inf, steps=40)
    for n in range(2):
        problem = problem_of(W, X[n], y[n], 1 - y[n], q, rho, radius)
        least = np.full(5, np.inf)
        for _ in range(20):
            start = rng.standard_normal((5, 16)) * rng.exponential(1.0, (1, 16))
            least = np.minimum(least, descend(problem, np.arange(5), start))
        assert found.margins[n] <= least.sum() + ROUND
        points = filling(radius, 20, rng)
        assert found.margins[n] <= least_of(W, X[n], y[n], q, rho, points) + ROUND


# --- the numbers are those of the formulas ------------------------------------------------


@pytest.mark.parametrize("q", [2.0, 3.0, 3.5])
def test_clean_margins_and_interval_bounds_are_those_of_plain_loops(q):
    W, X, y, rho, radius, _ = case(5, K=3, m=4, d=6, P=3, n=4)
    clean = certified(W, q, rho, X, y, 0.0)
    found = certified(W, q, rho, X, y, radius, methods=("interval",), target=np.inf)
    for n in range(4):
        expected = naive.margin(W, X[n], y[n], q, rho)
        np.testing.assert_allclose([clean.margins[n], clean.upper[n]], expected, atol=1e-12)
        expected = min(sum(naive.interval(W[y[n]], W[j], x, radius, q, rho) for x in X[n])
                       for j in range(3) if j != y[n])
        np.testing.assert_allclose(found.margins[n], expected, atol=1e-8)


def test_with_several_rivals_the_least_bound_counts():
    W, X, y, rho, radius, _ = case(11, K=4, m=3, d=5, P=3)
    y[:] = 2
    together = certified(W, 3.0, rho, X, y, radius, boxes=20, target=np.inf)
    pairs = [certified(W[[2, j]], 3.0, rho, X, np.zeros(1, int), radius, boxes=20,
                       target=np.inf) for j in (0, 1, 3)]
    for name in PATCH_METHODS:
        assert together.margins_of[name][0] == min(p.margins_of[name][0] for p in pairs)
    assert together.upper[0] == min(p.upper[0] for p in pairs)


@given(seed=SEEDS, K=st.integers(2, 3))
def test_upper_is_the_margin_at_a_perturbation_in_the_balls(seed, K):
    W, X, y, rho, radius, _ = case(seed, K, m=3, d=4, P=3)
    found = certified(W, 3.0, rho, X, y, radius, boxes=10)
    assert np.all(np.linalg.norm(found.delta, axis=2) <= radius * (1.0 + 1e-12))
    reached = naive.margin(W, X[0] + found.delta[0], y[0], 3.0, rho)
    # for another rival the same perturbation may be worse still
    assert reached <= found.upper[0] + ROUND
    if K == 2:
        np.testing.assert_allclose(found.upper[0], reached, atol=1e-10)


# --- tightness ----------------------------------------------------------------------------


@pytest.mark.parametrize("x", [-2.0, 0.1, 0.8, 1.7, 5.0])
@pytest.mark.parametrize("side", [0, 1])
def test_a_single_neuron_is_bounded_exactly(x, side):
    """Worst is straight along it: ``sigma(t - r ||w||)``, or ``-sigma(t + r ||w||)``."""
    w = np.array([0.6, -0.3, 0.2])
    norm = np.linalg.norm(w)
    W = np.zeros((2, 1, 3))
    W[side, 0] = w
    X = (x * w / norm ** 2)[None, None]
    found = certified(W, 3.0, 1.5, X, np.zeros(1, int), 0.7, target=np.inf)
    sign = 1.0 - 2.0 * side
    exact = sign * naive.sigma(x - sign * 0.7 * norm, 3.0, 1.5)
    for name in PATCH_METHODS:
        assert found.margins_of[name][0] <= exact + 1e-12
        np.testing.assert_allclose(found.margins_of[name][0], exact, atol=1e-8)
    np.testing.assert_allclose(found.upper[0], exact, atol=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_parallel_neurons_are_bounded_to_the_tolerance(seed):
    """All on one line: the worst case is one-dimensional and a grid finds it."""
    rng = np.random.default_rng(seed)
    w = np.array([0.5, 0.4, -0.7, 0.1])
    W = rng.normal(0.0, 1.5, (2, 5, 1)) * w
    X = rng.standard_normal((1, 3, 4))
    found = certified(W, 3.0, 1.0, X, np.zeros(1, int), 0.8, boxes=600, target=np.inf)
    line = np.linspace(-0.8, 0.8, 20001)[:, None] * w / np.linalg.norm(w)
    exact = least_of(W, X[0], 0, 3.0, 1.0, line)
    assert exact - 2e-3 * (1.0 + abs(exact)) <= found.margins[0] <= exact + ROUND


@given(seed=SEEDS)
def test_each_method_only_improves_the_bound_and_more_boxes_do_too(seed):
    W, X, y, rho, radius, _ = case(seed, m=4, d=4, P=3)
    few, many = (certified(W, 3.0, rho, X, y, radius, boxes=boxes, target=np.inf, steps=30)
                 for boxes in (6, 60))
    bounds = np.stack([many.margins_of[name] for name in PATCH_METHODS])
    assert np.all(np.diff(bounds, axis=0) >= 0.0)
    assert many.margins[0] >= few.margins[0] - ROUND


def test_trained_weights_are_certified_where_intervals_are_not():
    W, X, y = trained(robust=True)
    found = certified(W, 3.0, 2.0, X, y, 1.15)
    assert found.accuracy("interval") == 0.0
    assert found.accuracy() == 1.0 == found.attacked
    assert np.all(found.method != "none")


def test_a_network_that_reads_the_dense_feature_is_broken_not_certified():
    W, X, y = trained(robust=False)
    found = certified(W, 3.0, 2.0, X, y, 1.0)
    assert np.all(certified(W, 3.0, 2.0, X, y, 0.0).margins > 0.0)
    assert found.accuracy() == 0.0 == found.attacked
    assert np.all(found.method == "none")


@pytest.mark.parametrize("robust", [False, True])
def test_the_radius_certified_is_nearly_the_radius_withstood(robust):
    W, X, y = trained(robust)
    radius = radius_of(W, 3.0, 2.0, X, y, share=1.0, high=2.0, halvings=6)
    step = 2.0 / 2 ** 6
    assert certified(W, 3.0, 2.0, X, y, radius).accuracy() == 1.0
    assert certified(W, 3.0, 2.0, X, y, radius + 2.0 * step).attacked < 1.0
    assert (radius > 1.0) == robust


def test_the_certified_radius_of_a_share_leaves_the_rest_out():
    """Two linear samples with margins 3 and 1, slope 1 a unit of radius; one more is wrong."""
    W = np.zeros((2, 1, 2))
    W[0, 0], W[1, 0] = [0.0, 1.0], [0.0, -1.0]
    rho = 1e-3  # almost a ReLU: the margin is the second coordinate, less (1 - 1/3) rho
    X = np.array([[[0.0, 3.0]], [[0.0, 1.0]], [[0.0, -1.0]]])
    y = np.zeros(3, int)
    for share, exact in ((0.3, 3.0), (2.0 / 3.0, 1.0)):
        radius = radius_of(W, 3.0, rho, X, y, share=share, high=4.0, halvings=8)
        assert exact - 4.0 / 2 ** 8 - rho <= radius <= exact
    assert np.isnan(radius_of(W, 3.0, rho, X, y, share=0.7))


def test_margins_that_are_known_are_not_asked_for_again():
    W, X, y = trained(robust=True)
    ask = partial(certified_radius, network_of(W, 3, 2.0), Batch(X, y), high=2.0, halvings=4)
    radius = ask(PatchL2Ball(7.0))
    for known in (0.5 * radius, radius, radius + 0.125):
        margins = certified(W, 3.0, 2.0, X, y, known).margins
        assert ask(PatchL2Ball(known), margins=margins) == radius
    assert ask(PatchL2Ball(0.5), margins=np.full(len(X), -1.0)) == 0.5 - 2.0 / 16
    assert ask(PatchL2Ball(2.0), margins=np.ones(len(X))) == 2.0
    with pytest.raises(ValueError, match=r"margins: expected shape \(3,\), got \(1,\)"):
        ask(PatchL2Ball(0.5), margins=np.ones(1))


def test_the_same_call_gives_the_same_bits():
    W, X, y = trained(robust=True)
    first, second = (certified(W, 3.0, 2.0, X, y, 1.3, boxes=100) for _ in range(2))
    assert np.array_equal(first.margins, second.margins)
    assert np.array_equal(first.delta, second.delta)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("change, message", [
    ({"W": np.ones((1, 3, 2))}, "classes: expected at least 2, got 1"),
    ({"W": np.ones((2, 3))}, r"weights: expected shape \(any, any, any\), got \(2, 3\)"),
    ({"W": np.full((2, 3, 2), np.nan)}, "weights: expected finite numbers"),
    ({"X": np.ones((1, 4, 5))}, r"X: expected shape \(any, any, 2\), got \(1, 4, 5\)"),
    ({"y": np.array([2])}, "y: expected classes 0 to 1"),
    ({"y": np.array([0, 1])}, r"y: expected shape \(1,\), got \(2,\)"),
    ({"rho": 0.0}, "rho: expected more than 0.0, got 0.0"),
    ({"radius": -1.0}, "radius: expected at least 0.0, got -1.0"),
    ({"methods": ("branching", "convex")}, "methods: expected some of interval, convex"),
    ({"methods": ("linear",)}, "methods: expected one of interval"),
    ({"methods": ()}, "methods: expected some of .* got none"),
    ({"boxes": -1}, "boxes: expected at least 0, got -1"),
])
def test_bad_input_is_named(change, message):
    good = {"W": np.ones((2, 3, 2)), "q": 3.0, "rho": 1.0, "X": np.ones((1, 4, 2)),
            "y": np.array([0]), "radius": 0.5}
    certified(**good)
    with pytest.raises(ValueError, match=message):
        certified(**{**good, **change})


def test_a_radius_is_asked_for_a_share_that_exists():
    W, X, y = trained(robust=True)
    with pytest.raises(ValueError, match="share: expected at most 1.0, got 1.5"):
        radius_of(W, 3.0, 2.0, X, y, share=1.5)
    assert np.isnan(radius_of(W, 3.0, 2.0, X, 1 - y))


def test_float32_weights_are_certified_in_double():
    W, X, y = trained(robust=True)
    single = certified(W.astype(np.float32), 3.0, 2.0, X.astype(np.float32), y, 1.0)
    double = certified(W.astype(np.float32).astype(float), 3.0, 2.0,
                       X.astype(np.float32).astype(float), y, 1.0)
    assert np.array_equal(single.margins, double.margins)


@pytest.mark.parametrize("ask", [patch_margins, certified_radius])
def test_another_network_and_another_ball_are_told_in_one_line(ask):
    network, batch = network_of(*np.ones((1, 2, 3, 2)), 3, 1.0), Batch(np.ones((1, 4, 2)), [0])
    for bad, message in (
            ((SymmetricReLU(np.ones((3, 2)), 0.1), batch, PatchL2Ball(0.5)),
             "network: expected a SmoothedReLUCNN, got SymmetricReLU"),
            ((network, np.ones((1, 4, 2)), PatchL2Ball(0.5)),
             r"batch: expected a Batch\(X, y\), got .* ndarray"),
            ((network, batch, L2Ball(0.5)), r"ball: expected PatchL2Ball, LinfBall .* got L2Ball"),
            ((network, batch, 0.5), "ball: expected PatchL2Ball, LinfBall .* got 0.5")):
        with pytest.raises(TypeError, match=message) as told:
            ask(*bad)
        assert "\n" not in str(told.value)


def test_an_adversary_is_its_ball():
    W, X, y = trained(robust=True)
    network, batch, ball = network_of(W, 3, 2.0), Batch(X, y), PatchL2Ball(1.0)
    by_ball, by_adversary = (patch_margins(network, batch, threat, boxes=10)
                             for threat in (ball, Adversary(ball)))
    assert np.array_equal(by_ball.margins, by_adversary.margins)


def test_every_patch_and_every_box_is_heard():
    W, X, y = trained(robust=True, P=5, n=1)
    for methods, least in ((("interval",), 5 * 4), (("convex", "quadratic"), 5 * 4 + 2 * 5),
                           (("branching",), 5 * 4 + 10)):
        beats = []
        with listening(lambda: beats.append(1)):
            certified(W, 3, 2.0, X, y, 1.3, methods=methods, boxes=10, target=np.inf)
        assert len(beats) >= least, methods


# --- cubes --------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=SEEDS, K=st.integers(2, 3), m=st.integers(1, 4), d=st.integers(1, 3),
       P=st.integers(1, 3), q=POWERS)
def test_no_point_of_the_cubes_is_below_a_certificate(seed, K, m, d, P, q):
    W, X, y, rho, radius, rng = case(seed, K, m, d, P)
    found = patch_margins(network_of(W, q, rho), Batch(X, y), LinfBall(radius), target=np.inf,
                          steps=30)
    corners = radius * (2.0 * (np.arange(2**d)[:, None] >> np.arange(d) & 1) - 1.0)
    points = np.concatenate([corners, rng.uniform(-radius, radius, (400, d))])
    least = least_of(W, X[0], y[0], q, rho, points)
    for name in PATCH_METHODS:
        assert found.margins_of[name][0] <= least + ROUND, name
    assert found.margins[0] <= found.upper[0] + ROUND
    assert np.abs(found.delta).max() <= radius


def test_in_cubes_the_interval_takes_the_dual_norm_and_the_relaxation_closes_what_is_linear():
    W, X, y, rho, radius, _ = case(3, m=2, d=3, P=2)
    W = np.abs(W)
    X = X + 40.0  # far above rho every neuron is linear
    found = patch_margins(network_of(W, 3.0, rho), Batch(X, y), LinfBall(radius), target=np.inf)
    net = network_of(W, 3, rho)
    rival = 1 - y[0]
    clean = net.margins(X, y)[0]
    neurons = 2 * radius * np.abs(W).sum()
    exact = clean - 2 * radius * np.abs(W[y[0]].sum(axis=0) - W[rival].sum(axis=0)).sum()
    assert found.margins_of["interval"][0] == pytest.approx(clean - neurons, rel=1e-9)
    assert found.margins_of["convex"][0] == pytest.approx(exact, rel=1e-3)
    assert found.upper[0] == pytest.approx(exact, rel=1e-3)


def test_a_network_that_reads_its_own_features_is_certified_in_small_cubes():
    W, X, y = trained(True)
    W[:, :, 4:] = 0.0
    ball = LinfBall(0.1)
    found = patch_margins(network_of(W, 3, 2.0), Batch(X, y), ball)
    assert np.all(found.margins > 0.0)
    radius = certified_radius(network_of(W, 3, 2.0), Batch(X, y), ball, high=2.0, halvings=4)
    assert 0.1 < radius < 1.0
