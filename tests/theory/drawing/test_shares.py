"""The uncertainty of a share is drawn where it is: exact limits, as a band or as bars."""

import numpy as np
import pytest
from scipy import stats

from theory.drawing.shares import share_band, share_bars
from theory.drawing.style import new_figure
from theory.scaling import binomial_limits


def limits(right, samples):
    interval = stats.binomtest(right, samples).proportion_ci(0.95, "exact")
    return interval.low, interval.high


@pytest.mark.parametrize("right", [0, 1, 7, 19, 20])
def test_limits_are_those_of_clopper_and_pearson(right):
    np.testing.assert_allclose(binomial_limits(right / 20, 20), limits(right, 20))


def test_limits_have_the_shape_of_the_shares_and_none_where_there_is_none():
    low, high = binomial_limits([[0.5, np.nan, 1.0]], 10)
    assert low.shape == high.shape == (1, 3)
    assert np.isnan([low[0, 1], high[0, 1]]).all() and high[0, 2] == 1.0


def test_a_band_lies_between_the_limits():
    figure, axes = new_figure(size=(3.0, 2.0))
    share_band(axes[0, 0], [0.0, 1.0], [0.5, 1.0], 20, "red")
    band, = axes[0, 0].collections
    drawn = band.get_paths()[0].vertices
    for x, right in ((0.0, 10), (1.0, 20)):
        ends = drawn[drawn[:, 0] == x, 1]
        np.testing.assert_allclose([ends.min(), ends.max()], limits(right, 20))


def test_a_bar_ends_at_the_limits():
    figure, axes = new_figure(size=(3.0, 2.0))
    share_bars(axes[0, 0], 2.0, 0.0, 20, "red")
    bar = axes[0, 0].collections[0].get_segments()[0]
    np.testing.assert_allclose(bar, [[2.0, 0.0], [2.0, limits(0, 20)[1]]])
