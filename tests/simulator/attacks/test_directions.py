"""Attacks along given directions, which look at labels only."""

import numpy as np
import pytest

from simulator.attacks.directions import FixedDirections, Universal

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
