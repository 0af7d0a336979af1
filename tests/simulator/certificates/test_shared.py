"""The bound with curvatures of all samples: sound, as good as one's own, and only once factored."""

import numpy as np
import pytest

from simulator.balls import L2Ball
from simulator.certificates import shared, sliced
from simulator.certificates.dual_ascent import common_factor
from simulator.certificates.inputs import signed_inputs
from simulator.certificates.margins import certify
from simulator.certificates.relaxation import Relaxation, inner_minima
from simulator.certificates.shared import (MOST_OWN, OWN, Crowd, Slices, _follow, climb, evaluated,
                                           needs, shared_bounds)
from simulator.certificates.sliced import own_bounds, sliced_bounds
from simulator.networks import few_rows
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import BALLS, case

both_balls = pytest.mark.parametrize("kind", BALLS)


def shared_margins(inputs, target, crowd):
    return shared_bounds(inputs, np.zeros_like(inputs.X), target, crowd=crowd).bounds


def pure_network(d=48, copies=2, noise=0.09, seed=0):
    """Neurons of one feature each, with a small mixture of the others."""
    rng = np.random.default_rng(seed)
    W = np.repeat(np.eye(d), copies, axis=0) + noise * rng.standard_normal((copies * d, d))
    X = np.where(rng.random((30, d)) < 3.0 / d, 1.0, 0.0)
    X[:, :3] = 1.0
    network = SymmetricReLU(W, 0.35)
    return network, Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))


@pytest.mark.parametrize("m", [3, 12, 40])
def test_common_curvatures_are_as_large_as_a_definite_matrix_allows(m):
    rng = np.random.default_rng(m)
    W, need = rng.standard_normal((m, 10)), rng.uniform(0.0, 2.0, m)
    need[0] = 0.0
    common = common_factor(W, need)
    Q = np.eye(10) - (W.T * common.curvatures) @ W
    least = float(np.linalg.eigvalsh(Q)[0])
    assert 0.0 < least < 0.25
    np.testing.assert_allclose(common.curvatures * need[-1], need * common.curvatures[-1])
    C = rng.standard_normal((4, 10))
    np.testing.assert_allclose(common.solved(C) @ Q, C, atol=1e-9)


def test_without_curvatures_the_factor_is_that_of_one():
    common = common_factor(np.zeros((3, 4)), np.zeros(3))
    np.testing.assert_allclose(common.solved(np.eye(4)), np.eye(4), atol=1e-12)


@both_balls
@pytest.mark.parametrize("seed", range(4))
def test_no_perturbation_is_below_the_bound(kind, seed):
    network, X, y, radius, _ = case(seed, 12, 5)
    bounds = certify(network, Batch(X, y), kind(radius), methods=("shared",), target=np.inf)
    rng = np.random.default_rng(seed)
    for _ in range(200):
        delta = kind(radius).project(rng.standard_normal(X.shape) * radius)
        assert np.all(network.margins(X + delta, y) >= bounds.margins - 1e-12)


@both_balls
def test_the_bound_is_that_of_the_multipliers_it_returns(kind):
    """A loop over samples, with the relaxation of each, bounds no less: it drops dead neurons."""
    network, X, y, radius, _ = case(5, 12, 5)
    inputs = signed_inputs(network, Batch(X, y), kind(radius))
    found = shared_bounds(inputs, np.zeros_like(inputs.X), np.inf)
    for row, bound in enumerate(found.bounds):
        t, a, lam, mu = (inputs.T[row], found.slopes[row], found.lam[row],
                         found.lam[row] * found.curvatures)
        reach = inputs.ball.radius * inputs.ball.dual_norm(inputs.W)
        value = -inputs.ball.radius**2 * lam * (1 if kind is L2Ball else X.shape[1])
        for i in range(len(t)):
            grid = np.linspace(-reach[i], reach[i], 4001)
            u = t[i] + grid
            S = np.sign(u) * np.maximum(np.abs(u) - inputs.bias, 0.0)
            value += float((S - a[i] * grid + mu[i] * grid**2).min())
        delta, W = found.points[row], inputs.W
        P = lam * np.eye(W.shape[1]) - (W.T * mu) @ W
        assert np.linalg.eigvalsh(P)[0] >= -1e-12
        value -= delta @ P @ delta
        value -= inputs.ball.radius * inputs.ball.dual_norm((2 * P @ delta + a @ W)[None])[0]
        np.testing.assert_allclose(bound, value, rtol=1e-4)  # the grid's steps
        assert bound <= value


def test_pure_neurons_need_no_curvatures_of_a_samples_own():
    network, batch = pure_network()
    ball = L2Ball(0.5)
    own = certify(network, batch, ball, methods=("quadratic",))
    shared = certify(network, batch, ball, methods=("shared",))
    linear = certify(network, batch, ball, methods=("linear", "separable"))
    assert np.mean(own.margins > 0.0) == 1.0
    assert np.mean(shared.margins > 0.0) == 1.0
    assert np.mean(linear.margins > 0.0) < 0.5


def test_no_gram_matrix_and_no_factor_of_a_sample(monkeypatch):
    network, batch = pure_network()

    def refused(*arguments, **options):
        raise AssertionError("one sample at a time")

    monkeypatch.setattr(Relaxation, "of_sample", refused)
    methods = ("shared", "quadratic", "branching")
    assert np.all(certify(network, batch, L2Ball(0.5), methods=methods).margins > 0.0)


def test_a_sample_that_is_done_is_not_climbed_further():
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    first = shared_bounds(inputs, np.zeros_like(inputs.X), 0.0)
    last = shared_bounds(inputs, np.zeros_like(inputs.X), np.inf)
    assert np.all(first.bounds > 0.0)
    assert last.bounds.sum() > first.bounds.sum() * 1.005


def test_a_crowd_gives_each_sample_what_it_gets_among_all():
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    rest = np.zeros_like(inputs.X)
    whole = shared_bounds(inputs, rest, np.inf)
    rows = np.array([1, 4])
    few = shared_bounds(inputs[rows], rest[rows], np.inf, crowd=Crowd(inputs))
    np.testing.assert_allclose(few.bounds, whole.bounds[rows], rtol=1e-9)
    assert np.array_equal(few.curvatures, whole.curvatures)
    alone = shared_bounds(inputs[rows], rest[rows], np.inf)
    assert not np.allclose(alone.curvatures, whole.curvatures)


@pytest.mark.parametrize("seed", range(5))
def test_slopes_are_those_of_the_convex_envelope(seed):
    """Of all slopes they give the envelope its largest value, and spreads its derivative by lam."""
    rng = np.random.default_rng(seed)
    shape = (3, 200)
    T, norms, v = rng.normal(size=shape), rng.uniform(0.1, 3.0, 200), rng.uniform(0.0, 2.0, 200)
    v[:20] = 0.0
    lam, radii, b = np.array([0.1, 1.0, 8.0]), np.array([1.0, 0.5, 2.0]), 0.4
    s = rng.uniform(-1.0, 1.0, shape) * radii[:, None] * norms

    def envelopes(lam, slopes):
        """Of each neuron, from the line of that slope below it."""
        return np.array([[inner_minima(T[row:row + 1, i:i + 1], slopes[row:row + 1, i:i + 1],
                                       lam[row:row + 1], v[i:i + 1], radii[row:row + 1],
                                       norms[i:i + 1], b)[0][0] + slopes[row, i] * s[row, i]
                          for i in range(200)] for row in range(3)])

    def follow(lam):
        slopes = np.zeros(shape)
        return slopes, _follow(T, s, lam, v, radii, norms, b, 1.0, slopes)

    slopes, spreads = follow(lam)
    best = envelopes(lam, slopes)
    for other in (1e-3, -1e-3, 0.1, -0.1, 1.0, -1.0):
        assert np.all(envelopes(lam, slopes + other) <= best + 1e-9)
    higher, lower = (envelopes(lam * (1.0 + h), follow(lam * (1.0 + h))[0]) for h in (1e-5, -1e-5))
    slope = (higher - lower).sum(axis=1) / (2e-5 * lam)
    np.testing.assert_allclose((v * s * s).sum(axis=1) + spreads, slope, rtol=1e-3)
    half = np.ones(shape)
    _follow(T, s, lam, v, radii, norms, b, 0.5, half)
    np.testing.assert_allclose(half, 0.5 + 0.5 * slopes)


@both_balls
@pytest.mark.parametrize("radius", [0.3, 0.5])
def test_a_climb_has_converged(kind, radius):
    """A few steps take it nearly as far as many, and many as far as any slopes near by."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, kind(radius if kind is L2Ball else 0.3 * radius))
    few, some, many = (shared_bounds(inputs, np.zeros_like(inputs.X), np.inf, steps)
                       for steps in (8, 16, 300))
    scale = np.abs(many.bounds).max()
    assert np.all(many.bounds >= few.bounds - 1e-9)
    np.testing.assert_allclose(some.bounds, many.bounds, atol=0.03 * scale)
    rng, rows = np.random.default_rng(0), np.arange(len(inputs))
    crowd = Crowd(inputs)
    whole = Slices.whole(inputs, crowd.factor())
    for _ in range(10):
        slopes = many.slopes + 0.02 * rng.standard_normal(many.slopes.shape)
        lam = many.lam * np.exp(0.02 * rng.standard_normal(len(inputs)))
        near = many._replace(slopes=slopes, lam=lam)
        c = slopes @ inputs.W
        near = near._replace(points=whole.common.solved(c) * (-0.5 / lam[:, None]))
        assert np.all(evaluated(inputs, near, rows, whole) <= many.bounds + 2e-3 * scale)


def with_a_common_direction(d=40):
    """Neurons of one feature each that have a part along one direction in common."""
    rng = np.random.default_rng(2)
    W = np.concatenate([np.eye(d), -np.eye(d)]) + 0.02 * rng.standard_normal((2 * d, d))
    return W + 0.5 / np.sqrt(d)


def test_a_helped_factor_allows_the_curvatures_of_the_other_directions():
    W = with_a_common_direction()
    needs = np.full(len(W), 0.3)
    plain, helped = common_factor(W, needs), common_factor(W, needs, most=50.0)
    assert plain.extra == 0.0 < helped.extra <= 50.0
    assert np.all(helped.curvatures > 2.0 * plain.curvatures)
    e = helped.direction
    assert abs(e.sum()) / np.sqrt(len(e)) > 0.95  # it is the direction that was put in
    Q = np.eye(len(e)) - (W.T * helped.curvatures) @ W + helped.extra * np.outer(e, e)
    assert np.linalg.eigvalsh(Q).min() > 0.0 > np.linalg.eigvalsh(
        Q - helped.extra * np.outer(e, e)).min()


def slices_of(inputs, target, monkeypatch):
    """The bounds in slices, and the slices that were above the target: of each its sample, how far
    T was moved, the radius and half the width, and the direction they lie across."""
    stood, directions = [], []

    def seen(there, start, target, steps, slices):
        found, left = climb(there, start, target, steps, slices)
        for row in np.setdiff1d(np.arange(len(there)), left) if target < np.inf else left:
            sample = int(np.flatnonzero((inputs.X == there.X[row]).all(axis=1))[0])
            stood.append((sample, there.T[row] - inputs.T[sample], slices.radii[row], slices.half))
        directions.append(slices.common.direction)
        return found, left

    monkeypatch.setattr(sliced, "climb", seen)
    return sliced_bounds(inputs, target, Crowd(inputs)), stood, directions[0]


def balls_cut(inputs, e, seed=5):
    """Perturbations in a ball, near the axis that slices lie across."""
    r = inputs.ball.radius
    return inputs.ball.project(
        np.linspace(-r, r, 401)[:, None] * e
        + 0.05 * r * np.random.default_rng(seed).standard_normal((401, len(e))))


def within(inputs, e, deltas, slices):
    """Which perturbations are in one of the slices."""
    held, along = np.zeros(len(deltas), bool), inputs.W @ e
    for _, moved, radius, half in slices:
        rest = deltas - (moved @ along / (along @ along)) * e
        held |= (np.linalg.norm(rest, axis=1) <= radius) & (np.abs(rest @ e) <= half)
    return held


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.7])
def test_no_slice_is_forgotten(radius, monkeypatch):
    """Every perturbation is in a slice, and no bound is above its margin."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(radius))
    bounds, slices, e = slices_of(inputs, np.inf, monkeypatch)
    own = [one for one in slices if one[0] == 3]
    assert len(own) > 4
    deltas = balls_cut(inputs, e)
    assert within(inputs, e, deltas, own).all()
    for x, y, bound in zip(batch.X, batch.y, bounds * inputs.unit):
        assert bound <= (y * network.forward(x + y * inputs.length * deltas)).min() + 1e-9


def test_what_stands_in_slices_of_any_width_stands_in_all_of_the_ball(monkeypatch):
    """A slice that a glance is not enough for is halved, and no half is forgotten."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    target = float(np.quantile(sliced_bounds(inputs, np.inf, Crowd(inputs)), 0.4))
    bounds, slices, e = slices_of(inputs, target, monkeypatch)
    deltas, certified = balls_cut(inputs, e), np.flatnonzero(bounds > target)
    assert len({half for _, _, _, half in slices}) > 2 and 0 < len(certified) < len(bounds)
    for sample in certified:
        own = [one for one in slices if one[0] == sample]
        assert within(inputs, e, deltas, own).all()
        assert len(own) == 1 or not within(inputs, e, deltas, own[1:]).all()
    assert np.all(bounds[np.setdiff1d(np.arange(len(bounds)), certified)] == -np.inf)


def test_slices_allow_more_curvature_and_better_bounds():
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    whole = shared_bounds(inputs, np.zeros_like(inputs.X), np.inf).bounds
    parts = sliced_bounds(inputs, np.inf, Crowd(inputs))
    assert parts.sum() > 1.02 * whole.sum() and np.mean(parts > whole) > 0.6


def test_a_sample_with_a_slice_that_is_not_above_the_target_is_left():
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    whole = sliced_bounds(inputs, np.inf, Crowd(inputs))
    target = float(np.median(whole))
    some = sliced_bounds(inputs, target, Crowd(inputs))
    assert np.all((some > target) | (some == -np.inf))
    assert np.all(whole[some > target] > target) and np.any(some == -np.inf)


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.7])
def test_curvatures_that_lean_to_a_sample_serve_it_better(radius):
    """And are sound: no perturbation near the axis of the slices is below the bound."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(radius))
    common, own = (bounds(inputs, np.inf, Crowd(inputs)) for bounds in (sliced_bounds, own_bounds))
    assert np.mean(own > common) > 0.9
    for row, (x, y) in enumerate(zip(batch.X, batch.y)):
        crowd = Crowd(inputs).leaning(inputs[np.array([row])])
        deltas = balls_cut(inputs, crowd.factor(most=50.0).direction, seed=row)
        margins = y * network.forward(x + y * inputs.length * deltas)
        assert own[row] * inputs.unit <= margins.min() + 1e-9


def test_a_neuron_at_its_kink_does_not_use_up_what_all_need():
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    one, crowd = inputs[np.array([2])], Crowd(inputs)
    one.T[0, 5] = -inputs.bias  # it needs a curvature as large as any
    assert needs(one)[5] > 10.0 * MOST_OWN * crowd.wanted[5]
    leaning = crowd.leaning(one)
    np.testing.assert_allclose(leaning.wanted[5], (1.0 + OWN * MOST_OWN) * crowd.wanted[5])
    assert np.all(leaning.wanted >= crowd.wanted) and np.any(leaning.wanted == crowd.wanted)
    assert leaning.inputs is crowd.inputs


def test_a_sample_is_left_at_its_middle_slice(monkeypatch):
    """Of those that are thin: what fails there is not climbed elsewhere with all steps."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.7))
    whole, climbed = sliced_bounds(inputs, np.inf, Crowd(inputs)), []
    target = float(np.median(whole))

    def seen(there, start, target, steps, slices):
        if steps == 25:
            climbed.extend(int(np.flatnonzero((inputs.X == x).all(axis=1))[0]) for x in there.X)
        return climb(there, start, target, steps, slices)

    monkeypatch.setattr(sliced, "climb", seen)
    found = sliced_bounds(inputs, target, Crowd(inputs), 25)
    failed = np.flatnonzero(found == -np.inf)
    each = np.bincount(climbed, minlength=len(whole))
    assert len(failed) > 5 and each[failed].sum() == len(failed)


@pytest.mark.parametrize("bounds", [sliced_bounds, own_bounds, shared_margins])
def test_an_ascent_in_float32_ends_at_bounds_of_float64(bounds, monkeypatch):
    """Nearly as high, and of what they rest on to the last bit."""
    network, batch = pure_network()
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    plain, found = bounds(inputs, np.inf, Crowd(inputs)), []
    monkeypatch.setattr("simulator.certificates.inputs.ROUGH_FROM", 1)
    monkeypatch.setattr(few_rows, "LARGE", 1)

    def seen(inputs, kept, rows, slices, *others):
        values = evaluated(inputs, kept, rows, slices, *others)
        exact = evaluated(inputs, kept, rows, slices)
        found.append(np.array_equal(values, exact))
        return values

    for module in (shared, sliced):
        monkeypatch.setattr(module, "evaluated", seen)
    inputs = signed_inputs(network, batch, L2Ball(0.5))
    assert inputs.products.rough().dtype == np.float32
    rough = bounds(inputs, np.inf, Crowd(inputs))
    assert found and all(found)
    np.testing.assert_allclose(rough, plain, rtol=2e-3, atol=2e-3 * np.abs(plain).max())
    assert not np.array_equal(rough, plain)
    target = float(np.median(plain))
    assert 0.0 < np.mean(bounds(inputs, target, Crowd(inputs)) > target) < 1.0


def test_what_is_proved_is_what_is_certified():
    """Slices keep no proof, so with proofs they raise no bound above what is proved."""
    network, batch = pure_network()
    methods = ("shared", "sliced", "own")
    found = certify(network, batch, L2Ball(0.5), methods=methods, target=np.inf, proofs=True)
    assert np.array_equal(found.margins, [proof.lower for proof in found.proofs])
    without = certify(network, batch, L2Ball(0.5), methods=methods, target=np.inf)
    assert np.any(without.margins > found.margins)


@pytest.mark.parametrize("need", np.geomspace(1e-3, 1e-1, 7))
def test_a_factor_is_helped_where_curvatures_fall_short(need):
    """Nowhere else: the ball would be cut for nothing."""
    W = with_a_common_direction()
    plain, helped = (common_factor(W, np.full(len(W), need), most=most) for most in (0.0, 50.0))
    assert (helped.extra > 0.0) == (plain.curvatures[0] < 1.3 * need)
    assert helped.extra > 0.0 or np.array_equal(helped.factor, plain.factor)
