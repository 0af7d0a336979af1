"""Certificates hold in real arithmetic, and in every unit of weights and inputs.

Cancelling sums are planted: float64 has the sign of the margin wrong there, so network and
certificate would round alike and no attack in float64 could show it.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.margins import METHODS, certify
from simulator.networks.symmetric_relu import SymmetricReLU
from simulator.protocols import Batch

from planted.certificates import BALLS, case
from references.exact_margins import exact_margin, points_of_the_ball

both_balls = pytest.mark.parametrize("kind", BALLS)


def cancelling_activation(rng):
    """One neuron whose <w, x> is rounding: w is orthogonal to x up to a few ulps."""
    x = 1e4 * rng.uniform(0.5, 2.0, 2)
    a = 1e4 * rng.uniform(0.5, 2.0)
    w = np.array([a, -a * x[0] / x[1] * (1.0 + rng.integers(-2, 3) * 2.0**-53)])
    return SymmetricReLU(w[None], 0.0), x, 1e-14


def cancelling_neurons(rng):
    """Four large linear neurons that cancel exactly, beside a small one that decides."""
    while True:
        A = np.round(rng.uniform(1e8, 4e8, 4) * 2**26) / 2**26
        A[3] = A[0] + A[1] - A[2]
        if A[3] > 1e6 and Fraction(A[0]) + Fraction(A[1]) == Fraction(A[2]) + Fraction(A[3]):
            break
    b = 1e-7 * rng.uniform(0.5, 2.0)
    W = np.array([[A[0]], [A[1]], [-A[2]], [-A[3]], [-1.02 * b]])
    return SymmetricReLU(W, b), np.array([1.0]), 0.01


def cancelling_everything(rng):
    """Pairs of opposite neurons that differ by ulps, inputs far from zero, any bias."""
    m, d = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    W = rng.standard_normal((m, d)) * 10.0 ** rng.integers(-6, 9)
    W = np.concatenate([W, -W * (1.0 + rng.integers(-3, 4, (m, 1)) * 2.0**-52)])
    x = rng.standard_normal(d) * 10.0 ** rng.integers(-3, 5)
    size = np.abs(W @ x).max()
    return (SymmetricReLU(W, size * float(rng.choice([0.0, 1e-16, 1e-3, 0.5]))), x,
            float(np.abs(x).max() * 10.0 ** rng.integers(-16, 0)))


FAMILIES = (cancelling_activation, cancelling_neurons, cancelling_everything)


def violations(family, kind, seeds, methods=METHODS):
    """Count how often float64 is wrong on a clean sample, and which bounds are above the truth."""
    fooled, above = 0, []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        network, x, radius = family(rng)
        ball, y = kind(radius), 1.0 if network.forward(x[None])[0] > 0.0 else -1.0
        found = certify(network, Batch(x[None], np.array([y])), ball, boxes=3, steps=15,
                        root_steps=15, target=np.inf, methods=methods)
        points = points_of_the_ball(ball, len(x), rng, 1, hints=[y * found.delta[0]])
        truth = [exact_margin(network, x, y, point) for point in points]
        fooled += truth[0] <= 0
        above += [(seed, name) for name, bound in found.margins_of.items()
                  if Fraction(float(bound[0])) > min(truth)]
        met = exact_margin(network, x, y, found.delta[0])
        assert met <= Fraction(float(found.upper[0])), seed
    return fooled, above


@both_balls
@pytest.mark.parametrize("family", FAMILIES)
def test_no_bound_is_above_the_exact_margin(family, kind):
    fooled, above = violations(family, kind, range(40))
    assert above == []
    assert fooled > 0, "nothing was planted"


@pytest.mark.slow
@both_balls
@pytest.mark.parametrize("family", FAMILIES)
def test_no_bound_is_above_the_exact_margin_in_thousands_of_draws(family, kind):
    assert violations(family, kind, range(1000, 2000))[1] == []


@both_balls
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pure=st.booleans())
def test_no_exact_point_of_the_ball_is_below_a_bound_of_any_method(kind, seed, pure):
    network, X, y, radius, rng = case(seed, 6, 2, n=1, pure=pure)
    found = certify(network, Batch(X, y), kind(radius), methods=METHODS, boxes=8, steps=40,
                    root_steps=40, target=np.inf)
    points = points_of_the_ball(kind(radius), 2, rng, 4, hints=[found.delta[0]])
    least = min(exact_margin(network, X[0], y[0], point) for point in points)
    for name, bound in found.margins_of.items():
        assert Fraction(float(bound[0])) <= least, name


@both_balls
@pytest.mark.parametrize("weight, length", [(2.0**-40, 1.0), (1.0, 2.0**-20), (2.0**30, 2.0**8),
                                            (2.0**-300, 2.0**300)])
def test_other_units_give_the_very_same_certificates(kind, weight, length):
    network, X, y, radius, _ = case(3, 16, 4, n=3)
    other = SymmetricReLU(network.weights * weight, network.bias * weight * length)
    options = {"boxes": 4, "steps": 20, "root_steps": 20, "methods": METHODS, "target": np.inf}
    here = certify(network, Batch(X, y), kind(radius), **options)
    there = certify(other, Batch(X * length, y), kind(radius * length), **options)
    assert np.array_equal(here.method, there.method)
    for name in METHODS:
        assert np.array_equal(here.margins_of[name] * (weight * length), there.margins_of[name])
    assert np.array_equal(here.delta * length, there.delta)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_that_are_no_power_of_two_certify_the_same_samples(scale):
    network, X, _, _, _ = case(6, 60, 12, n=20, pure=True)
    y = np.where(network.forward(X) >= 0.0, 1.0, -1.0)
    other = SymmetricReLU(network.weights * scale, network.bias * scale)
    here, there = (certify(one, Batch(X, y), L2Ball(0.15), boxes=6).margins > 0.0
                   for one in (network, other))
    assert np.array_equal(here, there) and 0.2 < here.mean() < 1.0


@pytest.mark.parametrize("change, message", [
    ({"weights": 1e296}, r"weights: expected a scale from 1e-100 to 1e\+100"),
    ({"weights": 1e-213}, "weights: expected a scale"),
    ({"X": 1e-192}, "X: expected a scale"),
    ({"radius": 1.4e154}, "radius: expected a scale"),
    ({"radius": 1e-160}, "radius: expected a scale"),
    ({"bias": 1e-150}, "bias: expected a scale"),
])
def test_scales_that_over_or_underflow_are_refused_in_a_line(change, message):
    network, X, y, _, _ = case(1, 4, 3)
    network = SymmetricReLU(network.weights * change.get("weights", 1.0),
                            network.bias * change.get("bias", 1.0))
    with pytest.raises(ValueError, match=message):
        certify(network, Batch(X * change.get("X", 1.0), y), LinfBall(change.get("radius", 0.1)))


def test_zeros_are_no_scale():
    """A network, an input, a bias and a radius of zero are as good as any other."""
    for network, x, radius in ((SymmetricReLU(np.zeros((2, 3)), 0.0), np.ones(3), 0.1),
                               (SymmetricReLU(np.eye(3), 0.1), np.zeros(3), 0.05),
                               (SymmetricReLU(np.eye(3), 0.0), np.ones(3), 0.0)):
        found = certify(network, Batch(x[None], np.ones(1)), L2Ball(radius), methods=METHODS,
                        target=np.inf)
        assert np.all(np.isfinite(found.margins)) and found.margins[0] <= found.upper[0]
