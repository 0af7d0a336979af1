"""Limits over the samples hold the truth as often as they say, and are right where it is known."""

import numpy as np

from simulator.experiments.jackknife import by_weights, without_each
from simulator.tickets.dynamics import Dynamics


def test_limits_of_a_ratio_hold_the_true_one_in_about_95_of_100_draws():
    rng, held = np.random.default_rng(0), {"without": 0, "weights": 0}
    for _ in range(400):
        x, y = rng.exponential(2.0, 80), rng.exponential(1.0, 80)
        ratio = x.sum() / y.sum()
        without = (x.sum() - x) / (y.sum() - y)
        slopes = x / y.sum() - ratio * y / y.sum()
        for name, (low, high) in (("without", without_each(ratio, without)),
                                  ("weights", by_weights(ratio, slopes))):
            held[name] += low <= 2.0 <= high
    # .95 of 400 is 380, with a standard deviation of 4.4
    assert all(360 <= count <= 396 for count in held.values()), held


def test_limits_of_a_share_stay_between_zero_and_one_and_those_of_nothing_are_nan():
    low, high = without_each(np.array([0.999]), 0.9 + 0.02 * np.arange(5)[:, None], positive=False)
    assert 0.0 <= low[0] <= 0.999 <= high[0] == 1.0
    assert np.isnan(without_each(np.array([0.0]), np.zeros((4, 1)))).all()


def test_the_kernel_error_without_a_sample_is_that_of_the_others():
    rng = np.random.default_rng(1)
    W, X = rng.standard_normal((6, 4)), rng.standard_normal((5, 4))
    mask = rng.random(W.shape) < 0.5
    found = Dynamics(W, 0.1, X).relative_kernel_without_each(mask, 1.2)
    expected = [Dynamics(W, 0.1, np.delete(X, place, axis=0)).gap(mask, 1.2).relative_kernel
                for place in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
