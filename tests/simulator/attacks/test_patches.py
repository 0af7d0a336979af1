"""Attacks on patch networks: the ball of patches, the span, the patch-by-patch optimum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import FixedDirections
from simulator.attacks.gradient import FGM, PGD, Ascent
from simulator.attacks.patches import PatchSearch
from simulator.attacks.through import InSpan
from simulator.attacks.worst_case import worst_case
from simulator.balls import L2Ball, PatchL2Ball
from simulator.data.patches import PatchData, random_features
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from references import patches as naive

seeds = st.integers(0, 10**6)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
radii = st.sampled_from([1e-9, 0.3, 1.0, 1e9])


def normal(seed, shape):
    return np.random.default_rng(seed).standard_normal(shape)


class Case:
    """A random network that reads planted samples."""

    def __init__(self, seed=0, classes=2, n=4, P=3, m=2, d=12, scale=0.6):
        rng = np.random.default_rng(seed)
        self.features = random_features(classes, d, rng)
        self.data = PatchData(d, np.array([3.0]), np.full(P - 1, 0.8), classes,
                              features=self.features)
        self.net = SmoothedReLUCNN(scale * rng.standard_normal((classes, m, d)), 3, 0.8)
        batch = self.data.sample(n, rng)
        self.X, self.y = batch.X, batch.y
        self.ball = PatchL2Ball(0.7)

    def margins(self, found):
        return self.net.margins(self.X + self.ball.project(found.delta), self.y)


def attack_with(case, attack, seed=1):
    return attack.perturb(case.net, case.X, case.y, case.ball, np.random.default_rng(seed))


# --- the ball of patches ----------------------------------------------------------------------


@given(shape=shapes, radius=radii, seed=seeds)
def test_the_ball_of_patches_is_that_of_the_loops(shape, radius, seed):
    ball, D = PatchL2Ball(radius), radius * normal(seed, shape)
    assert np.allclose(ball.norm(D), naive.norms(D).max(axis=1), rtol=1e-13)
    assert np.allclose(ball.dual_norm(D), naive.norms(D).sum(axis=1), rtol=1e-13)
    assert np.allclose(ball.steepest(D), naive.steepest(D, radius), rtol=1e-13)
    assert np.allclose(ball.project(D), naive.project(D, radius), rtol=1e-13)


@given(shape=shapes, radius=radii, seed=seeds)
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


@pytest.mark.parametrize("classes", [2, 4])
def test_fixed_directions_swap_the_features_of_the_worst_other_class(classes):
    case = Case(classes=classes)
    V = case.data.nonrobust_features
    found = attack_with(case, FixedDirections(V))
    clean = case.net.margins(case.X, case.y)
    for n, y in enumerate(case.y):
        swaps = [0.7 * (V[j] - V[y]) / 2**0.5 for j in range(classes) if j != y]
        margins = [case.net.margins(case.X[n:n + 1] + swap, case.y[n:n + 1])[0] for swap in swaps]
        assert case.margins(found)[n] == pytest.approx(min(*margins, clean[n]), rel=1e-12)


# --- in the span of the weights -----------------------------------------------------------------


@pytest.mark.parametrize("attack", [FGM(), PGD(7), Ascent(0.4)])
@pytest.mark.parametrize("classes", [2, 3])
def test_an_attack_in_the_span_is_the_plain_attack(attack, classes):
    case = Case(classes=classes, d=30)
    plain, inside = attack_with(case, attack), attack_with(case, InSpan(attack))
    # the same steps in another basis: rounding of seven of them
    assert np.allclose(inside.delta, plain.delta, atol=1e-11)
    assert np.allclose(case.margins(inside), case.margins(plain), atol=1e-11)
    assert np.abs(plain.delta).max() > 0.1


def test_what_the_attack_finds_lies_in_the_span_and_in_the_ball():
    case = Case(d=30)
    for attack in (InSpan(PGD(5, ("random",))), PatchSearch(case.features)):
        delta = attack_with(case, attack).delta
        W = case.net.weights.reshape(-1, 30)
        outside = delta - delta @ np.linalg.pinv(W) @ W
        assert np.abs(outside).max() < 1e-12
        assert np.all(case.ball.norm(delta) <= 0.7 * (1.0 + 1e-12))


# --- patch by patch -----------------------------------------------------------------------------


@given(seed=seeds, classes=st.integers(2, 3))
def test_the_mixture_of_candidates_is_the_best_of_all_combinations(seed, classes):
    case = Case(seed, classes, n=2, P=2, d=2 * classes)  # the weights span everything
    features = case.features[:2]
    found = attack_with(case, PatchSearch(features, neurons=False, steps=0))
    a, b = features
    lines = [0.0 * a, a, -a, b, -b, a - b, b - a, a + b, -a - b]
    candidates = [case.ball.steepest(np.broadcast_to(line, case.X.shape)) for line in lines]
    best = naive.best_mixture(case.net.weights, 3, 0.8, case.X, case.y, candidates)
    assert np.allclose(case.margins(found), best, rtol=1e-10, atol=1e-12)


@given(seed=seeds, classes=st.integers(2, 3))
def test_patch_by_patch_is_never_weaker_than_its_candidates(seed, classes):
    case = Case(seed, classes)
    search = case.margins(attack_with(case, PatchSearch(case.features, steps=5)))
    for weaker in (FixedDirections(case.features[:classes]),
                   PatchSearch(case.features, neurons=False, steps=0)):
        assert np.all(search <= case.margins(attack_with(case, weaker)) + 1e-12)
    assert np.all(search <= case.net.margins(case.X, case.y) + 1e-12)


def test_the_search_finds_the_optimum_of_linear_patches():
    # far above rho the network is linear in every patch: min = value - eps ||sum of weights||
    case = Case(m=1, d=8)
    case.net.weights[:] = np.abs(case.net.weights) + 0.2
    case.X = np.full((3, 2, 8), 20.0)
    case.y = np.array([0, 1, 0])
    W = case.net.weights[:, 0]
    fall = 2 * 0.7 * np.linalg.norm(W[0] - W[1])
    found = case.margins(attack_with(case, PatchSearch(steps=30)))
    assert np.allclose(found, case.net.margins(case.X, case.y) - fall, rtol=1e-12)


def test_the_best_random_point_is_no_better_than_the_search():
    case = Case(n=3, P=2, d=4)
    search = case.margins(attack_with(case, PatchSearch(case.features, steps=40)))
    rng = np.random.default_rng(5)
    margins = [case.net.margins(case.X + case.ball.draw(rng, case.X.shape), case.y)
               for _ in range(3000)]
    assert np.all(search <= np.min(margins, axis=0) + 1e-9)


def test_worst_case_carries_classes_through_every_attack():
    case = Case(classes=4, n=6)
    attacks = {"ascent": Ascent(3.0), "pgd": InSpan(PGD(3, ("zero", "random"))),
               "fixed": FixedDirections(case.data.robust_features),
               "search": PatchSearch(case.features, steps=3)}
    found = worst_case(case.net, Batch(case.X, case.y), Adversary(case.ball, attacks, chunk=4))
    assert np.array_equal(found.margins, np.min(list(found.margins_of.values()), axis=0))
    assert np.array_equal(found.margins_of["clean"], case.net.margins(case.X, case.y))
    assert np.allclose(case.net.margins(case.X + found.delta, case.y), found.margins, rtol=1e-12)


@pytest.mark.parametrize("attack", [InSpan(FGM()), PatchSearch()])
def test_other_networks_are_refused(attack, rng):
    with pytest.raises(TypeError, match="expected a SmoothedReLUCNN, got a SymmetricReLU"):
        attack.perturb(SymmetricReLU(np.eye(3), 0.0), np.ones((2, 3)), np.ones(2), L2Ball(1.0),
                       rng)


@pytest.mark.parametrize("make, message", [
    (lambda: Ascent(0.0), "step: expected more than 0"),
    (lambda: PatchSearch(steps=-1), "steps: expected at least 0, got -1"),
    (lambda: PatchSearch(restarts=-1), "restarts: expected at least 0, got -1"),
])
def test_bad_attacks_are_told_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()
