"""Kernels call kernels of their own file only, so some formulas are written twice: the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.certificates import cored, relaxation, separable
from simulator.networks.symmetric_relu import soft_threshold


@given(st.floats(-5.0, 5.0), st.floats(0.0, 2.0))
def test_the_soft_threshold_of_every_bound_is_that_of_the_network(u, b):
    expected = float(soft_threshold(np.array([u]), b)[0])
    one = np.ones(1)
    at_zero = separable._feature_value(u * one, one, 0.0 * one, one > 0.0, b, 0, 1, 0.0)
    pointwise, _ = relaxation._inner(u, 0.0, 0.0, 0.0, 0.0, b)
    split, _, _ = cored._split_minimum(u, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, b)
    # the pieces are u + b, 0 and u - b; adding up rounds once more or less
    np.testing.assert_allclose([at_zero, pointwise, split], expected, rtol=1e-14, atol=1e-15)
