"""Schedules of the bias follow their formulas, and bad ones are named."""

import math

import numpy as np
import pytest

from simulator.bias_schedules import LinearThenConstant, TrackingNorm
from simulator.networks.symmetric_relu import SymmetricReLU

# --- bias schedules -----------------------------------------------------------------------


def test_the_linear_schedule_grows_and_then_stays():
    schedule = LinearThenConstant(start=0.1, slope=0.02, maximum=0.15)
    biases = [schedule.bias(step, None) for step in range(6)]
    assert biases == pytest.approx([0.1, 0.12, 0.14, 0.15, 0.15, 0.15], rel=1e-15)
    assert LinearThenConstant(0.3, 0.0, 0.2).bias(0, None) == 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tracking_schedule_follows_the_mean_norm(dtype):
    W = np.zeros((3, 16), dtype)
    W[0, :2], W[1, 5], W[2] = (3.0, 4.0), 1.0, 0.0
    bias = TrackingNorm(1.5).bias(7, SymmetricReLU(W, 0.0))
    assert isinstance(bias, float)
    assert bias == pytest.approx(1.5 * math.sqrt(math.log(16)) * 2.0 / 4.0, rel=1e-14)


# --- bad input ----------------------------------------------------------------------------


@pytest.mark.parametrize("make, message", [
    (lambda: LinearThenConstant(-0.1, 0.0, 1.0), "start: expected at least 0.0"),
    (lambda: LinearThenConstant(0.1, -1.0, 1.0), "slope: expected at least 0.0"),
    (lambda: LinearThenConstant(0.1, 0.0, np.nan), "maximum: expected a finite number"),
    (lambda: TrackingNorm(-1.0), "scale: expected at least 0.0"),
])
def test_bad_schedules_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
