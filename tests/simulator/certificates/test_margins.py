"""Certificates are sound (nothing in the ball lands below them) and tight where they can be."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.certificates.branch_and_bound import _reach, search
from simulator.certificates.exact_linf import exact_margin
from simulator.certificates.linear import linear_relaxation
from simulator.certificates.margins import METHODS, certify
from simulator.certificates.relaxation import Multipliers, Relaxation
from simulator.certificates.separable import separable_dual
from simulator.heartbeat import listening
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

BALLS = (L2Ball, LinfBall)
ROUND = 1e-9  # a margin is a float64 sum of at most 60 terms of size below 100


def case(seed, m, d, n=3, pure=False, bias=None):
    """A random network, inputs, labels and radius at which many kinks are in the ball."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, d)) * rng.uniform(0.2, 2.0, (m, 1))
    if pure:  # one large coefficient a neuron, as after adversarial training
        W = 0.15 * W
        W[np.arange(m), rng.integers(0, d, m)] += rng.choice([-2.0, 2.0], m)
    b = rng.uniform(0.1, 1.5) if bias is None else bias
    X = rng.standard_normal((n, d))
    y = rng.choice([-1.0, 1.0], n)
    return SymmetricReLU(W, b), X, y, rng.uniform(0.1, 1.0), rng


def all_bounds(network, X, y, ball):
    certificates = certify(network, Batch(X, y), ball, methods=METHODS, boxes=8, target=np.inf,
                           steps=40, root_steps=40)
    return certificates.margins_of, certificates


def quadratic_dual(network, batch, ball):
    return certify(network, batch, ball, methods=("quadratic",), target=np.inf).margins


def filling(ball, d, rng, count=4000):
    """Points that fill the ball, many of them on its surface (a fine grid for d = 1, 2)."""
    if d == 1:
        return np.linspace(-ball.radius, ball.radius, count)[:, None]
    if d == 2:
        axis = np.linspace(-ball.radius, ball.radius, 81)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        turn = np.linspace(0.0, 2.0 * np.pi, 721)
        circle = np.stack([np.cos(turn), np.sin(turn)], 1) * ball.radius * 1.5
        return ball.project(np.concatenate([grid, circle]))
    inside = rng.uniform(-ball.radius, ball.radius, (count, d))
    return ball.project(np.concatenate([inside, ball.draw(rng, (count, d))]))


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 12), d=st.integers(1, 3),
       pure=st.booleans())
def test_no_point_of_the_ball_is_below_a_certificate(kind, seed, m, d, pure):
    network, X, y, radius, rng = case(seed, m, d, n=2, pure=pure)
    ball = kind(radius)
    bounds, certificates = all_bounds(network, X, y, ball)
    for n in range(len(X)):
        points = filling(ball, d, rng)
        least = network.margins(X[n] + points, np.full(len(points), y[n])).min()
        for name, bound in bounds.items():
            assert bound[n] <= least + ROUND, name
        assert certificates.margins[n] <= certificates.upper[n] + ROUND


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pure=st.booleans())
def test_no_attack_lands_below_a_certificate(kind, seed, pure):
    network, X, y, radius, rng = case(seed, 40, 8, n=4, pure=pure)
    ball = kind(radius)
    attacks = {"fgm": FGM(), "pgd": PGD(40, ("zero", "random"), restarts=4),
               "random": RandomSearch()}
    attacked = worst_case(network, Batch(X, y), Adversary(ball, attacks))
    for delta in (None, attacked.delta):
        found = certify(network, Batch(X, y), ball, start=delta, methods=METHODS, boxes=4,
                        target=np.inf, steps=60, root_steps=60)
        for name, bound in found.margins_of.items():
            assert np.all(bound <= attacked.margins + ROUND), name


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_point_of_the_dual_is_sound(kind, seed):
    """Not only the optimised one: soundness never rests on the optimiser."""
    network, X, y, radius, rng = case(seed, 10, 3, n=1)
    ball = kind(radius)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, ball)
    q = len(problem.t)
    multipliers = Multipliers(rng.normal(0.5, 1.0, q), rng.exponential(0.5, q),
                              rng.normal(1.0, 1.0, 1 if kind is L2Ball else 3))
    bound = problem.bound(multipliers, ball.draw(rng, (1, 3))[0])
    points = filling(ball, 3, rng)
    assert bound <= network.margins(X[0] + points, np.full(len(points), y[0])).min() + ROUND


@pytest.mark.parametrize("kind", BALLS)
def test_a_linear_network_is_certified_with_its_dual_norm_margin(kind):
    network, X, y, radius, _ = case(1, 12, 5, bias=0.0)
    exact = network.margins(X, y) - radius * kind(1.0).dual_norm(
        network.weights.sum(axis=0)[None])[0]
    batch = Batch(X, y)
    for bound in (linear_relaxation(network, batch, kind(radius)),
                  quadratic_dual(network, batch, kind(radius)),
                  certify(network, batch, kind(radius), methods=("branching",),
                          target=np.inf).margins):
        # with b = 0 the slope 1 is a corner of the relaxation; the ascent comes near it
        np.testing.assert_allclose(bound, exact, atol=2e-2)
        assert np.all(bound <= exact + ROUND)
    np.testing.assert_allclose(linear_relaxation(network, batch, kind(radius)), exact, atol=1e-8)


@pytest.mark.parametrize("kind", BALLS)
def test_neurons_that_stay_open_are_added_up_exactly(kind):
    network, X, y, _, _ = case(2, 12, 5, bias=0.3)
    U = np.abs(network.pre_activations(X))
    radius = 0.5 * float((np.abs(U - 0.3) / kind(1.0).dual_norm(network.weights)).min())
    ball = kind(radius)
    exact = network.margins(X, y) - radius * ball.dual_norm(network.margin_gradient(X, y))
    for name, bound in all_bounds(network, X, y, ball)[0].items():
        if name != "separable":
            np.testing.assert_allclose(bound, exact, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("seed", range(8))
def test_linf_bounds_agree_with_the_mixed_integer_program(seed):
    network, X, y, radius, _ = case(seed, 14, 5, n=2)
    ball = LinfBall(0.5 * radius)
    bounds, _ = all_bounds(network, X, y, ball)
    for n in range(len(X)):
        problem = Relaxation.of_sample(network.weights, y[n] * (network.weights @ X[n]),
                                       network.bias, ball)
        low, high = exact_margin(problem)
        assert high - low < 1e-5
        for name, bound in bounds.items():
            assert bound[n] <= high + 1e-5, name  # feasibility tolerance of HiGHS
        found = search(problem, np.zeros(5), 4000, target=np.inf, tolerance=1e-3)
        assert found.finished
        assert found.lower - 1e-5 <= low <= high <= found.upper + 1e-5
        assert found.upper - found.lower <= 1e-3 + ROUND


@pytest.mark.parametrize("seed", range(6))
def test_branch_and_bound_finds_the_worst_margin_of_the_disc(seed):
    network, X, y, radius, rng = case(seed, 10, 2, n=1)
    ball = L2Ball(radius)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, ball)
    found = search(problem, np.zeros(2), 4000, target=np.inf, tolerance=0.02)
    points = filling(ball, 2, rng)
    least = network.margins(X[0] + points, np.full(len(points), y[0])).min()
    assert found.finished and found.upper - found.lower <= 0.02 + ROUND
    assert found.lower <= least + ROUND and found.upper <= least + 0.02
    reached = network.margins(X + y[0] * found.delta, y)[0]
    assert reached == pytest.approx(found.upper, abs=1e-9)
    assert np.linalg.norm(found.delta) <= radius * (1.0 + 1e-12)


def test_a_pure_network_is_solved_by_both_duals():
    """Without mixtures the separable dual and the quadratic one are the same bound."""
    rng = np.random.default_rng(3)
    W = np.zeros((24, 8))
    W[np.arange(24), np.arange(24) % 8] = 1.0  # three copies of each feature
    network = SymmetricReLU(W, 0.2)
    X = np.where(rng.random((20, 8)) < 0.3, rng.choice([-0.6, 0.6], (20, 8)), 0.0)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    ball = L2Ball(0.3)
    batch = Batch(X, y)
    separable = separable_dual(network, batch, ball)
    quadratic = quadratic_dual(network, batch, ball)
    np.testing.assert_allclose(quadratic, separable, atol=2e-2)
    assert np.all(linear_relaxation(network, batch, ball) <= separable + 1e-6)
    assert np.mean(separable - linear_relaxation(network, batch, ball)) > 0.1


def test_the_separable_dual_does_not_depend_on_the_basis():
    network, X, y, _, rng = case(4, 30, 6, pure=True)
    M = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    turned = SymmetricReLU(network.weights @ M.T, network.bias)
    np.testing.assert_allclose(separable_dual(turned, Batch(X @ M.T, y), L2Ball(0.2), dictionary=M),
                               separable_dual(network, Batch(X, y), L2Ball(0.2)), atol=1e-10)


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_half_space_shrinks_intervals_soundly(kind, seed):
    rng = np.random.default_rng(seed)
    ball = kind(1.0)
    V, w = rng.standard_normal((5, 3)), rng.standard_normal(3)
    v = rng.uniform(-1.0, 1.0) * ball.dual_norm(w[None])[0]
    points = filling(ball, 3, rng)
    points = points[points @ w <= v]
    if len(points):
        assert np.all((points @ V.T).max(axis=0) <= _reach(V, w, v, ball) + ROUND)


@pytest.mark.parametrize("kind", BALLS)
def test_a_ball_of_radius_zero_is_the_clean_margin(kind):
    network, X, y, _, _ = case(5, 12, 5)
    found = certify(network, Batch(X, y), kind(0.0), methods=METHODS, target=np.inf)
    np.testing.assert_allclose(found.margins, network.margins(X, y), atol=1e-8)


def test_a_dead_network_is_certified_at_zero_and_counted_as_wrong():
    network = SymmetricReLU(0.01 * np.eye(4), 1.0)
    found = certify(network, Batch(np.ones((2, 4)), np.ones(2)), L2Ball(0.5), methods=METHODS,
                    target=np.inf)
    np.testing.assert_allclose(found.margins, 0.0, atol=1e-9)
    assert found.accuracy() == 0.0


def test_methods_run_only_where_they_are_needed():
    network, X, y, _, _ = case(6, 30, 6, n=30, pure=True)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    found = certify(network, Batch(X, y), L2Ball(0.15), methods=("linear", "quadratic"))
    skipped = np.isnan(found.margins_of["quadratic"])
    assert np.all((found.margins_of["linear"] > 0.0)[skipped] | (found.upper <= 0.0)[skipped])
    assert set(found.method) <= {"linear", "quadratic", "none"}
    right = found.upper > 0.0
    assert found.accuracy() <= right.mean()
    reached = network.margins(X + found.delta, y)
    np.testing.assert_allclose(reached, found.upper, atol=1e-9)


@pytest.mark.parametrize("kind", BALLS)
def test_cheap_bounds_first_decide_no_less_than_dear_ones_alone(kind):
    network, X, y, _, _ = case(10, 30, 6, n=30, pure=True)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    batch, ball = Batch(X, y), kind(0.08)
    default = certify(network, batch, ball, boxes=20, root_steps=200)
    dear = certify(network, batch, ball, methods=("quadratic", "branching"), boxes=20,
                   root_steps=200)
    assert np.all((default.margins > 0.0) >= (dear.margins > 0.0))
    assert {"linear", "quadratic"} <= set(default.method)
    assert 0.0 < np.mean(default.margins > 0.0) < 1.0


def test_an_adversary_is_its_ball():
    network, X, y, radius, _ = case(11, 12, 4)
    by_ball, by_adversary = (certify(network, Batch(X, y), threat)
                             for threat in (L2Ball(radius), Adversary(L2Ball(radius))))
    assert np.array_equal(by_ball.margins, by_adversary.margins)


def test_every_step_and_every_box_is_heard():
    """So that a run can be stopped within a fraction of a second, whatever the method."""
    network, X, y, _, _ = case(7, 60, 20, n=2)
    for name, least in (("linear", 100), ("separable", 2), ("quadratic", 2 * 50),
                        ("branching", 2 * 50 + 8)):
        beats = []
        with listening(lambda: beats.append(1)):
            certify(network, Batch(X, y), L2Ball(1.0), methods=(name,), target=np.inf, boxes=5,
                    steps=50, root_steps=50)
        assert len(beats) >= least, name


def test_a_certificate_is_shown_in_one_line():
    network, X, y, radius, _ = case(12, 12, 4)
    shown = repr(certify(network, Batch(X, y), L2Ball(radius), methods=("linear",)))
    assert shown.startswith("Certificates(n=3: ") and shown.endswith(" open, by linear)")
    problem = Relaxation.of_sample(network.weights, network.weights @ X[0], network.bias,
                                   L2Ball(radius))
    for value in (problem, problem.start(np.zeros(4)), search(problem, np.zeros(4), 3)):
        assert "\n" not in repr(value) and len(repr(value)) < 100


def test_the_budgets_are_kept():
    network, X, y, _, _ = case(7, 200, 20, n=1)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, L2Ball(1.0))

    def run(boxes, seconds=float("inf")):
        return search(problem, np.zeros(20), boxes, seconds, np.inf, root_steps=20, box_steps=5)

    small, same, large = run(7), run(7), run(41)
    assert small.boxes in (7, 8) and large.boxes in (41, 42)
    assert (small.lower, small.upper) == (same.lower, same.upper)
    assert small.lower <= large.lower <= large.upper <= small.upper
    assert not small.finished
    began = time.perf_counter()
    found = run(10**9, 0.3)
    assert time.perf_counter() - began < 3.0  # a loaded machine; one box more at most
    assert not found.finished and found.lower <= found.upper


@pytest.mark.parametrize("arguments, message", [
    ({"methods": ("crown",)}, "methods: expected one of"),
    ({"boxes": 0}, "boxes: expected at least 1"),
    ({"target": -np.inf}, "target: expected a finite number"),
    ({"seconds": -1.0}, "seconds: expected at least 0"),
    ({"start": np.zeros((1, 2))}, "start: expected shape"),
    ({"steps": 0}, "steps: expected at least 1"),
    ({"root_steps": 0}, "root_steps: expected at least 1"),
])
def test_bad_arguments_are_named(arguments, message):
    network, X, y, radius, _ = case(8, 6, 3)
    with pytest.raises(ValueError, match=message):
        certify(network, Batch(X, y), L2Ball(radius), **arguments)


def test_bounds_refuse_what_they_do_not_cover():
    network, X, y, radius, _ = case(9, 6, 3)
    smoothed = SymmetricReLU(network.weights, network.bias, smoothing=0.1)
    other = LinearClassifier(np.ones(3))
    with pytest.raises(TypeError, match="network: expected a SymmetricReLU, got LinearClassifier"):
        certify(other, Batch(X, y), L2Ball(radius))
    with pytest.raises(TypeError, match="ball: expected L2Ball, LinfBall or an Adversary"):
        certify(network, Batch(X, y), radius)
    with pytest.raises(TypeError, match=r"batch: expected a Batch\(X, y\), got ndarray"):
        certify(network, X, L2Ball(radius))
    with pytest.raises(ValueError, match="expected no smoothing"):
        certify(smoothed, Batch(X, y), L2Ball(radius))
    with pytest.raises(ValueError, match="product of intervals"):
        separable_dual(network, Batch(X, y), LinfBall(radius), dictionary=np.eye(3))
    with pytest.raises(ValueError, match="expected finite"):
        certify(network, Batch(np.full_like(X, np.nan), y), L2Ball(radius))
    problem = Relaxation.of_sample(network.weights, network.weights @ X[0], network.bias,
                                   L2Ball(radius))
    with pytest.raises(ValueError, match="expected LinfBall"):
        exact_margin(problem)
