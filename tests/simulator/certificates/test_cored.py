"""The bound with split weights: sound at any multipliers, and sharp where rests are many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import LinfBall
from simulator.certificates.branch_and_bound import search
from simulator.certificates.checker.verdict import ExactNetwork, check_proof
from simulator.certificates.cored import CoredRelaxation, _split_minimum, cores
from simulator.certificates.exact_linf import exact_margin
from simulator.certificates.margins import certify
from simulator.certificates.relaxation import Multipliers, Relaxation
from simulator.networks.symmetric_relu import SymmetricReLU, soft_threshold
from simulator.protocols import Batch

from planted.certificates import ROUND, case, filling


def problems(seed, m, d, pure=True):
    """The same sample as it is and with split weights."""
    network, X, y, radius, rng = case(seed, m, d, n=1, pure=pure)
    signed = y[0] * (network.weights @ X[0])
    made = [kind.of_sample(network.weights, signed, network.bias, LinfBall(radius))
            for kind in (Relaxation, CoredRelaxation)]
    return *made, rng


def aligned(features=16):
    """A neuron a feature: its rest is a row of a Hadamard matrix, so rests are orthogonal."""
    H = np.array([[1.0]])
    while len(H) < features:
        H = np.block([[H, H], [H, -H]])
    W = np.eye(features) + 0.06 * H * (1.0 - np.eye(features))
    return SymmetricReLU(W, 1.5), np.zeros((1, features)), np.ones(1)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), curved=st.booleans())
def test_the_minimum_over_both_parts_is_that_of_a_grid(seed, curved):
    rng = np.random.default_rng(seed)
    t, a, k = rng.uniform(-2.0, 2.0, 3)
    mu, b = rng.uniform(0.0, 2.0) * curved, rng.uniform(0.0, 1.5)
    far_z, far_n = rng.uniform(0.0, 2.0, 2) * rng.integers(0, 2, 2)
    low, high = np.sort(rng.uniform(-1.0, 1.0, 2)) * (far_z + far_n)

    def term(z, n):
        return soft_threshold(t + z + n, b) - k * z - a * n + mu * n * n

    value, z, n = _split_minimum(t, a, k, mu, far_z, far_n, low, high, b)
    assert abs(z) <= far_z + ROUND and abs(n) <= far_n + ROUND
    assert low - ROUND <= z + n <= high + ROUND
    assert term(z, n) == pytest.approx(value, abs=1e-12)
    Z, N = np.meshgrid(np.linspace(-far_z, far_z, 201), np.linspace(-far_n, far_n, 201))
    inside = (low <= Z + N) & (Z + N <= high)
    assert np.all(term(Z, N)[inside] >= value - 1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_point_of_the_ball_is_below_the_bound_of_any_multipliers(seed):
    _, problem, rng = problems(seed, 9, 3)
    q, d = problem.W.shape
    multipliers = Multipliers(rng.uniform(-0.5, 1.5, (2, q)), rng.uniform(0.0, 1.0, q),
                              rng.uniform(-4.0, 2.0, d))
    bound, _ = problem.bound(multipliers, rng.standard_normal(d) * problem.ball.radius)
    climbed = problem.maximise(problem.start(np.zeros(d)), 20)
    least = min(problem.margin(point) for point in filling(problem.ball, d, rng, 500))
    assert max(bound, climbed.bound) <= least + ROUND


def test_weights_are_split_without_loss():
    _, problem, _ = problems(5, 12, 6)
    assert problem.has_kink.any()
    np.testing.assert_array_equal(problem.core + problem.rest, problem.W)
    assert not (problem.rest[~problem.has_kink]).any()
    assert np.all(cores(problem.W)[np.arange(len(problem.W)), np.abs(problem.W).argmax(axis=1)])
    assert 0 < np.count_nonzero(problem.rest) < problem.W.size


def test_orthogonal_rests_cannot_all_point_one_way():
    """Each neuron alone can be opened from below, but not many at once: curvature sees it."""
    network, X, y = aligned()
    ball = LinfBall(0.9)
    plain, split = (kind.of_sample(network.weights, network.weights @ X[0], network.bias, ball)
                    for kind in (Relaxation, CoredRelaxation))
    assert split.has_kink.all()
    start = np.zeros(X.shape[1])
    linear = split.bound(split.start(start), start)[0]
    without = plain.maximise(plain.start(start), 300).bound
    found = split.maximise(split.start(start), 300)
    assert found.bound > 0.5 * max(linear, without)  # all are negative: half the gap is gone
    assert found.bound <= plain.descend(start)[0]
    assert found.dual.slopes.shape == (2, X.shape[1]) and found.dual.curvatures.any()


@pytest.mark.parametrize("seed", [0, 3, *(pytest.param(seed, marks=pytest.mark.slow)
                                          for seed in (1, 2, 4, 5))])
def test_the_search_agrees_with_the_mixed_integer_program(seed):
    _, problem, _ = problems(seed, 12, 6)
    low, high = exact_margin(problem)
    found = search(problem, np.zeros(6), 4000, target=np.inf, tolerance=1e-3)
    assert found.finished
    assert found.lower - 1e-5 <= low <= high <= found.upper + 1e-5  # tolerances of HiGHS
    assert found.upper - found.lower <= 1e-3 + ROUND


@pytest.mark.parametrize("method", ["quadratic", "branching"])
def test_no_bound_is_below_the_linear_one(method):
    network, X, y, radius, _ = case(4, 20, 6, n=6, pure=True)
    found = certify(network, Batch(X, y), LinfBall(radius), methods=("linear", method), boxes=3,
                    target=np.inf, steps=20, root_steps=20)
    assert np.all(found.margins_of[method] >= found.margins_of["linear"] - ROUND)


@pytest.mark.parametrize("pure", [False, True])
def test_no_quadratic_bound_is_below_that_of_whole_weights(pure):
    """Where nearly all weights are large a split loses; both are tried, and the better kept."""
    network, X, y, radius, _ = case(3, 20, 6, n=4, pure=pure)
    ball = LinfBall(0.5 * radius)
    found = certify(network, Batch(X, y), ball, methods=("quadratic",), target=np.inf, steps=60)
    for n in range(len(X)):
        for kind in (Relaxation, CoredRelaxation):
            problem = kind.of_sample(network.weights, y[n] * (network.weights @ X[n]),
                                     network.bias, ball)
            start = problem.start(problem.descend(np.zeros(6))[1])
            assert found.margins[n] >= problem.maximise(start, 60).bound - 1e-6


def test_the_same_call_gives_the_same_bits():
    network, X, y, radius, _ = case(2, 20, 6, n=4, pure=True)
    first, second = (certify(network, Batch(X, y), LinfBall(radius), methods=("branching",),
                             boxes=5, target=np.inf, root_steps=30) for _ in range(2))
    np.testing.assert_array_equal(first.margins, second.margins)
    np.testing.assert_array_equal(first.delta, second.delta)


@pytest.mark.parametrize("seed", [0, 3, *(pytest.param(seed, marks=pytest.mark.slow)
                                          for seed in (1, 2))])
def test_every_proof_is_accepted_by_the_checker(seed):
    network, X, y, radius, _ = case(seed, 14, 5, n=2, pure=True)
    ball = LinfBall(radius)
    exact = ExactNetwork.of(network.weights, network.bias)
    for method, boxes in (("quadratic", 1), ("branching", 12)):
        found = certify(network, Batch(X, y), ball, methods=(method,), boxes=boxes, target=np.inf,
                        root_steps=40, proofs=True)
        for n, proof in enumerate(found.proofs):
            checked = check_proof(exact, X[n], y[n], ball, proof)
            assert checked.holds, checked.reason
            assert found.margins[n] == proof.lower <= checked.value
