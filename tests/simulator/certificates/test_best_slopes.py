"""The linear program finds the best slopes, and closes boxes that have no point."""

import itertools

import numpy as np
import pytest

from simulator.balls import LinfBall
from simulator.certificates.best_slopes import PRICE, best_slopes
from simulator.certificates.branch_and_bound import _convex_box
from simulator.certificates.relaxation import Multipliers, Relaxation

from planted.certificates import ROUND, case


def problem(seed, m=10, d=4):
    network, X, y, radius, rng = case(seed, m, d, n=1)
    return Relaxation.of_sample(network.weights, y[0] * (network.weights @ X[0]), network.bias,
                                LinfBall(radius)), rng


def flat(box, slopes):
    none = np.zeros(len(slopes))
    return box.bound(Multipliers(slopes, none, np.zeros(box.W.shape[1])),
                     np.zeros(box.W.shape[1]))[0]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_slopes_give_more(seed):
    box, rng = problem(seed)
    slopes, _ = best_slopes(box)
    best = flat(box, slopes)
    for scale in (1e-4, 1e-2, 0.3):
        for _ in range(30):
            moved = slopes + scale * rng.standard_normal(len(slopes))
            assert flat(box, moved) <= best + ROUND
    climbed = box.maximise(Multipliers(0.0 * slopes, 0.0 * slopes, np.zeros(box.W.shape[1])), 50)
    assert climbed.bound <= best + 1e-6 or climbed.dual.curvatures.any()


def test_without_a_kink_the_bound_is_the_margin():
    """Open neurons and closed ones alone: the margin is convex, and least at a corner or a kink."""
    W, t = np.array([[1.0, 0.2], [0.3, 1.0]]), np.array([0.4, -2.0])
    box = Relaxation.of_sample(W, t, 0.5, LinfBall(0.4))
    assert not box.has_kink.any()
    corners = [box.margin(0.4 * np.array(signs)) for signs in itertools.product((-1, 1), repeat=2)]
    found = _convex_box(box, Multipliers(np.zeros(len(box.t)), np.zeros(len(box.t)), np.zeros(2)))
    assert found.bound == pytest.approx(min(corners), abs=1e-9)


def test_a_box_without_a_point_is_closed_by_slopes_not_by_a_word():
    """Two half-spaces that exclude each other: the solver's answer is a bound like any other."""
    W = np.array([[1.0, 0.5], [1.0, 0.4]])
    box = Relaxation.of_sample(W, np.array([0.0, 0.0]), 0.1, LinfBall(1.0))
    low, high = box.low.copy(), box.high.copy()
    high[0], low[1] = -0.9, 0.9  # <w_0, delta> <= -.9 and <w_1, delta> >= .9: .1 d_1 <= -1.8
    empty = box.restricted(low, high, (0, 1.0, -0.9))
    found = _convex_box(empty, Multipliers(np.zeros(2), np.zeros(2), np.zeros(2)))
    assert np.isfinite(found.bound) and 100.0 < found.bound < 10.0 * PRICE
    assert np.abs(found.dual.slopes).max() <= PRICE * (1.0 + 1e-9) and not found.dual.lam.any()
