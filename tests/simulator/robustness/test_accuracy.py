"""Accuracy against radius, held against exact linear answers."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import Universal
from simulator.attacks.gradient import FGM, PGD
from simulator.attacks.search import RandomSearch
from simulator.attacks.suites import standard_attacks
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball
from simulator.networks.linear import LinearClassifier
from simulator.protocols import Batch, Perturbation
from simulator.robustness.accuracy import accuracy, accuracy_curves, breaking_points, passes
from simulator.robustness.critical_radius import critical_radius

from planted.robustness import Constant, D, both_balls

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


@both_balls
def test_strong_attacks_lower_the_worst_curve_and_leave_the_others(curved, kind):
    network, batch = curved
    weak = {"random": RandomSearch(2)}
    alone, joined, none = (
        accuracy_curves(network, batch, Adversary(kind(0.0), weak, strong=strong), radii=RADII)
        for strong in ({}, {"pgd": PGD(5)}, None))
    assert list(joined) == ["random", "strongest"]
    assert np.array_equal(joined["random"], alone["random"])
    assert np.all(joined["strongest"] <= alone["strongest"])
    assert np.mean(joined["strongest"]) < np.mean(alone["strongest"]) - 0.1
    assert np.all(np.diff(joined["strongest"]) <= 0.0)
    assert np.array_equal(none["strongest"], alone["strongest"])


class Counting:
    """A PGD that keeps at which radius it was asked about how many samples."""

    def __init__(self):
        self.asked = []

    def perturb(self, network, X, y, ball, rng):
        self.asked.append((ball.radius, len(X)))
        return PGD(5).perturb(network, X, y, ball, rng)


def test_a_sample_is_attacked_strongly_once_more_than_it_breaks(curved):
    network, batch = curved
    strong = Counting()
    adversary = Adversary(L2Ball(0.0), {"random": RandomSearch(2)}, strong={"pgd": strong})
    curves = accuracy_curves(network, batch, adversary, radii=RADII)
    gained = len(batch) * (curves["random"] - curves["strongest"]).sum()
    asked = sum(count for _, count in strong.asked)
    assert asked <= gained + len(batch) + 1e-9
    radii = [radius for radius, _ in strong.asked]
    assert radii == sorted(radii, reverse=True)
    # on these samples an attack that fails in a ball fails in every smaller one
    everywhere = accuracy_curves(network, batch, Adversary(L2Ball(0.0), {"pgd": PGD(5)}),
                                 radii=RADII)
    assert np.allclose(curves["strongest"], everywhere["pgd"], rtol=0.0, atol=0.02)


def asked_at(counting):
    return {radius: sum(n for at, n in counting.asked if at == radius) for radius in RADII}


def test_an_attack_that_may_overshoot_goes_up_on_what_it_has_not_broken(curved):
    network, batch = curved
    counting = Counting()
    points = breaking_points(network, batch, Adversary(L2Ball(0.0), {"plain": counting}),
                             radii=RADII)["plain"]
    # nothing is asked at radius 0: there the input itself is all there is
    assert asked_at(counting) == {radius: np.count_nonzero(points >= index) if radius else 0
                                  for index, radius in enumerate(RADII)}
    # so its curve is that of all radii asked of all samples
    broken = np.zeros(len(batch), bool)
    for index, radius in enumerate(RADII):
        found = worst_case(network, batch, Adversary(L2Ball(radius), {"plain": PGD(5)}))
        broken |= ~(found.margins > 0.0)
        assert np.array_equal(broken, points <= index)


def test_a_thorough_attack_is_asked_where_others_broke_a_sample_and_one_radius_below(curved):
    network, batch = curved
    counting = Counting()
    counting.thorough = True
    attacks = {"fgm": FGM(), "pgd": counting}
    points = breaking_points(network, batch, Adversary(L2Ball(0.0), attacks), radii=RADII)
    top = np.minimum(points["fgm"], len(RADII) - 1)
    # down from there to the radius at which it holds, 0 needs no asking
    wanted = {radius: np.count_nonzero((index <= top) & (index >= points["pgd"] - 1))
              if radius else 0 for index, radius in enumerate(RADII)}
    assert np.all(points["pgd"] <= points["fgm"])  # PGD begins with FGM's point
    assert asked_at(counting) == wanted
    assert sum(wanted.values()) < 0.5 * len(batch) * len(RADII)
    plain = breaking_points(network, batch, Adversary(L2Ball(0.0), {"pgd": PGD(5)}), radii=RADII)
    assert np.array_equal(points["pgd"], plain["pgd"])


def test_a_thorough_attack_that_holds_where_others_broke_begins_again_at_the_top(curved):
    network, batch = curved
    last = len(RADII) - 1

    class Thorough(RandomSearch):
        thorough = True

    attacks = {"pgd": PGD(5), "random": Thorough(3)}
    points = breaking_points(network, batch, Adversary(L2Ball(0.0), attacks), radii=RADII)
    later = points["random"] > points["pgd"]
    assert later.any()
    assert np.any(points["random"][later] <= last)  # found on the way down from the top
    assert np.array_equal(points["strongest"], np.minimum(points["pgd"], points["random"]))


def test_interrupted_curves_go_on_to_the_same_numbers(curved):
    network, batch = curved
    adversary = Adversary(L2Ball(0.0), {"random": RandomSearch(2)},
                          strong={"pgd": PGD(5, ("random",))})
    states = []
    whole = accuracy_curves(network, batch, adversary, radii=RADII,
                            tick=lambda step, keep: states.append((step, keep())))
    assert passes(adversary) == 2
    assert passes(Adversary(L2Ball(0.0), {"fgm": FGM(), "pgd": PGD(2)})) == 1 + 2
    assert [step for step, _ in states] == list(range(1, 2 * len(RADII) + 1))
    for _, saved in states[::3]:
        again = accuracy_curves(network, batch, adversary, radii=RADII, saved=saved)
        assert all(np.array_equal(again[name], whole[name]) for name in whole)


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
