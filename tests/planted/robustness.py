"""A classifier that no perturbation can change, and the sizes of the samples."""

import numpy as np
import pytest

from simulator.balls import L2Ball, LinfBall

D, N = 6, 101  # an odd number of samples: the median radius is the radius of one of them
BALLS = (L2Ball, LinfBall)
WEIGHTS = np.linspace(-1.0, 2.0, D)
both_balls = pytest.mark.parametrize("kind", BALLS)


class Constant:
    """A classifier no perturbation can change."""

    def __init__(self, margin):
        self.margin = margin

    def margins(self, X, y):
        return np.full(len(X), self.margin)

    def margin_gradient(self, X, y):
        return np.zeros(X.shape)
