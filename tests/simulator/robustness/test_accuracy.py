"""Accuracy against radius and the critical radius, held against exact linear answers."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.suites import standard_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch, Perturbation
from simulator.robustness.accuracy import accuracy, accuracy_curves
from simulator.robustness.critical_radius import CriticalRadius, critical_radius

D, N = 6, 101  # an odd number of samples: the median radius is the radius of one of them
BALLS = (L2Ball, LinfBall)
WEIGHTS = np.linspace(-1.0, 2.0, D)
both_balls = pytest.mark.parametrize("kind", BALLS)


@pytest.fixture(scope="module")
def linear():
    """A linear classifier and samples, one in five of them labelled wrongly."""
    rng = np.random.default_rng(0)
    network, X = LinearClassifier(WEIGHTS), rng.standard_normal((N, D))
    flip = np.where(rng.random(N) < 0.2, -1.0, 1.0)
    return network, Batch(X, flip * np.sign(X @ WEIGHTS))


@pytest.fixture(scope="module")
def curved():
    """A ReLU network and samples it gets right."""
    rng = np.random.default_rng(1)
    network = SymmetricReLU(0.5 * rng.standard_normal((20, D)), 0.5)
    X = rng.standard_normal((40, D))
    return network, Batch(X, np.where(network.forward(X) > 0.0, 1.0, -1.0))


class Constant:
    """A classifier no perturbation can change."""

    def __init__(self, margin):
        self.margin = margin

    def margins(self, X, y):
        return np.full(len(X), self.margin)

    def margin_gradient(self, X, y):
        return np.zeros(X.shape)


class Recording:
    """An attack that notes how many samples it was given and at which radius."""

    def __init__(self, attack, limit=1000):
        self.attack, self.limit, self.calls = attack, limit, []

    def perturb(self, network, X, y, ball, rng):
        self.calls.append((ball.radius, len(X)))
        assert len(self.calls) < self.limit, "the search does not end"
        return self.attack.perturb(network, X, y, ball, rng)


# --- the critical radius ------------------------------------------------------------------


@both_balls
@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-6])
def test_on_a_linear_classifier_it_is_the_median_distance_to_the_boundary(
        linear, kind, tolerance):
    network, batch = linear
    found = critical_radius(network, batch, Adversary(kind(0.0), {"fgm": FGM()}),
                            tolerance=tolerance)
    exact = np.median(network.critical_radii(batch.X, batch.y, kind(1.0)))
    assert 0.1 < exact < 1.0
    # the margin at the exact radius is zero up to rounding
    assert found.low - 1e-12 <= exact <= found.high + 1e-12
    assert found.high - found.low <= tolerance * found.high
    assert abs(found.value - exact) <= found.tolerance + 1e-12


@both_balls
def test_attacked_accuracy_crosses_one_half_inside_the_interval(curved, kind):
    network, batch = curved
    found = critical_radius(network, batch, Adversary(kind(0.0), {"fgm": FGM(), "pgd": PGD(10)}),
                            tolerance=0.01)

    def attacked(radius):
        return worst_case(network, batch, Adversary(kind(radius),
                                                    {"fgm": FGM(), "pgd": PGD(10)})).accuracy()

    assert 0.0 < found.low < found.high < np.inf
    # attacks without random starts; a sample broken at a radius stays broken at larger ones, so
    # the search may know more broken samples than the attack at ``high`` alone finds
    assert attacked(found.low) > 0.5
    assert attacked(found.high) <= 0.5 + 2.0 / len(batch)


@pytest.mark.parametrize("start", [1e-4, 0.1, 5.0, 500.0])
def test_the_radius_to_start_from_does_not_matter(linear, start):
    network, batch = linear
    found = critical_radius(network, batch, Adversary(L2Ball(start), {"fgm": FGM()}),
                            tolerance=0.001)
    exact = np.median(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert abs(found.value - exact) <= found.tolerance + 1e-12


def test_a_classifier_that_is_wrong_half_of_the_time_has_radius_zero(linear):
    network, batch = linear
    wrong = Batch(batch.X, -batch.y)
    assert critical_radius(network, wrong, Adversary(L2Ball(1.0), {"fgm": FGM()})) \
        == CriticalRadius(0.0, 0.0)
    half = Batch(np.ones((4, 1)), np.array([1.0, 1.0, -1.0, -1.0]))
    attack = Recording(FGM())
    found = critical_radius(LinearClassifier(np.ones(1)), half,
                            Adversary(L2Ball(1.0), {"fgm": attack}))
    assert found == CriticalRadius(0.0, 0.0)
    assert attack.calls == []  # there is nothing to search for


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("margin", [0.0, np.nan])
def test_a_margin_that_is_not_positive_is_not_right(margin):
    batch = Batch(np.ones((3, 2)), np.ones(3))
    assert accuracy(Constant(margin), batch) == 0.0
    assert critical_radius(Constant(margin), batch, Adversary(L2Ball(1.0), {})).value == 0.0


def test_where_nothing_breaks_the_radius_is_infinite_above_the_limit_searched():
    attack = Recording(FGM())
    batch = Batch(np.ones((3, 2)), np.ones(3))
    found = critical_radius(Constant(1.0), batch, Adversary(L2Ball(0.0), {"fgm": attack}),
                            limit=5.0)
    assert found.high == found.value == np.inf
    radii = [radius for radius, _ in attack.calls]
    assert found.low == max(radii) <= 5.0 < 2.0 * max(radii)


def test_samples_already_broken_are_not_attacked_again(linear):
    network, batch = linear
    attack = Recording(FGM())
    critical_radius(network, batch, Adversary(L2Ball(0.05), {"fgm": attack}), tolerance=1e-3)
    exact = network.critical_radii(batch.X, batch.y, L2Ball(1.0))
    largest_survived = 0.0
    for radius, rows in attack.calls:
        assert rows == (exact > largest_survived).sum()
        if (exact > radius).mean() > 0.5:
            largest_survived = max(largest_survived, radius)


def test_the_search_ends_however_small_the_tolerance(linear):
    network, batch = linear
    attack = Recording(FGM(), limit=200)
    # 53 bits can be halved about 53 times; 1e-17 is below the spacing of numbers
    found = critical_radius(network, batch, Adversary(L2Ball(0.1), {"fgm": attack}),
                            tolerance=1e-17)
    exact = np.median(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert found.value == pytest.approx(exact, rel=1e-12)


def test_the_search_depends_on_the_seed_alone(curved):
    network, batch = curved
    attacks = {"random": RandomSearch(8), "pgd": PGD(3, ("random",))}
    first, again, other = (critical_radius(network, batch,
                                           Adversary(L2Ball(0.2), attacks,
                                                     seed=seed), tolerance=1e-4)
                           for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_value_and_tolerance_are_the_middle_and_half_the_width():
    assert CriticalRadius(1.0, 1.5).value == 1.25
    assert CriticalRadius(1.0, 1.5).tolerance == 0.25


# --- curves -------------------------------------------------------------------------------

RADII = [0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 100.0]


@both_balls
def test_curves_start_at_clean_accuracy_and_do_not_increase(curved, kind):
    network, batch = curved
    attacks = {"fgm": FGM(), "pgd": PGD(5), "random": RandomSearch(6)}
    curves = accuracy_curves(network, batch, Adversary(kind(9.0), attacks), radii=RADII)
    assert list(curves) == ["fgm", "pgd", "random", "strongest"]
    for curve in curves.values():
        assert curve.shape == (len(RADII),)
        assert curve[0] == accuracy(network, batch) == 1.0
        assert np.all(np.diff(curve) <= 0.0)
        assert np.all(curves["strongest"] <= curve)
    assert curves["strongest"][-1] < 0.1
    # PGD from zero contains FGM at each radius, so also over all smaller ones
    assert np.all(curves["pgd"] <= curves["fgm"])


@both_balls
def test_the_curve_of_a_linear_classifier_is_exact(linear, kind):
    network, batch = linear
    curves = accuracy_curves(network, batch, Adversary(kind(0.0), {"fgm": FGM()}), radii=RADII)
    exact = [network.robust_accuracy(batch.X, batch.y, kind(radius)) for radius in RADII]
    # no sample lies within rounding of these radii; means of 101 zeros and ones
    assert np.allclose(curves["fgm"], exact, rtol=0.0, atol=1e-12)
    assert np.array_equal(curves["fgm"], curves["strongest"])


class OnlySmall:
    """An attack that is lost at radii above 0.3: it returns no perturbation there."""

    def perturb(self, network, X, y, ball, rng):
        if ball.radius > 0.3:
            return Perturbation(np.zeros_like(X), 0)
        return FGM().perturb(network, X, y, ball, rng)


def test_what_a_smaller_ball_broke_stays_broken_in_a_larger_one(linear):
    network, batch = linear
    curves = accuracy_curves(network, batch, Adversary(L2Ball(0.0), {"lost": OnlySmall()}),
                             radii=RADII)
    at = RADII.index(0.2)
    assert curves["lost"][at] < curves["lost"][0]
    assert np.array_equal(curves["lost"][at:], np.full(len(RADII) - at, curves["lost"][at]))


def test_curves_depend_on_the_seed_alone(curved):
    network, batch = curved
    first, again, other = (accuracy_curves(network, batch,
                                           Adversary(L2Ball(0.0), {"random": RandomSearch(3)},
                                                     seed=seed), radii=[0.3, 0.4, 0.5])["random"]
                           for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_strongest_curve_is_below_one_that_ends_in_nan():
    class Fragile(Constant):
        def margins(self, X, y):
            return np.where(np.all(X == 1.0, axis=1), 1.0, np.nan)

    batch = Batch(np.ones((4, 2)), np.ones(4))
    adversary = Adversary(L2Ball(0.0), Universal(np.ones(2)))
    curves = accuracy_curves(Fragile(1.0), batch, adversary, radii=[0.0, 0.5])
    assert curves["universal"].tolist() == [1.0, 0.0]
    assert curves["strongest"].tolist() == [1.0, 0.0]


@both_balls
def test_the_standard_attacks_are_at_least_as_strong_as_each_of_their_parts(curved, kind):
    network, batch = curved
    attacks = standard_attacks(np.ones(D), steps=5)
    assert set(attacks) == {"universal", "fgm", "pgd", "random"}
    found = worst_case(network, batch, Adversary(kind(0.3), attacks))
    margins = found.margins_of
    # PGD starts from zero, at random and from the universal direction, and keeps the best
    assert np.all(margins["pgd"] <= np.minimum(margins["fgm"], margins["universal"]))
    assert np.all(found.margins <= np.minimum(margins["pgd"], margins["random"]))


# --- accuracy -----------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 101, 1000])
def test_accuracy_is_the_share_of_positive_margins_whatever_the_chunks(linear, chunk):
    network, batch = linear
    assert accuracy(network, batch, chunk=chunk) == np.mean(network.margins(batch.X, batch.y) > 0.0)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("call, message", [
    (lambda net, batch: accuracy(net, batch, chunk=0), "chunk: expected at least 1"),
    (lambda net, batch: accuracy_curves(net, batch, Adversary(L2Ball(1.0), {}), radii=[0.2, 0.1]),
     r"radii: expected ascending order, got \[0.2, 0.1\]"),
    (lambda net, batch: accuracy_curves(net, batch, Adversary(L2Ball(1.0), {}), radii=[-0.1]),
     "radii: expected at least 0.0"),
    (lambda net, batch: accuracy_curves(net, batch, Adversary(L2Ball(1.0), {}), radii=[np.nan]),
     "radii: expected a finite number"),
    (lambda net, batch: accuracy_curves(net, batch, Adversary(L2Ball(1.0), {}, chunk=0),
                                        radii=[0.1]),
     "chunk: expected at least 1"),
    (lambda net, batch: accuracy_curves(net, batch, Adversary(L2Ball(1.0), {}, seed=-1),
                                        radii=[0.1]),
     "seed: expected at least 0"),
    (lambda net, batch: critical_radius(net, batch, Adversary(L2Ball(1.0), {}), tolerance=0.0),
     "tolerance: expected more than 0.0"),
    (lambda net, batch: critical_radius(net, batch, Adversary(L2Ball(1.0), {}), limit=0.0),
     "limit: expected more than 0.0"),
    (lambda net, batch: critical_radius(net, batch, Adversary(L2Ball(1.0), {}, chunk=0)),
     "chunk: expected at least 1"),
    (lambda net, batch: accuracy(net, Batch(batch.X[:0], batch.y[:0])), "at least one sample"),
    (lambda net, batch: accuracy_curves(net, Batch(batch.X[:0], batch.y[:0]),
                                        Adversary(L2Ball(1.0),
                                                  {}), radii=[0.1]), "at least one sample"),
    (lambda net, batch: critical_radius(net, Batch(batch.X[:0], batch.y[:0]),
                                        Adversary(L2Ball(1.0), {})),
     "at least one sample"),
])
def test_bad_input_is_named(linear, call, message):
    with pytest.raises(ValueError, match=message):
        call(*linear)


def test_the_name_of_the_worst_curve_is_reserved():
    network, batch = LinearClassifier(np.ones(2)), Batch(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match='attacks: expected other names, got "strongest"'):
        accuracy_curves(network, batch, Adversary(L2Ball(0.1), {"strongest": FGM()}), radii=[0.1])
