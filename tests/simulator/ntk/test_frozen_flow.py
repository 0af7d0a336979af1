"""The flow on frozen kernels: against small steps, its bound, and where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import NotInvertible
from simulator.ntk.frozen_flow import frozen_flow

from references import tickets as naive

TIMES = np.linspace(0.0, 4.0, 9)


def kernel_of(rng, n, features=30):
    J = rng.standard_normal((n, features))
    return J @ J.T / features


def case(seed=0, n=6):
    rng = np.random.default_rng(seed)
    return (kernel_of(rng, n), kernel_of(rng, n), rng.standard_normal(n), rng.standard_normal(n),
            rng.choice([-1.0, 1.0], n))


def test_both_flows_are_those_of_many_small_steps():
    K_s, K_d, f_s, f_d, y = case()
    found = frozen_flow(K_s, K_d, f_s, f_d, y, TIMES)
    for K, f, got in ((K_s, f_s, found.ticket), (K_d, f_d, found.dense)):
        # Euler's error is of first order: 4e-5 here
        np.testing.assert_allclose(got[-1], naive.euler_flow(K, f, y, 4.0, 20_000), atol=1e-4)
        np.testing.assert_array_equal(got[0], f)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_the_bound_holds_at_every_time(seed, n):
    found = frozen_flow(*case(seed, n), TIMES)
    assert (found.distance <= found.bound * (1.0 + 1e-6)).all()


def test_equal_kernels_leave_only_the_distance_at_the_start():
    K, _, f_s, f_d, y = case(1)
    found = frozen_flow(K, K, f_s, f_d, y, TIMES)
    np.testing.assert_allclose(found.bound, found.distance[0], rtol=1e-6)
    assert (np.diff(found.distance) <= 1e-9).all()  # convexity pulls the two together


def test_the_bound_grows_with_the_difference_of_the_kernels():
    K, other, _, f, y = case(2)
    ends = [frozen_flow(K, K + size * (other - K), f, f, y, TIMES) for size in (0.01, 0.1, 1.0)]
    assert ends[0].bound[-1] < ends[1].bound[-1] < ends[2].bound[-1]
    assert ends[0].relative_error < ends[2].relative_error


def test_without_its_integral_the_bound_would_break():
    K, other, _, f, y = case(3)
    found = frozen_flow(K, other, f, f, y, TIMES)
    assert found.distance[-1] > 10.0 * found.bound[0]  # the start alone says nothing
    assert (found.distance <= found.bound * (1.0 + 1e-6)).all()


def test_a_kernel_without_inverse_is_refused():
    K, other, f_s, f_d, y = case(4)
    K[0] = K[:, 0] = 0.0  # an input that opens no gate
    with pytest.raises(NotInvertible, match="expected a positive definite matrix"):
        frozen_flow(K, other, f_s, f_d, y, TIMES)
    with pytest.raises(NotInvertible):
        frozen_flow(0.0 * K, other, f_s, f_d, y, TIMES)


def test_times_must_ascend_from_zero():
    with pytest.raises(ValueError, match="times: expected at least two ascending times"):
        frozen_flow(*case(5), TIMES[1:])
