"""Attacks along given directions, which look at labels only."""

import numpy as np
import pytest

from simulator.attacks.directions import EraseAndWrite, FixedDirections, Universal
from simulator.balls import LinfBall, PatchL2Ball
from simulator.data.patches import PatchData
from simulator.networks.smoothed_relu_cnn import SmoothedReLUCNN

from planted.attacks import D, both_balls, samples
from planted.patch_attacks import Case, attack_with

# --- one step -----------------------------------------------------------------------------------


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


@both_balls
def test_the_universal_attack_looks_at_labels_only(kind):
    y = np.array([1.0, -1.0, 1.0])
    direction = np.linspace(-1.0, 2.0, D)
    attack = Universal(direction)
    deltas = [attack.perturb(None, X, y, kind(0.5), None).delta
              for X in (samples(3), samples(3, seed=9))]
    assert np.array_equal(*deltas)
    assert np.array_equal(deltas[0][0], -deltas[0][1])
    assert np.array_equal(deltas[0][0], deltas[0][2])
    assert np.allclose(deltas[0][1] @ direction,
                       0.5 * kind(1.0).dual_norm(direction[None])[0], rtol=1e-14)


def test_the_published_perturbation_erases_one_feature_and_writes_another():
    case = Case(classes=3)
    v, beta = case.features[3:], case.data.beta
    delta = EraseAndWrite(v, beta).perturb(case.net, case.X, case.y, LinfBall(0.9)).delta
    assert np.all(delta[:, 0] == 0.0)  # the robust patch is left alone
    moved = np.abs(delta[:, 1:]).max(axis=(1, 2)) > 0.0
    for row in np.flatnonzero(moved):
        along = delta[row, 1:] @ v.T
        np.testing.assert_allclose(along[:, case.y[row]], -beta)
        others = np.delete(along, case.y[row], axis=1)
        np.testing.assert_allclose(np.sort(others, axis=1), [[0.0, 0.9]] * len(beta), atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(delta[row, 1:], axis=1), np.hypot(beta, 0.9))
    assert moved.any()


def test_it_lies_in_the_cube_where_features_are_axes_and_in_no_l2_ball():
    data = PatchData(8, np.array([3.0]), np.full(3, 0.8))
    net = SmoothedReLUCNN(np.concatenate([data.nonrobust_features[:, None]] * 2, axis=1), 3, 1.0)
    batch = data.sample(20, 0)
    delta = EraseAndWrite(data.nonrobust_features, data.beta).perturb(
        net, batch.X, batch.y, LinfBall(1.0)).delta
    assert np.all(LinfBall(1.0).norm(delta) <= 1.0) and np.all(PatchL2Ball(1.0).norm(delta) > 1.2)
    assert np.all(net.margins(batch.X + delta, batch.y) < 0.0)
