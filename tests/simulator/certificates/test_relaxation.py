"""The quadratic dual is sound at every point, not only at the optimised one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball
from simulator.certificates import relaxation
from simulator.certificates.relaxation import Multipliers, Relaxation

from planted.certificates import BALLS, ROUND, case, filling


@pytest.mark.parametrize("kind", BALLS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_point_of_the_dual_is_sound(kind, seed):
    """Not only the optimised one: soundness never rests on the optimiser."""
    network, X, y, radius, rng = case(seed, 10, 3, n=1)
    ball = kind(radius)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]),
                                   network.bias, ball)
    q = len(problem.t)
    multipliers = Multipliers(rng.normal(0.5, 1.0, q), rng.exponential(0.5, q),
                              rng.normal(1.0, 1.0, 1 if kind is L2Ball else 3))
    bound, _ = problem.bound(multipliers, ball.draw(rng, (1, 3))[0])
    points = filling(ball, 3, rng)
    assert bound <= network.margins(X[0] + points, np.full(len(points), y[0])).min() + ROUND


def test_curvatures_that_move_late_bound_as_soundly(monkeypatch):
    network, X, y, radius, rng = case(5, 40, 8, pure=True)
    problem = Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]), network.bias,
                                   L2Ball(radius))
    start = problem.start(np.zeros(8))
    points = filling(problem.ball, 8, rng)
    least = min(problem.margin(point) for point in points)
    linear = problem.bound(start, np.zeros(8))[0]
    for size in (0, 10**9):
        monkeypatch.setattr(relaxation, "LARGE", size)
        bound = problem.maximise(start, 60).bound
        assert linear < bound <= least


def test_powers_find_the_largest_eigenvalue():
    V = np.random.default_rng(0).standard_normal((30, 20)) * np.linspace(3.0, 0.1, 20)
    top = np.linalg.eigvalsh(V.T @ V)[-1]
    assert 0.95 * top <= relaxation._largest_by_powers(V) <= top * (1.0 + 1e-12)
