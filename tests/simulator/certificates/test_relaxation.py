"""The quadratic dual is sound at every point, not only at the optimised one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.balls import L2Ball
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
