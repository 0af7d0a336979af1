"""Polynomial learners: loop references, kernels and symmetry."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.attacks.adversary import Adversary
from simulator.attacks.gradient import FGM
from simulator.balls import L2Ball
from simulator.data.batches import FreshBatches
from simulator.data.sparse_coding import SparseCoding, random_dictionary, random_signs
from simulator.networks.polynomials import (Polynomial, SymmetricCubic, SymmetricQuadratic,
                                            coefficients)
from simulator.training import train

from references import low_complexity as naive

SYMMETRIC = {"symmetric": SymmetricCubic, "symmetric of degree 2": SymmetricQuadratic}
MODELS = ("degree 2", "degree 3", *SYMMETRIC)


def model(kind, d=4, seed=0, dtype=np.float64):
    """A model with random weights."""
    rng = np.random.default_rng(seed)
    if kind in SYMMETRIC:
        made = SYMMETRIC[kind]
        return made(random_signs(d, rng), random_dictionary(d, rng),
                    rng.standard_normal(made.count).astype(dtype))
    degree = int(kind[-1])
    return Polynomial(d, degree, rng.standard_normal(coefficients(d, degree)).astype(dtype))


def samples(n=5, d=4, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.choice([-1.0, 1.0], n)


def features_of(kind, network, X):
    if kind in SYMMETRIC:  # only for the identity
        features = {"symmetric": naive.symmetric_features,
                    "symmetric of degree 2": naive.symmetric_squares}[kind]
        return [features(x, np.eye(X.shape[1]), network.signs) for x in X]
    return [naive.monomials(x, int(kind[-1])) for x in X]


@given(n=st.integers(1, 5), d=st.integers(1, 5), seed=st.integers(0, 10**6),
       kind=st.sampled_from(MODELS), decay=st.sampled_from([0.0, 0.3]),
       scale=st.sampled_from([1e-40, 1.0, 1e3]))
def test_every_pass_equals_the_sum_over_monomials(n, d, seed, kind, decay, scale):
    X, y = samples(n, d, seed)
    network = model(kind, d, seed)
    if kind in SYMMETRIC:
        network = SYMMETRIC[kind](random_signs(d, np.random.default_rng(seed)),
                                  weights=network.weights)
    network.weights *= scale
    features = features_of(kind, network, X)
    wanted = [label * math.fsum(a * b for a, b in zip(network.weights, row))
              for row, label in zip(features, y)]
    size = max(np.abs(network.weights) @ np.abs(row) for row in features)
    # rounding: a sum of up to 80 terms, relative to the sum of their sizes
    assert np.abs(network.margins(X, y) - wanted).max() < 1e-13 * size
    loss, gradient = network.loss_gradient(X, y, decay)
    assert loss == pytest.approx(naive.loss(features, network.weights, y, decay), rel=1e-10)
    expected = naive.loss_gradient(features, network.weights, y, decay)
    bound = np.abs(features).max() + decay * np.abs(network.weights).max()
    assert np.abs(gradient - expected).max() < 1e-10 * bound


def test_the_symmetric_cubic_reads_the_coordinates_of_its_dictionary(rng):
    M, signs = random_dictionary(5, rng), random_signs(5, rng)
    X, y = samples(6, 5)
    network = SymmetricCubic(signs, M, rng.standard_normal(4))
    wanted = [label * np.dot(network.weights, naive.symmetric_features(x, M, signs))
              for x, label in zip(X, y)]
    assert np.allclose(network.margins(X, y), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_one_pass_gives_both_margins_and_gradient(kind):
    network, (X, y) = model(kind), samples()
    margins, gradient = network.margins_and_gradient(X, y)
    assert np.array_equal(margins, network.margins(X, y))
    assert np.array_equal(gradient, network.margin_gradient(X, y))


@pytest.mark.parametrize("degree", [2, 3])
def test_the_first_step_from_zero_is_that_of_the_polynomial_kernel(degree):
    X, y = samples(6)
    network = Polynomial(4, degree)
    network.gradient_step(X, y, 0.5)
    gram = X @ X.T
    kernel = sum(gram**power for power in range(1, degree + 1))
    # dL/df = -y/2 / n at f = 0
    assert np.allclose(y * network.margins(X, y), kernel @ y * 0.25 / len(y), rtol=1e-12)


def test_training_commutes_with_rotations(rng):
    X, y = samples(8)
    Q = random_dictionary(4, rng)
    straight, turned = Polynomial(4, 3), Polynomial(4, 3)
    for _ in range(5):
        straight.gradient_step(X, y, 0.1, 0.01)
        turned.gradient_step(X @ Q, y, 0.1, 0.01)
    assert np.allclose(straight.margins(X, y), turned.margins(X @ Q, y), rtol=1e-11)


def test_the_symmetric_cubic_is_a_polynomial_of_degree_three(rng):
    signs = np.array([1.0, -1.0, -1.0])
    X, y = samples(40, 3)
    network = SymmetricCubic(signs, weights=np.array([0.3, -0.2, 0.5, 1.0]))
    features = np.array([naive.monomials(x, 3) for x in X])
    f = y * network.margins(X, y)
    fit = np.linalg.lstsq(features, f, rcond=None)[0]
    assert np.abs(features @ fit - f).max() < 1e-10


def test_the_average_over_symmetries_is_a_symmetric_cubic(rng):
    # over permutations, and over (x, y) -> (-x, -y): what is left of any polynomial
    network = Polynomial(3, 3, rng.standard_normal(coefficients(3, 3)))
    X, y = samples(40, 3)
    ones = np.ones(len(X))
    average = sum(network.margins(X[:, order], ones) - network.margins(-X[:, order], ones)
                  for order in map(list, permutations(range(3)))) / 12.0
    features = np.array([naive.symmetric_features(x, np.eye(3), np.ones(3)) for x in X])
    fit = np.linalg.lstsq(features, average, rcond=None)[0]
    assert np.abs(features @ fit - average).max() < 1e-12 * np.abs(average).max() * 100


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_the_identity_needs_no_product(kind):
    signs, (X, y) = random_signs(5, 1), samples(6, 5)
    weights = model(kind).weights
    short, long = SYMMETRIC[kind](signs, None, weights), SYMMETRIC[kind](signs, np.eye(5), weights)
    assert np.array_equal(short.margins(X, y), long.margins(X, y))
    assert np.array_equal(short.margin_gradient(X, y), long.margin_gradient(X, y))


def test_training_leaves_the_even_part_of_the_quadratic_idle():
    """A best one is odd: with (x, y) comes (-x, -y), in which even terms help the other label."""
    data = SparseCoding(d=32, k=4)
    network = SymmetricQuadratic(data.signs)
    train(network, FreshBatches(data, 1000, seed=0), learning_rate=0.05, steps=100,
          adversary=Adversary(L2Ball(0.05), FGM()))
    test = data.sample(2000, np.random.default_rng(1))
    here, opposite = network.margins(test.X, test.y), network.margins(-test.X, test.y)
    even, odd = 0.5 * (here + opposite), 0.5 * (here - opposite)
    assert np.abs(odd).mean() > 0.5 and np.abs(even).mean() < 0.05 * np.abs(odd).mean()


@pytest.mark.parametrize("kind", MODELS)
def test_the_one_training_loop_trains_it_adversarially(kind):
    data = SparseCoding(d=12, k=2)
    network = (SYMMETRIC[kind](data.signs) if kind in SYMMETRIC
               else Polynomial(12, int(kind[-1])))
    batches = FreshBatches(data, 200, seed=0)
    losses = []
    train(network, batches, learning_rate=0.3 if kind in SYMMETRIC else 3.0, steps=60,
          adversary=Adversary(L2Ball(0.1),
                              FGM()), after_step=lambda step, loss: losses.append(loss))
    assert losses[0] == pytest.approx(math.log(2.0)) and losses[-1] < 0.8 * losses[0]
    test = data.sample(500, np.random.default_rng(1))
    assert np.mean(network.margins(test.X, test.y) > 0.0) > 0.9


def test_single_precision_agrees_with_double_to_its_rounding():
    X, y = samples(20, 6)
    double = model("degree 3", 6)
    single = Polynomial(6, 3, double.weights.astype(np.float32))
    step = single.loss_gradient(X, y)[1]
    assert step.dtype == single.margins(X, y).dtype == np.float32
    wanted = double.loss_gradient(X, y)[1]
    # 1e-7 of rounding in sums of 147 terms that partly cancel
    assert np.linalg.norm(step - wanted) < 1e-4 * np.linalg.norm(wanted)


def test_a_weight_that_is_not_a_number_reaches_the_loss():
    network, (X, y) = model("degree 3"), samples()
    network.weights[7] = np.nan
    assert np.isnan(network.loss_gradient(X, y)[0])


def test_bad_input_is_refused():
    X, y = samples()
    with pytest.raises(ValueError, match=r"degree: expected at most 3, got 4"):
        Polynomial(4, 4)
    with pytest.raises(ValueError, match=r"weights: expected shape \(14,\), got \(4,\)"):
        Polynomial(4, 2, np.zeros(4))
    with pytest.raises(ValueError, match="the polynomial reads d = 3 coordinates"):
        Polynomial(3, 2).margins(X, y)
    with pytest.raises(ValueError, match="at least one sample"):
        Polynomial(4, 2).loss_gradient(X[:0], y[:0])
    with pytest.raises(ValueError, match="labeler: expected labels -1 and"):
        SymmetricCubic(np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="weight_decay: expected at least 0"):
        Polynomial(4, 2).loss_gradient(X, y, -1.0)
