"""Certificates of the patch network hold in real arithmetic, and in every unit."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball
from simulator.certificates.patches.margins import PATCH_METHODS

from planted.patch_certificates import SEEDS, case, certified
from references.exact_margins import exact_patch_margin, points_of_the_ball


def planted(rng):
    """Two classes whose neurons cancel up to ulps, on large patches; any scale of rho."""
    m, d, P = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    own = rng.standard_normal((m, d)) * 10.0 ** rng.integers(-6, 7)
    rival = own * (1.0 + rng.integers(-3, 4, (m, 1)) * 2.0**-52)
    X = rng.standard_normal((1, P, d)) * 10.0 ** rng.integers(-3, 5)
    size = float(np.abs(X[0] @ own.T).max())
    return (np.stack([own, rival]), X, size * 10.0 ** rng.integers(-8, 1),
            float(np.abs(X).max() * 10.0 ** rng.integers(-16, -1)), int(rng.integers(2, 4)))


def exact_values(W, X, label, q, rho, radius, rng, hint):
    """Exact margins with all patches at one kind of point of their balls, and at a hint."""
    d = X.shape[1]
    points = points_of_the_ball(L2Ball(radius), d, rng, 1)
    moved = [[point] * len(X) for point in points]
    moved.append([points_of_the_ball(L2Ball(radius), d, rng, 0, [delta])[-1] for delta in hint])
    return [exact_patch_margin(W, X, label, q, rho, deltas) for deltas in moved]


def test_no_bound_is_above_the_exact_margin_of_cancelling_classes():
    fooled = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        W, X, rho, radius, q = planted(rng)
        y = np.array([int(rng.integers(0, 2))])
        found = certified(W, q, rho, X, y, radius, boxes=4, target=np.inf, steps=15)
        truth = exact_values(W, X[0], y[0], q, rho, radius, rng, found.delta[0])
        for name in PATCH_METHODS:
            assert Fraction(float(found.margins_of[name][0])) <= min(truth), (seed, name)
        met = exact_patch_margin(W, X[0], y[0], q, rho, found.delta[0])
        assert met <= Fraction(float(found.upper[0])), seed
        Z = X[0] @ W.reshape(-1, W.shape[-1]).T
        fooled += abs(truth[0]) < 1e-14 * np.abs(Z).sum()
    assert fooled > 10, "nothing was planted"


@settings(max_examples=15)
@given(seed=SEEDS, K=st.integers(2, 3), q=st.sampled_from([2, 3]))
def test_no_exact_point_of_the_balls_is_below_a_bound_of_any_method(seed, K, q):
    W, X, y, rho, radius, rng = case(seed, K, 2, 2, 2)
    found = certified(W, q, rho, X[:1], y[:1], radius, boxes=8, target=np.inf, steps=20)
    truth = exact_values(W, X[0], y[0], q, rho, radius, rng, found.delta[0])
    for name in PATCH_METHODS:
        assert Fraction(float(found.margins_of[name][0])) <= min(truth), name


@pytest.mark.parametrize("weight, length", [(2.0**-40, 1.0), (2.0**30, 2.0**8),
                                            (2.0**-200, 2.0**200)])
def test_other_units_give_the_very_same_certificates(weight, length):
    W, X, y, rho, radius, _ = case(3, K=3, m=3, d=5, P=3, n=2)
    options = {"boxes": 10, "steps": 30, "target": np.inf}
    here = certified(W, 3.0, rho, X, y, radius, **options)
    there = certified(W * weight, 3.0, rho * weight * length, X * length, y, radius * length,
                      **options)
    for name in PATCH_METHODS:
        assert np.array_equal(here.margins_of[name] * (weight * length), there.margins_of[name])
    assert np.array_equal(here.delta * length, there.delta)


@pytest.mark.parametrize("weight, length, radius, message", [
    (1e200, 1.0, 0.1, "weights: expected a scale"), (1.0, 1e-150, 0.1, "X: expected a scale"),
    (1.0, 1.0, 1e150, "radius: expected a scale")])
def test_scales_that_over_or_underflow_are_refused_in_a_line(weight, length, radius, message):
    W, X, y, rho, _, _ = case(3)
    with pytest.raises(ValueError, match=message):
        certified(W * weight, 3.0, rho, X * length, y, radius)
