"""Whatever the multipliers are, no point of the ball has a margin below what they prove."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball, LinfBall
from simulator.certificates.checker.bounds import inner_minima, split_minima
from simulator.certificates.checker.exact import Exact
from simulator.certificates.checker.verdict import ExactNetwork, check_proof
from simulator.certificates.proofs import Proof

from planted.certificates import case
from planted.proofs import NO_CLAIM, leaf, random_proof
from references.exact_margins import exact_margin, points_of_the_ball

NONE = np.zeros(0, int)
BALLS = [L2Ball, LinfBall]


def least(network, x, y, ball, rng):
    """The least margin at some points of the ball, in fractions."""
    return min(exact_margin(network, x, y, delta)
               for delta in points_of_the_ball(ball, len(x), rng, 20))


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 5), d=st.integers(1, 3))
def test_no_point_is_below_what_random_multipliers_prove(kind, seed, m, d):
    network, X, y, radius, rng = case(seed, m, d, n=1)
    ball = kind(radius)
    proof = random_proof(rng, network.weights, ball, wild=rng.choice([0.01, 1.0]))
    exact = ExactNetwork.of(network.weights, network.bias)
    proved = check_proof(exact, X[0], y[0], ball, proof)
    assert proved.holds, proved.reason
    assert Fraction(proved.value) <= least(network, X[0], y[0], ball, rng)


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 6), d=st.integers(1, 3),
       turned=st.booleans())
def test_no_point_is_below_what_the_separable_bound_proves(kind, seed, m, d, turned):
    network, X, y, radius, rng = case(seed, m, d, n=1, pure=True)
    ball = kind(radius)
    # columns that are not orthonormal at all: the bound does not need them to be
    D = rng.standard_normal((d, d)) if turned else None
    proof = Proof("separable", NO_CLAIM, NONE, NONE, (), rng.uniform(0.0, 5.0))
    proved = check_proof(ExactNetwork.of(network.weights, network.bias), X[0], y[0], ball, proof,
                         dictionary=D)
    assert proved.holds, proved.reason
    assert Fraction(proved.value) <= least(network, X[0], y[0], ball, rng)


@pytest.mark.parametrize("kind", BALLS)
def test_good_multipliers_prove_the_worst_margin_of_an_open_neuron(kind):
    """A neuron open in the whole ball is linear there: its worst margin is proved exactly."""
    w, b, x, ball = np.array([[2.0, 1.0]]), 0.5, np.array([3.0, 0.25]), kind(0.125)
    proof = Proof("linear", NO_CLAIM, np.array([0]), NONE, (
        leaf([], [], [0.0] if kind is L2Ball else [0.0, 0.0], [0.0, 0.0]),))
    proved = check_proof(ExactNetwork.of(w, b), x, 1.0, ball, proof)
    fall = 0.125 * (np.sqrt(5.0) if kind is L2Ball else 3.0)
    assert proved.value == pytest.approx(6.25 - 0.5 - fall, rel=1e-15)


def test_cuts_sharpen_what_chords_prove():
    """Opposite neurons cancel: chords lose a half, and in the halves of a cut nothing is lost."""
    W, b, x, ball = np.array([[1.0], [-1.0]]), 1.0, np.array([-1.0]), L2Ball(1.0)
    lam, zero, both = [0.0], [0.0], np.array([0, 1])
    below, above = ((0, 1.0, 0.0),), ((0, -1.0, 0.0),)
    whole = Proof("linear", NO_CLAIM, NONE, both, (leaf([0.5, 0.5], [0.0, 0.0], lam, zero),))
    halves = Proof("branching", NO_CLAIM, NONE, both, (
        leaf([1.0, 1.0], [0.0, 0.0], lam, zero, below),
        leaf([0.0, 0.0], [0.0, 0.0], lam, zero, above)))
    values = [check_proof(ExactNetwork.of(W, b), x, 1.0, ball, proof).value
              for proof in (whole, halves)]
    assert values == [-0.5, 0.0]


@settings(max_examples=200, deadline=None)
@given(t=st.floats(-3.0, 3.0), a=st.floats(-1.0, 2.0), mu=st.floats(-2.0, 2.0),
       ends=st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)), b=st.floats(0.0, 2.0))
def test_the_inner_minimum_is_below_a_grid_and_reached_on_it(t, a, mu, ends, b):
    low, high = sorted(ends)
    found = inner_minima(*(Exact.of([value]) for value in (t, a, mu, low, high)),
                         Exact.of(b), 200)[0].fraction()
    s = np.append(np.linspace(low, high, 2001), np.clip([-b - t, b - t], low, high))
    if mu != 0.0:
        with np.errstate(over="ignore"):
            s = np.append(s, np.clip([0.5 * a / mu, 0.5 * (a - 1.0) / mu], low, high))
    values = np.sign(t + s) * np.maximum(np.abs(t + s) - b, 0.0) - a * s + mu * s * s
    assert float(found) <= values.min() + 1e-13
    assert float(found) >= values.min() - 1e-13


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_minimum_over_core_and_rest_is_below_a_grid_and_reached_on_it(seed):
    rng = np.random.default_rng(seed)
    t, a, k, mu = rng.uniform(-2.0, 2.0, 4)
    far_z, far_n = rng.uniform(0.0, 2.0, 2) * rng.integers(0, 2, 2)
    low, high = np.sort(rng.uniform(-1.0, 1.0, 2)) * (far_z + far_n)
    b = rng.uniform(0.0, 1.5)
    found = float(split_minima(*(Exact.of([value]) for value in (
        t, a, k, mu, far_z, far_n, low, high)), Exact.of(b), 200)[0].fraction())
    Z, N = np.meshgrid(np.linspace(-far_z, far_z, 301), np.linspace(-far_n, far_n, 301))
    u = t + Z + N
    values = (np.sign(u) * np.maximum(np.abs(u) - b, 0.0) - k * Z - a * N
              + mu * N * N)[(low <= Z + N) & (Z + N <= high)]
    assert np.all(found <= values + 1e-13)
    if len(values) > 1000:  # the grid is fine enough for slopes up to 10
        assert found >= values.min() - 10.0 * (far_z + far_n) / 150.0


@pytest.mark.parametrize("power", [-300, -40, 40, 300])
def test_the_scale_of_the_numbers_changes_nothing(power):
    """W and b times a power of two: the bound times it, to the last bit."""
    network, X, y, radius, rng = case(3, 5, 3, n=1)
    ball = L2Ball(radius)
    proof = random_proof(rng, network.weights, ball, wild=0.01)
    scaled = Proof(proof.method, proof.lower, proof.linear, proof.neurons, tuple(
        leaf(one.slopes, np.ldexp(one.curvatures, -power), np.ldexp(one.lam, power), one.point,
             list(zip(one.cut_neurons, one.cut_sides, np.ldexp(one.cut_limits, power))),
             core_slopes=one.core_slopes)
        for one in proof.leaves), cores=proof.cores)
    value = check_proof(ExactNetwork.of(network.weights, network.bias), X[0], y[0], ball,
                        proof).value
    again = check_proof(ExactNetwork.of(np.ldexp(network.weights, power),
                                        np.ldexp(network.bias, power)), X[0], y[0], ball, scaled)
    assert again.value == pytest.approx(np.ldexp(value, power), rel=1e-14)
