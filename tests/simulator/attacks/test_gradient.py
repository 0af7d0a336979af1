"""Attacks by the gradient: the formula, exact on a line, as good as a fine grid."""

import numpy as np
import pytest

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM, PGD, AdaptivePGD, Ascent
from simulator.attacks.through import InSpan
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, LinfBall
from simulator.networks.linear import LinearClassifier
from simulator.protocols import Batch

from planted.attacks import (NETWORKS, D, both_balls, every_network, fresh, labelled,
                             random_network, right, samples)
from planted.patch_attacks import Case, attack_with
from references import symmetric_relu as naive

# --- one step -----------------------------------------------------------------------------------


def test_the_ascent_step_keeps_its_length_inside_the_ball():
    case = Case()
    tiny, huge = (attack_with(case, Ascent(step)).delta for step in (1e-6, 1e9))
    gradient = case.net.margin_gradient(case.X, case.y)
    assert np.array_equal(tiny, -1e-6 * gradient)
    assert np.allclose(huge, case.ball.steepest(-gradient), rtol=1e-12)


def test_a_silent_network_is_a_zero_gradient_at_every_sample():
    case = Case()
    case.net.weights[:] = 0.0
    for attack in (Ascent(10.0), InSpan(FGM()), InSpan(PGD(2))):
        found = attack_with(case, attack)
        assert found.zero_gradients == len(case.X) and not found.delta.any()


@both_balls
def test_on_a_linear_classifier_the_adaptive_attack_is_exact(kind):
    net = LinearClassifier(np.linspace(-1.0, 2.0, D))
    X, y = labelled(net)
    found = worst_case(net, Batch(X, y), Adversary(kind(0.3), {"adaptive": AdaptivePGD(30)}))
    exact = net.margins(X, y) - 0.3 * kind(1.0).dual_norm(net.margin_gradient(X, y))
    # a step of twice the radius reaches the optimum at once for l_inf, by halving for l2
    np.testing.assert_allclose(found.margins, exact, atol=1e-6)


@both_balls
def test_the_adaptive_attack_is_about_as_strong_as_pgd_with_many_more_steps(kind):
    """Sample by sample neither contains the other; together they agree."""
    net = random_network()
    X, y = labelled(net, 100)
    found = worst_case(net, Batch(X, y), Adversary(kind(0.4), {
        "fgm": FGM(), "adaptive": AdaptivePGD(100), "pgd": PGD(200, ("zero", "random"))}))
    of = {name: margins.mean() for name, margins in found.margins_of.items()}
    assert of["adaptive"] < of["fgm"]
    assert of["adaptive"] <= of["pgd"] + 0.01 * (of["clean"] - of["pgd"])


# --- laws of every attack -----------------------------------------------------------------


class Scaled:
    """The same classifier with margins and gradients multiplied by a positive number."""

    def __init__(self, network, factor):
        self.network, self.factor = network, factor

    def margins(self, X, y):
        return self.factor * self.network.margins(X, y)

    def margin_gradient(self, X, y):
        return self.factor * self.network.margin_gradient(X, y)


@pytest.mark.parametrize("attack", [FGM(), PGD(8)], ids=["fgm", "pgd"])
@pytest.mark.parametrize("name", ["plain", "smooth", "linear"])
@both_balls
def test_tiny_gradients_are_attacked_like_large_ones(attack, name, kind):
    network, X = NETWORKS[name], samples()
    y = right(network, X)
    wanted = attack.perturb(network, X, y, kind(0.4), fresh())
    exact = attack.perturb(Scaled(network, 2.0**-996), X, y, kind(0.4), fresh())
    # a power of two rounds nothing: additive guards fail here, and losses below 1e-8 fool them
    assert np.array_equal(exact.delta, wanted.delta)
    assert exact.zero_gradients == wanted.zero_gradients
    for factor in (1e-300, 1e-12, 1e300):
        rounded = attack.perturb(Scaled(network, factor), X, y, kind(0.4), fresh())
        # each gradient entry is rounded once; eight steps add up a few ulps
        assert np.allclose(rounded.delta, wanted.delta, rtol=1e-11, atol=1e-14)


# --- the single attacks -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "smooth"])
def test_fgm_is_the_formula_of_the_paper(name):
    network, X = NETWORKS[name], samples(12)
    y = right(network, X)
    gradient = naive.margin_gradient(network.weights, network.bias, X, y, network.smoothing)
    assert np.count_nonzero(gradient)
    for kind, formula in ((L2Ball, naive.fgm_l2), (LinfBall, naive.fgm_linf)):
        delta = FGM().perturb(network, X, y, kind(0.7), fresh()).delta
        assert np.allclose(delta, formula(gradient, 0.7), rtol=0.0, atol=1e-13)


@every_network
@both_balls
@pytest.mark.parametrize("radius", [0.05, 0.5, 2.0])
def test_pgd_from_zero_is_never_weaker_than_fgm_on_any_sample(network, kind, radius):
    X = samples()
    y = right(network, X)
    margins = [network.margins(X + attack.perturb(network, X, y, kind(radius), fresh()).delta, y)
               for attack in (PGD(5), FGM())]
    assert np.all(margins[0] <= margins[1])
    assert np.all(margins[0] <= network.margins(X, y))


@pytest.mark.parametrize("network", [NETWORKS["plain"], NETWORKS["smooth"]],
                         ids=["plain", "smooth"])
@both_balls
def test_fgm_is_stronger_than_random_on_average(network, kind):
    X, ball = samples(), kind(0.2)
    y = right(network, X)
    fgm = network.margins(X + FGM().perturb(network, X, y, ball, fresh()).delta, y)
    rng = fresh()
    blind = [network.margins(X + ball.draw(rng, X.shape), y).mean() for _ in range(20)]
    assert fgm.mean() < min(blind)


@both_balls
def test_more_starts_and_restarts_are_never_weaker(kind):
    network, X = NETWORKS["plain"], samples()
    y = right(network, X)
    attacks = [PGD(4), PGD(4, ("zero", "random")), PGD(4, ("zero", "random"), 3),
               PGD(4, ("zero", "random", "universal"), 3, np.ones(D))]
    margins = [network.margins(X + attack.perturb(network, X, y, kind(0.8), fresh()).delta, y)
               for attack in attacks]
    for weaker, stronger in zip(margins, margins[1:]):
        assert np.all(stronger <= weaker)
    assert margins[-1].mean() < margins[0].mean()


def test_a_negative_zero_gradient_is_a_zero_gradient():
    found = FGM().perturb(LinearClassifier(np.zeros(D)), samples(4), -np.ones(4), L2Ball(1.0),
                          fresh())
    assert found.zero_gradients == 4
    assert np.array_equal(found.delta, np.zeros((4, D)))


# --- brute force --------------------------------------------------------------------------


def disc(radius, rings, spokes):
    """Points of a disc no further than ``radius (1/rings + pi/spokes)`` from any of its points."""
    rho, phi = np.meshgrid(radius * np.arange(rings + 1) / rings,
                           2.0 * np.pi * np.arange(spokes) / spokes)
    return np.column_stack([(rho * np.cos(phi)).ravel(), (rho * np.sin(phi)).ravel()])


@pytest.mark.parametrize("smoothing", [0.0, 0.3], ids=["plain", "smooth"])
def test_pgd_and_a_fine_grid_find_the_same_worst_margin_in_the_plane(smoothing):
    network = random_network(m=6, d=2, bias=0.3, smoothing=smoothing, seed=3)
    X = samples(8, 2)
    y = right(network, X)
    radius, rings, spokes = 0.8, 40, 240
    points = disc(radius, rings, spokes)
    grid = np.array([network.margins(x + points, np.full(len(points), label)).min()
                     for x, label in zip(X, y)])
    attack = PGD(50, ("zero", "random"), restarts=8)
    found = attack.perturb(network, X, y, L2Ball(radius), fresh())
    pgd = network.margins(X + found.delta, y)
    # |f(x) - f(x')| <= sum ||w_i|| ||x - x'||: no true margin is below the grid's by more than
    lipschitz = np.linalg.norm(network.weights, axis=1).sum()
    assert np.all(pgd >= grid - lipschitz * radius * (1.0 / rings + np.pi / spokes))
    # and nine starts reach the grid's minimum up to the last step of the walk,
    # a step of length 2.5 radius / 50, whose effect is second order on the sphere: 1 % of
    # the range
    assert np.all(pgd <= grid + 0.01 * lipschitz * radius)


def test_pgd_reaches_the_corner_a_grid_finds_in_the_cube():
    network = random_network(m=6, d=3, bias=0.3, seed=4)
    X = samples(8, 3)
    y = right(network, X)
    axis = np.linspace(-0.6, 0.6, 13)
    points = np.array(np.meshgrid(axis, axis, axis)).reshape(3, -1).T
    grid = np.array([network.margins(x + points, np.full(len(points), label)).min()
                     for x, label in zip(X, y)])
    attack = PGD(40, ("zero", "random"), restarts=8)
    found = attack.perturb(network, X, y, LinfBall(0.6), fresh())
    pgd = network.margins(X + found.delta, y)
    # grid points are 0.1 apart, so at most 0.05 sqrt(3) from any point of the cube
    lipschitz = np.linalg.norm(network.weights, axis=1).sum()
    assert np.all(pgd >= grid - 0.05 * np.sqrt(3.0) * lipschitz)
    assert np.all(pgd <= grid + 0.01 * 0.6 * lipschitz)
