"""Radii at which almost none and almost all samples are broken, held against exact answers."""

import numpy as np
import pytest
from scipy import stats

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.attacks.search import RandomSearch
from simulator.balls import L2Ball
from simulator.networks.linear import LinearClassifier
from simulator.protocols import Batch
from simulator.robustness.accuracy import breaking_points
from simulator.robustness.tails import LEVELS, limits, limits_on_grid, order, tail_radii

from planted.robustness import WEIGHTS, Constant, both_balls

RADII = [0.0, 0.1, 0.3, 0.5, 0.9, 1.5]
FEW = 40


@pytest.fixture(scope="module")
def right():
    """A linear classifier and 400 samples that it gets right, those too near left out."""
    X = np.random.default_rng(2).standard_normal((420, len(WEIGHTS)))
    X = X[np.argsort(np.abs(X @ WEIGHTS))][20:]
    return LinearClassifier(WEIGHTS), Batch(X, np.sign(X @ WEIGHTS))


def searched(network, batch, adversary, radii=RADII, **options):
    points = breaking_points(network, batch, adversary, radii=radii)["strongest"]
    return tail_radii(network, batch, adversary, known=(radii, points), **options)


@both_balls
@pytest.mark.parametrize("tolerance", [0.1, 0.01, 1e-5])
def test_on_a_linear_classifier_they_are_the_order_statistics_of_its_radii(right, kind, tolerance):
    network, batch = right
    found = searched(network, batch, Adversary(kind(0.1), {"fgm": FGM()}), tolerance=tolerance)
    exact = np.sort(network.critical_radii(batch.X, batch.y, kind(1.0)))
    assert set(found) == {0.99, 0.01}
    # of 400 samples four may be broken, and four may hold
    for level, place in ((0.99, 4), (0.01, 395)):
        assert found[level].tolerance <= 0.5 * tolerance * exact[place] * 1.1
        assert abs(found[level].value - exact[place]) <= found[level].tolerance + 1e-12
        low, high = limits(level, 400)
        # outer ends: never inside the order statistics that the limits are
        assert (1.0 - tolerance) * exact[low - 1] - 1e-12 <= found[level].low <= exact[low - 1]
        assert found[level].high + 1e-12 >= exact[high - 1] if high <= 400 else (
            found[level].high == np.inf)
        assert found[level].low < found[level].value < found[level].high


def test_limits_on_a_grid_hold_those_of_the_samples_and_are_no_wider_than_a_step(right):
    network, batch = right
    grid = np.linspace(0.0, 3.0, 61)
    points = breaking_points(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()}),
                             radii=list(grid))["strongest"]
    exact = np.sort(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    first, last = limits(0.5, 400)
    low, high = limits_on_grid(0.5, list(grid), points)
    assert 0.0 <= exact[first - 1] - low <= grid[1] and 0.0 <= high - exact[last - 1] <= grid[1]
    assert limits_on_grid(0.99, [0.1], np.array([1, 1, 1])) == (0.0, np.inf)  # three say nothing


def test_accuracy_is_on_the_right_side_of_its_level_at_either_end(right):
    network, batch = right
    found = searched(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()}), tolerance=1e-6)
    exact = network.critical_radii(batch.X, batch.y, L2Ball(1.0))
    assert np.mean(exact > found[0.99].value * (1.0 - 1e-5)) >= 0.99
    assert np.mean(exact > found[0.99].value * (1.0 + 1e-5)) < 0.99
    assert np.mean(exact > found[0.01].value * (1.0 + 1e-5)) <= 0.01
    assert np.mean(exact > found[0.01].value * (1.0 - 1e-5)) > 0.01


def test_what_is_known_is_not_asked_again_and_only_tails_are_asked(right):
    network, batch = right
    asked = []

    class Counting(FGM):
        def perturb(self, network, X, y, ball, rng):
            asked.append((ball.radius, len(X)))
            return super().perturb(network, X, y, ball, rng)

    adversary = Adversary(L2Ball(0.1), {"fgm": Counting()})
    points = breaking_points(network, batch, adversary, radii=RADII)["strongest"]
    asked.clear()
    tail_radii(network, batch, adversary, known=(RADII, points))
    exact = np.sort(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert len(asked) < 60 and sum(rows for _, rows in asked) < 4 * len(batch)
    body = (exact[limits(0.99, 400)[1]] * 1.5, exact[limits(0.01, 400)[0] - 2] / 1.5)
    cell = [radius for radius in RADII if body[0] < radius < body[1]]
    assert not any(cell[0] < radius < cell[-1] for radius, _ in asked)


@pytest.mark.parametrize("radii", [[0.0, 0.01, 0.02], [0.0, 50.0, 60.0], [0.05]])
def test_known_radii_that_miss_the_tails_are_gone_beyond(right, radii):
    network, batch = right
    found = searched(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()}), radii)
    exact = np.sort(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    for level, place in ((0.99, 4), (0.01, 395)):
        assert abs(found[level].value - exact[place]) <= found[level].tolerance + 1e-12


def test_strong_attacks_are_asked_too(right):
    network, batch = right
    adversary = Adversary(L2Ball(0.1), {"random": RandomSearch(2)}, strong={"fgm": FGM()})
    found = searched(network, batch, adversary)
    exact = np.sort(network.critical_radii(batch.X, batch.y, L2Ball(1.0)))
    assert found[0.01].value == pytest.approx(exact[395], rel=0.01)


def test_a_classifier_that_is_wrong_more_often_has_radius_zero(linear):
    network, batch = linear  # a fifth wrong
    found = searched(network, batch, Adversary(L2Ball(0.1), {"fgm": FGM()}))
    assert (found[0.99].low, found[0.99].value, found[0.99].tolerance) == (0.0, 0.0, 0.0)
    assert found[0.01].value > 0.0


def test_where_nothing_breaks_both_are_infinite():
    batch = Batch(np.ones((FEW, 2)), np.ones(FEW))
    found = searched(Constant(1.0), batch, Adversary(L2Ball(0.1), {"fgm": FGM()}), limit=5.0)
    assert all(np.isinf(found[level].value) and np.isinf(found[level].high) for level in LEVELS)


def test_a_search_stopped_anywhere_goes_on_to_the_same_radii(right):
    network, batch = right
    adversary = Adversary(L2Ball(0.1), {"random": RandomSearch(2)}, strong={"fgm": FGM()})
    points = breaking_points(network, batch, adversary, radii=RADII)["strongest"]
    states = []
    found = tail_radii(network, batch, adversary, known=(RADII, points),
                       tick=lambda step, keep: states.append(keep()))
    for saved in states[::7]:
        assert tail_radii(network, batch, adversary, known=(RADII, points), saved=saved) == found


# --- order statistics -----------------------------------------------------------------------


@pytest.mark.parametrize("n, level, place", [
    (400, 0.99, 5), (400, 0.01, 396), (300, 0.99, 4), (300, 0.01, 297), (350, 0.99, 4),
    (350, 0.01, 347), (50, 0.99, 1), (50, 0.01, 50), (1, 0.99, 1), (1, 0.01, 1)])
def test_the_order_statistic_of_a_level(n, level, place):
    assert order(level, n) == place


@pytest.mark.parametrize("n", [300, 500, 2000])
@pytest.mark.parametrize("level", [0.99, 0.01])
def test_limits_are_the_narrowest_that_miss_a_quantile_rarely_enough(n, level):
    low, high = limits(level, n)
    below = stats.binom(n, 1.0 - level)  # samples broken below the population's quantile
    assert below.cdf(low - 1) <= 0.025 < below.cdf(low)  # it lies below the low-th smallest
    assert below.sf(high - 1) <= 0.025 < below.sf(high - 2)


def test_limits_cover_the_quantile_of_the_population(rng):
    n, draws = 300, 2000
    radii = np.sort(rng.random((draws, n)), axis=1)
    for level in LEVELS:
        low, high = limits(level, n)
        ends = np.pad(radii, ((0, 0), (1, 1)), constant_values=((0, 0), (0.0, np.inf)))
        covered = (ends[:, low] <= 1.0 - level) & (1.0 - level <= ends[:, min(high, n + 1)])
        assert covered.mean() >= 0.94  # 95 % less two standard errors


def test_few_samples_limit_a_tail_on_one_side_only():
    assert limits(0.99, 100)[0] == 0 and limits(0.01, 100)[1] == 101
