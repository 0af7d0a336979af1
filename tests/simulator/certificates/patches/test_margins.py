"""Certificates of the patch network are sound, and tight where the worst case is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.balls import L2Ball, PatchL2Ball
from simulator.certificates import dual_ascent
from simulator.certificates.patches import bounds
from simulator.certificates.patches.bounds import (_rival_minimum, _true_minimum, attack_patches,
                                                   descend, tighten)
from simulator.certificates.patches.branching import branch, halves, neurons_to_split
from simulator.certificates.patches.margins import PATCH_METHODS, certified_radius, patch_margins
from simulator.certificates.patches.problem import Boxes, PatchProblem
from simulator.heartbeat import listening
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN, smoothed_relu, smoothed_relu_slope
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from references import patch_certificates as naive

ROUND = 1e-9  # a margin is a float64 sum of at most a few hundred terms below 100
SEEDS = st.integers(0, 2**32 - 1)
POWERS = st.sampled_from([2.0, 2.5, 3.0, 4.0])


def case(seed, K=2, m=3, d=2, P=2, n=1):
    """A random network and inputs; radii at which many activations change their piece."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((K, m, d)) * rng.uniform(0.05, 2.0, (K, m, 1))
    if rng.random() < 0.3:
        W[1, 0] = 0.0
    X = rng.standard_normal((n, P, d)) * rng.choice([0.3, 2.0])
    return W, X, rng.integers(0, K, n), rng.uniform(0.5, 2.0), rng.uniform(0.1, 1.5), rng


def network_of(W, q, rho):
    """The network of any real power: the bounds hold for all, training takes integers."""
    network = SmoothedReLUCNN(W, 3, rho)
    network.q = q
    return network


def certified(W, q, rho, X, y, radius, **settings):
    return patch_margins(network_of(W, q, rho), Batch(X, y), PatchL2Ball(radius), **settings)


def radius_of(W, q, rho, X, y, share=0.9, **settings):
    """The certified radius; the ball's own is not used."""
    return certified_radius(network_of(W, q, rho), Batch(X, y), PatchL2Ball(7.0), share=share,
                            **settings)


def filling(radius, d, rng, count=600):
    """Points that fill the ball, many of them on its surface."""
    if d == 1:
        return np.linspace(-radius, radius, count)[:, None]
    directions = rng.standard_normal((count, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    inner = rng.uniform(0.0, radius, (count, 1)) * rng.permutation(directions)
    return np.concatenate([radius * directions, inner, np.zeros((1, d))])


def least_of(W, X, label, q, rho, points):
    """``naive.least_margin`` without its loops, for many points."""
    values = smoothed_relu((X[:, None] + points) @ np.concatenate(W).T, q, rho)
    F = values.reshape(len(X), len(points), len(W), -1).sum(axis=3)
    rivals = [j for j in range(len(W)) if j != label]
    return min((F[:, :, label] - F[:, :, j]).min(axis=1).sum() for j in rivals)


def problem_of(W, X, label, rival, q, rho, radius):
    pair = np.concatenate([W[label], W[rival]])
    return PatchProblem(pair, X @ pair.T, q, rho, radius, pair @ pair.T)


def trained(robust, P=41, d=30, m=6, seed=0, n=3):
    """Weights as training leaves them, planted: few large neurons and many small ones.

    The robust network reads u with alpha = 5 and its neurons fall with the other class's v; the
    non-robust one reads v with beta = .98 in every patch but the first.
    """
    rng = np.random.default_rng(seed)
    u, v = np.eye(d)[:2], np.eye(d)[2:4]
    W = 0.02 * rng.standard_normal((2, m, d))
    y = np.arange(n) % 2
    X = 0.5 / np.sqrt(d) * rng.standard_normal((n, P, d))
    X[:, 0] += 5.0 * u[y]
    X[:, 1:] += 0.98 * v[y][:, None]
    for i in range(2):
        if robust:
            W[i, 0] += 0.9 * u[i] - 1.5 * v[1 - i]
            W[i, 1] += 0.7 * u[i] - 1.1 * v[1 - i] + 0.1 * v[i]
        else:
            W[i, 0] += 0.7 * v[i]
    return W, X, y


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


@settings(max_examples=40)
@given(seed=SEEDS, d=st.integers(1, 3))
def test_the_halves_of_a_box_cover_it_and_are_sound(seed, d):
    W, X, y, rho, radius, rng = case(seed, m=3, d=d, P=1)
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, radius)
    points = filling(radius, d, rng)
    moved = points @ problem.W.T
    terms = smoothed_relu(problem.T[0] + moved, 3.0, rho)
    values = terms[:, :3].sum(axis=1) - terms[:, 3:].sum(axis=1)
    boxes = problem.whole(np.zeros((1, 6)))
    for depth in range(4):
        neurons = 3 + rng.integers(0, 3, len(boxes.patch))
        neurons[np.diag(problem.gram)[neurons] == 0.0] = 4
        boxes = halves(problem, boxes, neurons)
        tighten(problem, boxes, np.full(len(boxes.patch), np.inf), steps=8, curved=True)
        covered = np.zeros(len(points), dtype=bool)
        for c in range(len(boxes.patch)):
            inside = ((moved >= boxes.low[c]) & (moved <= boxes.high[c])).all(axis=1)
            covered |= inside
            assert np.all(boxes.bounds[c] <= values[inside] + ROUND)
        assert covered.all()


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


@pytest.mark.parametrize("seed", range(6))
def test_branching_closes_the_bracket(seed):
    W, X, y, rho, radius, _ = case(seed, m=4, d=3, P=3)
    found = certified(W, 3.0, rho, X, y, radius, boxes=4000, target=np.inf)
    # the tolerance of the search, 1e-3 (1 + |margin|), and its rounding
    assert found.upper[0] - found.margins[0] <= 1.1e-3 * (1.0 + abs(found.upper[0]))


@given(seed=SEEDS)
def test_each_method_only_improves_the_bound_and_more_boxes_do_too(seed):
    W, X, y, rho, radius, _ = case(seed, m=4, d=4, P=3)
    few, many = (certified(W, 3.0, rho, X, y, radius, boxes=boxes, target=np.inf, steps=30)
                 for boxes in (6, 60))
    bounds = np.stack([many.margins_of[name] for name in PATCH_METHODS])
    assert np.all(np.diff(bounds, axis=0) >= 0.0)
    assert many.margins[0] >= few.margins[0] - ROUND


def test_branching_alone_is_no_worse_than_the_bound_it_branches_from():
    W, X, y = trained(robust=True, P=5, n=1)
    alone = certified(W, 3.0, 2.0, X, y, 1.3, methods=("branching",), boxes=40, target=np.inf)
    from_quadratic = certified(W, 3.0, 2.0, X, y, 1.3, methods=("quadratic", "branching"),
                               boxes=40, target=np.inf)
    assert np.array_equal(alone.margins, from_quadratic.margins)


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


def test_the_same_call_gives_the_same_bits():
    W, X, y = trained(robust=True)
    first, second = (certified(W, 3.0, 2.0, X, y, 1.3, boxes=100) for _ in range(2))
    assert np.array_equal(first.margins, second.margins)
    assert np.array_equal(first.delta, second.delta)


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


def test_branching_raises_the_lower_and_lowers_the_upper_bounds():
    W, X, y, rho, radius, _ = case(3, m=6, d=6, P=4)
    problem = problem_of(W, X[0], 0, 1, 3.0, rho, 2.0 * radius)
    upper, attack = attack_patches(problem)
    whole = problem.whole(attack)
    tighten(problem, whole, upper, 50, curved=True)
    before, reached = whole.bounds.copy(), upper.copy()
    lower = branch(problem, whole, upper, attack, 200, np.inf, 1e-6)
    assert np.all(lower >= before) and np.all(upper <= reached) and np.all(lower <= upper)
    assert np.sum(upper - lower) < 0.2 * np.sum(reached - before)


def test_where_nothing_can_be_split_the_bound_stays_what_it_is():
    """The rival is linear wherever the ball goes; bounds of one step of ascent are not tight."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((2, 4, 3))
    W[1] = [4.0, 0.0, 0.0]
    X = np.array([[3.0, 0.0, 0.0], [3.0, 1.0, 0.0]])
    problem = problem_of(W, X, 0, 1, 3.0, 0.5, 0.3)
    upper, attack = attack_patches(problem)
    whole = problem.whole(rng.standard_normal(attack.shape))
    tighten(problem, whole, upper, 1, curved=False)
    assert np.all(whole.bounds < upper - 1e-3)
    lower = branch(problem, whole, upper, attack, 50, np.inf, 1e-6)
    assert np.array_equal(lower, whole.bounds)


def test_a_half_space_shrinks_the_other_intervals_as_far_as_it_can():
    """The largest ``<w_j, delta>`` in the cut ball, found among many points of the plane."""
    rng = np.random.default_rng(2)
    turn = np.linspace(0.0, 2.0 * np.pi, 40001)
    for _ in range(10):
        W = np.zeros((2, 2, 2))
        W[1] = rng.standard_normal((2, 2))
        problem = problem_of(W, np.zeros((1, 2)), 0, 1, 3.0, 1.0, 1.5)
        boxes = problem.whole(np.zeros((1, 4)))
        cut = rng.uniform(-0.9, 0.9) * problem.reach[2]  # where neuron 2 is cut
        boxes.activations[0, 2] = -cut
        both = halves(problem, boxes, np.array([2]))
        circle = 1.5 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        chord = np.linspace(*1.5 * np.stack(_ends(W[1, 0], cut / 1.5)), 1001)
        points = np.concatenate([circle, chord])
        moved = points @ problem.W.T
        for c, side in enumerate((1.0, -1.0)):
            inside = moved[side * (moved[:, 2] - cut) <= 1e-9, 3]
            # a step of the circle is 2.4e-4 long, and nearly flat at a maximum
            np.testing.assert_allclose(both.high[c, 3], inside.max(), atol=1e-3)
            np.testing.assert_allclose(both.low[c, 3], inside.min(), atol=1e-3)


def _ends(w, v):
    """The two points of the unit circle with ``<w, x> = v``."""
    norm = np.linalg.norm(w)
    along, across = v * w / norm ** 2, np.array([-w[1], w[0]]) / norm
    rest = np.sqrt(1.0 - (v / norm) ** 2)
    return along + rest * across, along - rest * across


def test_the_neuron_to_split_is_the_direction_of_the_gaps():
    rival = np.array([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.99, 0.1]])
    W, X = np.stack([np.ones((3, 3)), rival]), np.zeros((4, 3))
    problem = problem_of(W, X, 0, 1, 3.0, 1.0, 1.0)
    boxes = problem.whole(np.zeros((4, 6)))
    boxes.gaps[:, 3:] = [[1.5, 1.0, 0.9], [2.5, 1.0, 0.9], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    boxes.high[3] = 0.0  # dead in the whole box
    # without gaps: the largest chord error, that of the longest neuron
    assert neurons_to_split(problem, boxes).tolist() == [4, 3, 3, -1]


def test_boxes_are_copied_when_taken():
    boxes = Boxes.room(3, 2)
    boxes.bounds[:] = [1.0, 2.0, 3.0]
    some = boxes.take(np.array([2, 0]))
    some.bounds[0] = 9.0
    assert boxes.bounds.tolist() == [1.0, 2.0, 3.0]
    boxes.put(np.array([1, 2]), some)
    assert boxes.bounds.tolist() == [1.0, 9.0, 1.0]


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
             r"batch: expected a Batch\(X, y\), got ndarray"),
            ((network, batch, L2Ball(0.5)), r"ball: expected PatchL2Ball .* got L2Ball"),
            ((network, batch, 0.5), "ball: expected PatchL2Ball .* got 0.5")):
        with pytest.raises(TypeError, match=message) as told:
            ask(*bad)
        assert "\n" not in str(told.value)


def test_an_adversary_is_its_ball():
    W, X, y = trained(robust=True)
    network, batch, ball = network_of(W, 3, 2.0), Batch(X, y), PatchL2Ball(1.0)
    by_ball, by_adversary = (patch_margins(network, batch, threat, boxes=10)
                             for threat in (ball, Adversary(ball)))
    assert np.array_equal(by_ball.margins, by_adversary.margins)


def test_everything_is_shown_in_one_line():
    W, X, y = trained(robust=True)
    shown = repr(certified(W, 3, 2.0, X, y, 1.0, boxes=10))
    assert shown.startswith("PatchCertificates(n=3: 3 certified, 0 broken, 0 open, by interval")
    problem = problem_of(W, X[0], y[0], 1 - y[0], 3.0, 2.0, 1.0)
    assert repr(problem) == "PatchProblem(P=41, m=6, d=30, q=3, rho=2, radius=1)"
    assert repr(Boxes.room(3, 2)) == "Boxes(c=3, of 1 patches, neurons=2)"


def test_every_patch_and_every_box_is_heard():
    W, X, y = trained(robust=True, P=5, n=1)
    for methods, least in ((("interval",), 5 * 4), (("convex", "quadratic"), 5 * 4 + 2 * 5),
                           (("branching",), 5 * 4 + 10)):
        beats = []
        with listening(lambda: beats.append(1)):
            certified(W, 3, 2.0, X, y, 1.3, methods=methods, boxes=10, target=np.inf)
        assert len(beats) >= least, methods


# --- twins: a kernel calls kernels of its own file only, so these are written twice ---------


@given(st.floats(-3.0, 5.0), POWERS, st.floats(0.1, 3.0))
def test_the_activation_is_that_of_the_network(z, q, rho):
    Z = np.array([z])
    np.testing.assert_allclose(bounds._sigma(z, q, rho), smoothed_relu(Z, q, rho)[0], rtol=1e-13)
    np.testing.assert_allclose(bounds._slope(z, q, rho), smoothed_relu_slope(Z, q, rho)[0],
                               rtol=1e-13)


def test_the_ascent_is_that_of_the_other_certificates():
    rng = np.random.default_rng(0)
    x, moments = rng.standard_normal(5), np.zeros((2, 5))
    other, others = x.copy(), np.zeros((2, 5))
    for step in range(20):
        gradient = rng.standard_normal(5)
        dual_ascent.ascend(x, gradient, moments, step, 0.1)
        bounds._adam(other, gradient, others, step, 0.1)
    # the guard 1e-8 against gradients of size 1, over twenty steps of .1
    np.testing.assert_allclose(x, other, atol=2e-6)
    assert np.array_equal(moments, others)


def test_a_coordinate_without_gradient_stays():
    x = np.array([1.0, 2.0])
    bounds._adam(x, np.array([0.0, 1e-20]), np.zeros((2, 2)), 0, 0.1)
    np.testing.assert_allclose(x, [1.0, 2.1])
