"""The logistic loss is one function: by ``logaddexp``, and in the symmetric network's kernel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.losses import logistic_loss, logistic_residual
from simulator.networks.symmetric_relu import _logistic_loss

EPS = np.finfo(np.float64).eps


def of_the_kernel(f, y):
    residual = np.empty_like(f)
    return _logistic_loss(f, y, residual), residual


@given(st.lists(st.tuples(st.floats(-800.0, 800.0), st.sampled_from([-1.0, 1.0])), min_size=1,
                max_size=20))
def test_the_kernel_has_the_same_loss_and_residual(samples):
    f, y = np.array(samples).T.copy()
    loss, residual = of_the_kernel(f, y)
    # 20 terms of one sign: each is within 2 ulp on both sides, and a sum rounds once a term
    assert loss == pytest.approx(logistic_loss(y * f), rel=30.0 * EPS, abs=0.0)
    # exp(-t) has the relative error of t, at most |t| eps / 2; below 1e-300 digits are lost
    wanted = -y * logistic_residual(y * f) / len(f)
    bound = (4.0 + np.abs(f)) * EPS * np.abs(wanted) + 1e-300
    assert (np.abs(residual - wanted) <= bound).all()


@pytest.mark.parametrize("margin", [0.0, 1.0, -1.0, 1e-8, 1e300, -1e300, math.inf, -math.inf])
def test_at_the_ends_both_have_the_limit(margin):
    loss, residual = of_the_kernel(np.array([margin]), np.ones(1))
    assert loss == pytest.approx(logistic_loss(np.array([margin])), rel=2.0 * EPS)
    assert -residual[0] == pytest.approx(logistic_residual(np.array([margin]))[0], rel=4.0 * EPS)


def test_nan_goes_through_both():
    margins = np.array([1.0, np.nan])
    loss, residual = of_the_kernel(margins, np.ones(2))
    assert np.isnan(loss) and np.isnan(logistic_loss(margins))
    assert np.isnan(residual[1]) and np.isnan(logistic_residual(margins)[1])
    assert not np.isnan(residual[0]) and not np.isnan(logistic_residual(margins)[0])


def test_the_residual_is_minus_the_derivative_of_the_loss():
    h = 1e-5  # truncation and rounding errors are both ~ 1e-10
    for margin in (-3.0, -0.2, 0.0, 0.5, 4.0):
        up, down = (logistic_loss(np.array([margin + move])) for move in (h, -h))
        assert logistic_residual(np.array([margin]))[0] == pytest.approx((down - up) / (2.0 * h),
                                                                         abs=1e-9)


def test_single_precision_stays_single_and_close():
    f, y = np.linspace(-9.0, 9.0, 41).astype(np.float32), np.ones(41, np.float32)
    loss, residual = of_the_kernel(f, y)
    wanted = logistic_residual(f)
    assert wanted.dtype == residual.dtype == np.float32
    # logaddexp in float32: rounding of numbers up to 9 in units of 6e-8; the kernel uses double
    assert loss == pytest.approx(logistic_loss(f), rel=1e-6)
    assert np.allclose(-residual * 41, wanted, rtol=2e-6, atol=0.0)
