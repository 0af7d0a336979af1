"""The mixed-integer program agrees with every bound and with the search."""

import numpy as np
import pytest

from simulator.balls import LinfBall
from simulator.certificates.branch_and_bound import search
from simulator.certificates.exact_linf import exact_margin
from simulator.certificates.relaxation import Relaxation

from planted.certificates import ROUND, all_bounds, case


@pytest.mark.parametrize("seed", [0, 5, 6, *(pytest.param(seed, marks=pytest.mark.slow)
                                             for seed in (1, 2, 3, 4, 7))])
def test_linf_bounds_agree_with_the_mixed_integer_program(seed):
    network, X, y, radius, _ = case(seed, 14, 5, n=2)
    ball = LinfBall(0.5 * radius)
    bounds, _ = all_bounds(network, X, y, ball)
    for n in range(len(X)):
        problem = Relaxation.of_sample(network.weights, y[n] * (network.weights @ X[n]),
                                       network.bias, ball)
        low, high = exact_margin(problem)
        assert high - low < 1e-5
        for name, bound in bounds.items():
            assert bound[n] <= high + 1e-5, name  # feasibility tolerance of HiGHS
        found = search(problem, np.zeros(5), 4000, target=np.inf, tolerance=1e-3)
        assert found.finished
        assert found.lower - 1e-5 <= low <= high <= found.upper + 1e-5
        assert found.upper - found.lower <= 1e-3 + ROUND
