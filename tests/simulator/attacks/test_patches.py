"""Attacks on patch networks: the patch-by-patch optimum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.directions import FixedDirections
from simulator.attacks.gradient import PGD, Ascent
from simulator.attacks.patches import PatchSearch
from simulator.attacks.through import InSpan
from simulator.attacks.worst_case import worst_case
from simulator.protocols import Batch

from planted.patch_attacks import Case, attack_with
from references import patches as naive

seeds = st.integers(0, 10**6)


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


@pytest.mark.parametrize("make, message", [
    (lambda: Ascent(0.0), "step: expected more than 0"),
    (lambda: PatchSearch(steps=-1), "steps: expected at least 0, got -1"),
    (lambda: PatchSearch(restarts=-1), "restarts: expected at least 0, got -1"),
])
def test_bad_attacks_are_told_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()
