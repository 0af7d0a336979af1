"""The search in the neurons of two classes: the best mixture, and no weaker than others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks.directions import FixedDirections
from simulator.attacks.gradient import PGD
from simulator.attacks.paired import PairedPatchSearch
from simulator.attacks.patches import PatchSearch, directions_of
from simulator.balls import L2Ball, LinfBall, PatchL2Ball

from planted.patch_attacks import Case, attack_with
from references import patches as naive

NORMS = pytest.mark.parametrize("ball", [PatchL2Ball(0.7), LinfBall(0.3)], ids=["l2", "linf"])
SEEDS = st.integers(0, 10**6)


def case_in(ball, seed=0, classes=2, **sizes):
    case = Case(seed, classes, **sizes)
    case.ball = ball
    return case


@NORMS
@given(seed=SEEDS)
@settings(max_examples=15)
def test_without_steps_it_is_the_best_mixture_of_its_directions(ball, seed):
    case = case_in(ball, seed, n=2, P=2, d=4)
    found = attack_with(case, PairedPatchSearch(case.features[:2], steps=0, starts=1))
    lines = [*case.net.weights.reshape(-1, 4), *case.features[:2]]
    candidates = [np.zeros(4), *lines, *(-line for line in lines)]
    best = naive.best_mixture(case.net.weights, 3, 0.8, case.X, case.y, [
        ball.steepest(np.broadcast_to(line, case.X.shape)) for line in candidates])
    np.testing.assert_allclose(case.margins(found), best, rtol=1e-9, atol=1e-12)


@NORMS
@given(seed=SEEDS, classes=st.integers(2, 3))
def test_steps_only_help_and_stay_in_the_ball(ball, seed, classes):
    case = case_in(ball, seed, classes)
    found = [attack_with(case, PairedPatchSearch(case.features, steps=steps, starts=2))
             for steps in (0, 4, 20)]
    for attack in found:
        assert np.all(ball.norm(attack.delta) <= ball.radius * (1.0 + 1e-9))
    margins = [case.margins(attack) for attack in found]
    assert np.all(margins[1] <= margins[0] + 1e-9) and np.all(margins[2] <= margins[1] + 1e-9)
    assert np.all(margins[0] <= case.net.margins(case.X, case.y) + 1e-9)


@NORMS
def test_it_is_no_weaker_than_swaps_of_features_and_pgd(ball):
    for seed in range(5):
        case = case_in(ball, seed, 3)
        lines = directions_of(case.features)
        search = case.margins(attack_with(case, PairedPatchSearch(lines, steps=40, starts=4)))
        for weaker in (FixedDirections(case.features[:3]), PGD(20)):
            assert np.all(search <= case.margins(attack_with(case, weaker)) + 1e-6)


def test_in_spheres_it_finds_what_the_search_with_all_neurons_finds():
    for seed in range(5):
        case = Case(seed, 3, m=4)
        joint = case.margins(attack_with(case, PatchSearch(case.features, steps=40, restarts=2)))
        paired = case.margins(attack_with(case, PairedPatchSearch(
            directions_of(case.features), steps=40, starts=4)))
        np.testing.assert_array_less(paired, joint + 0.02 * (1.0 + np.abs(joint)))


@NORMS
def test_it_finds_the_optimum_of_linear_patches(ball):
    # far above rho the network is linear in every patch: min = value - eps ||sum of weights||*
    case = case_in(ball, m=1, d=8)
    case.net.weights[:] = np.abs(case.net.weights) + 0.2
    case.X, case.y = np.full((3, 2, 8), 20.0), np.array([0, 1, 0])
    W = case.net.weights[:, 0]
    fall = 2 * ball.radius * np.linalg.norm(W[0] - W[1], ord=1 if isinstance(ball, LinfBall) else 2)
    found = case.margins(attack_with(case, PairedPatchSearch(steps=60)))
    np.testing.assert_allclose(found, case.net.margins(case.X, case.y) - fall, rtol=1e-3)


def test_what_it_cannot_search_is_refused():
    case = Case()
    case.ball = L2Ball(0.3)
    with pytest.raises(TypeError, match="ball: expected PatchL2Ball or LinfBall, got L2Ball"):
        attack_with(case, PairedPatchSearch())
    with pytest.raises(ValueError, match="neurons: expected True without features"):
        PairedPatchSearch(neurons=False)
    with pytest.raises(ValueError, match="starts"):
        PairedPatchSearch(starts=0)
