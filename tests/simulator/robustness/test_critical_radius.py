"""The critical radius, held against exact linear answers."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.linear import LinearClassifier
from simulator.protocols import Batch
from simulator.robustness.accuracy import accuracy, breaking_points
from simulator.robustness.critical_radius import CriticalRadius, critical_radius

from planted.robustness import Constant, both_balls


class Recording:
    """An attack that notes how many samples it was given and at which radius."""

    def __init__(self, attack, limit=1000):
        self.attack, self.limit, self.calls = attack, limit, []

    def perturb(self, network, X, y, ball, rng):
        self.calls.append((ball.radius, len(X)))
        assert len(self.calls) < self.limit, "the search does not end"
        return self.attack.perturb(network, X, y, ball, rng)


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


@both_balls
def test_strong_attacks_find_the_radius_that_weak_ones_overlook(linear, kind):
    network, batch = linear
    exact = np.median(network.critical_radii(batch.X, batch.y, kind(1.0)))
    adversary = Adversary(kind(0.1), {"random": RandomSearch(2)}, strong={"fgm": FGM()})
    weak = critical_radius(network, batch, Adversary(kind(0.1), adversary.attacks))
    assert weak.low > 1.05 * exact
    found = critical_radius(network, batch, adversary)
    assert found.low - 1e-12 <= exact <= found.high + 1e-12
    assert found.high - found.low <= 0.01 * found.high


def test_strong_attacks_that_find_no_more_are_asked_once(linear):
    network, batch = linear
    strong = Recording(RandomSearch(2))
    weak = critical_radius(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()}))
    found = critical_radius(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()},
                                                      strong={"random": strong}))
    assert found == weak
    assert [radius for radius, _ in strong.calls] == [weak.low]


@both_balls
def test_a_search_stopped_anywhere_goes_on_to_the_same_radius(linear, kind):
    network, batch = linear
    adversary = Adversary(kind(0.1), {"random": RandomSearch(2)}, strong={"fgm": FGM()})
    states = []
    found = critical_radius(network, batch, adversary,
                            tick=lambda step, keep: states.append(keep()))
    assert any(saved["counts"][1] for saved in states[:-1])
    for saved in states[:-1:2]:
        assert critical_radius(network, batch, adversary, saved=saved) == found


@both_balls
def test_a_search_from_known_points_asks_only_what_lies_between_them(linear, kind):
    network, batch = linear
    attack, radii = Recording(FGM()), [0.0, 0.1, 0.3, 0.5, 0.9, 1.5]
    adversary = Adversary(kind(0.7), {"fgm": attack})
    points = breaking_points(network, batch, adversary, radii=radii)["strongest"]
    attack.calls.clear()
    found = critical_radius(network, batch, adversary, known=(radii, points))
    exact = np.median(network.critical_radii(batch.X, batch.y, kind(1.0)))
    assert found.low - 1e-12 <= exact <= found.high + 1e-12
    assert found.high - found.low <= 0.01 * found.high
    top = next(index for index, radius in enumerate(radii) if exact <= radius)
    assert all(radii[top - 1] < radius < radii[top] for radius, _ in attack.calls)
    assert attack.calls[0] == (0.5 * (radii[top - 1] + radii[top]), np.count_nonzero(points == top))


@pytest.mark.parametrize("radii", [[0.0, 0.01, 0.02], [50.0, 60.0], [0.05], [0.0]])
def test_known_points_that_do_not_reach_one_half_are_gone_beyond(linear, radii):
    network, batch = linear
    adversary = Adversary(L2Ball(0.1), {"fgm": FGM()})
    points = breaking_points(network, batch, adversary, radii=radii)["strongest"]
    found = critical_radius(network, batch, adversary, known=(radii, points))
    exact = np.median(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert found.low - 1e-12 <= exact <= found.high + 1e-12
    assert found.high - found.low <= 0.01 * found.high


def test_a_search_from_radius_0_alone_begins_somewhere(linear):
    """A run with tau = 0 in l_inf knows of that radius alone: twice it would be 0 for ever."""
    network, batch = linear
    attack = Recording(FGM(), limit=100)
    adversary = Adversary(L2Ball(0.0), {"fgm": attack})
    points = breaking_points(network, batch, adversary, radii=[0.0])["strongest"]
    found = critical_radius(network, batch, adversary, known=([0.0], points))
    exact = np.median(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert found.low - 1e-12 <= exact <= found.high + 1e-12


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
